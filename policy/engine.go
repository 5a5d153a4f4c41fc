package policy

import (
	"fmt"
)

// An Engine decides by the rules of one server for one client. It is safe for concurrent use.
type Engine struct {
	layers     []*layer // the server's own first, unless it is in shadow mode
	own        *layer   // the server's own
	shadow     *Engine  // of the layers in shadow mode: asked about what the others allow; nil: there is none
	rules      bool     // some layer restricts something
	resources  bool     // some layer has a rule about resources
	onDeny     string
	hideDenied bool
	files      pathFS
}

// A layer is one compiled [Config].
type layer struct {
	label     string
	rules     bool
	tools     targets
	prompts   targets
	resources targets
	readOnly  bool
	readRule  string
	toolRules toolRules
	methods   patterns
	requests  ServerRequests
}

// serverLabel is the label of the server's own layer.
const serverLabel = "policy"

// Compile builds the engine for a server's rules and the layers that restrict them further. All must allow, so a
// layer never opens what another one closes. It fails on what [Config.Validate] refuses.
func Compile(server Config, overrides ...Layer) (*Engine, error) {
	return compile(osPaths{}, server, overrides)
}

func compile(files pathFS, server Config, overrides []Layer) (*Engine, error) {
	e := &Engine{files: files, onDeny: server.OnDeny}
	if e.onDeny == "" {
		e.onDeny = OnDenyError
	}
	for i, l := range append([]Layer{{serverLabel, server}}, overrides...) {
		compiled, err := compileLayer(l)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			e.own = compiled
		}
		if i == 0 || !l.Config.Shadow { // how denials look is the server's own to say in either mode
			e.hideDenied = e.hideDenied || l.Config.HideDenied
		}
		if !l.Config.Shadow {
			e.add(compiled)
			continue
		}
		if e.shadow == nil {
			e.shadow = &Engine{files: files, own: e.own}
		}
		e.shadow.add(compiled)
	}
	return e, nil
}

func (e *Engine) add(l *layer) {
	e.layers = append(e.layers, l)
	e.rules = e.rules || l.rules
	e.resources = e.resources || !l.resources.empty()
}

func compileLayer(l Layer) (*layer, error) {
	c := l.Config
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("compile %s: %w", l.Label, err)
	}
	at := l.Label + "."
	out := &layer{label: l.Label, rules: c.hasRules(), readOnly: c.ReadOnly, readRule: at + "read_only", requests: c.ServerRequests}
	var err error
	if out.tools, err = compileTargets(at+"allow_tools", at+"deny_tools", c.AllowTools, c.DenyTools, nameSyntax); err != nil {
		return nil, err
	}
	if out.prompts, err = compileTargets(at+"allow_prompts", at+"deny_prompts", c.AllowPrompts, c.DenyPrompts, nameSyntax); err != nil {
		return nil, err
	}
	if out.resources, err = compileTargets(at+"allow_resources", at+"deny_resources", c.AllowResources, c.DenyResources, uriSyntax); err != nil {
		return nil, err
	}
	if out.methods, err = compilePatterns(at+"allow_methods", c.AllowMethods, nameGlob); err != nil {
		return nil, err
	}
	if out.toolRules, err = compileToolRules(at+"tool_rules", c.ToolRules); err != nil {
		return nil, err
	}
	for _, r := range out.toolRules {
		out.tools.twins.add(r.glob, r.path, true)
	}
	return out, nil
}

// HasRules reports whether anything is restricted. Without rules every well-formed message passes.
func (e *Engine) HasRules() bool { return e.rules }

// OnDeny returns how a denied tool call is answered: [OnDenyError] or [OnDenyToolError].
func (e *Engine) OnDeny() string { return e.onDeny }

// HideDenied reports whether a denied tool or prompt is to be answered for as if it did not exist.
func (e *Engine) HideDenied() bool { return e.hideDenied }

// Tool decides whether a tool may be listed. It is also the first step of [Engine.Call].
func (e *Engine) Tool(name []byte) Decision {
	d := e.tool(name, nil)
	if e.shadow == nil || !d.Allow {
		return d
	}
	return d.rehearsed(e.shadow.tool(name, nil))
}

func (e *Engine) tool(name []byte, tr *Trace) Decision {
	return e.name("tool", name, func(l *layer) *targets { return &l.tools }, tr)
}

// Prompt decides whether a prompt may be listed, fetched or completed.
func (e *Engine) Prompt(name []byte) Decision {
	d := e.prompt(name)
	if e.shadow == nil || !d.Allow {
		return d
	}
	return d.rehearsed(e.shadow.prompt(name))
}

func (e *Engine) prompt(name []byte) Decision {
	return e.name("prompt", name, func(l *layer) *targets { return &l.prompts }, nil)
}

func (e *Engine) name(kind string, name []byte, of func(*layer) *targets, tr *Trace) Decision {
	if len(name) == 0 || !clean(name) {
		return tr.note(denied(NameRule,
			"%s %s is denied: its name is empty or holds control, bidi or zero-width characters", kind, quoted(name)))
	}
	decision := allowed(DefaultRule)
	if !e.rules {
		return decision
	}
	for _, l := range e.layers {
		d := of(l).judge(kind, name, tr)
		if !d.Allow {
			return d
		}
		if d.Rule != DefaultRule {
			decision = d // the last layer is the narrowest
		}
	}
	return decision
}

// Call decides about a tools/call. The arguments are the raw value of params.arguments from a scanned message,
// nil where there is none.
func (e *Engine) Call(name, arguments []byte) Decision {
	d := e.call(name, arguments, nil)
	if e.shadow == nil || !d.Allow {
		return d
	}
	return d.rehearsed(e.shadow.call(name, arguments, nil))
}

func (e *Engine) call(name, arguments []byte, tr *Trace) Decision {
	decision := e.tool(name, tr)
	if !decision.Allow {
		return decision
	}
	for _, l := range e.layers {
		if l.readOnly {
			return tr.note(denied(l.readRule, "tool %s: calls are denied by %s", quoted(name), l.readRule))
		}
	}
	if string(arguments) == "null" {
		arguments = nil // how clients in Go say that there are none
	}
	if arguments != nil && !isObject(arguments) {
		return tr.note(denied(ArgumentsRule, "tool %s: the arguments are no object", quoted(name)))
	}
	for _, l := range e.layers {
		if d := l.toolRules.judge(name, arguments, e.files, tr); !d.Allow {
			return d
		}
	}
	return decision
}

// Resource decides whether a resource may be listed, read, subscribed to or completed. Once a rule about resources
// exists, a URI must be in its normal form.
func (e *Engine) Resource(uri []byte) Decision {
	d := e.uri(uri)
	if e.shadow == nil || !d.Allow {
		return d
	}
	return d.rehearsed(e.shadow.uri(uri))
}

func (e *Engine) uri(uri []byte) Decision {
	if !e.resources {
		return allowed(DefaultRule)
	}
	judged, problem := judgedURI(uri)
	if problem != "" {
		return denied(NameRule, "resource %s is denied: its URI %s", quoted(uri), problem)
	}
	return e.resource("resource", judged)
}

// Template decides whether a resource template may be listed or completed. Its text is matched as it stands, braces
// included: file:///data/{path} matches file:///data/**, file:///{path} does not. What a template expands to is
// judged when it is read.
func (e *Engine) Template(uriTemplate []byte) Decision {
	d := e.template(uriTemplate)
	if e.shadow == nil || !d.Allow {
		return d
	}
	return d.rehearsed(e.shadow.template(uriTemplate))
}

func (e *Engine) template(uriTemplate []byte) Decision {
	if !e.resources {
		return allowed(DefaultRule)
	}
	judged, problem := judgedTemplate(uriTemplate)
	if problem != "" {
		return denied(NameRule, "resource template %s is denied: its URI %s", quoted(uriTemplate), problem)
	}
	return e.resource("resource template", judged)
}

func (e *Engine) resource(kind string, judged []byte) Decision {
	decision := allowed(DefaultRule)
	for _, l := range e.layers {
		d := l.resources.judge(kind, judged, nil)
		if !d.Allow {
			return d
		}
		if d.Rule != DefaultRule {
			decision = d
		}
	}
	return decision
}
