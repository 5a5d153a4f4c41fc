package learn

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rohitgs28/mcpx/policy"
)

// conclude makes a policy of what was seen of a server.
func (l *Learner) conclude(name string, s *server) Server {
	out := Server{Name: name, Notes: map[string]string{}, Calls: s.calls}
	if s.more {
		l.lesson.incomplete(fmt.Sprintf("server %q has more tools, arguments, resources or methods than are looked at", name))
	}
	out.tools(l, s)
	out.resources(s)
	out.names(s)
	if c := &out.Policy; len(c.AllowTools)+len(c.AllowResources)+len(c.AllowPrompts)+len(c.AllowMethods) == 0 {
		l.lesson.incomplete(fmt.Sprintf("server %q was used for nothing that has passed, so its policy denies everything", name))
	}
	for what, n := range s.refused {
		out.Left = append(out.Left, fmt.Sprintf("%s, denied %s by %s", strings.TrimSpace(what[0]), times(n), what[1]))
	}
	if slices.Sort(out.Left); s.unlisted > 0 {
		out.Left = append(out.Left, fmt.Sprintf("and %d more that were denied", s.unlisted))
	}
	return out
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func (out *Server) tools(l *Learner, s *server) {
	c := &out.Policy
	for _, name := range slices.Sorted(maps.Keys(s.tools)) {
		t := s.tools[name]
		switch {
		case t.calls == 0 && t.failed > 0:
			out.Left = append(out.Left, fmt.Sprintf("tool %s: it failed every time (%d)", name, t.failed))
			continue
		case t.calls == 0:
			out.Left = append(out.Left, fmt.Sprintf("tool %s: how its calls ended is not in the log (%d)", name, t.open))
			continue
		}
		if !passes(policy.Config{AllowTools: []string{policy.Literal(name)}}, func(e *policy.Engine) policy.Decision { return e.Tool([]byte(name)) }) {
			out.Left = append(out.Left, fmt.Sprintf("tool %s: no rule can allow this name", name))
			continue
		}
		c.AllowTools = append(c.AllowTools, policy.Literal(name))
		rule, known := out.toolRule(l, name, t)
		if known {
			if c.ToolRules == nil {
				c.ToolRules = map[string]policy.ToolRule{}
			}
			c.ToolRules[policy.Literal(name)] = rule
		}
	}
	if c.AllowTools == nil {
		c.DenyTools = []string{"*"}
		out.Notes["deny_tools"] = "no tool was called"
	}
}

// toolRule makes the rule of a tool. known: there is something to say.
func (out *Server) toolRule(l *Learner, name string, t *tool) (made policy.ToolRule, known bool) {
	at := "tool_rules." + policy.Literal(name)
	unknown := t.untold(l.lesson.tells)
	note := "called " + times(t.calls)
	if t.failed > 0 {
		note += fmt.Sprintf("; %d more failed, and are not learnt from", t.failed)
	}
	if t.open > 0 {
		note += fmt.Sprintf("; how %d more ended is not in the log", t.open)
	}
	if t.shadowed > 0 {
		note += fmt.Sprintf("; shadow mode told of %d that a policy would have denied", t.shadowed)
	}
	if unknown > 0 {
		note += fmt.Sprintf("; the arguments of %d are not in the log, so any pass", unknown)
		l.lesson.incomplete("the log does not have the arguments of all calls: record them with audit.args: redacted, or full (over 64 KiB they are never recorded)")
	}
	defer func() { out.Notes[at] = note }()
	switch {
	case unknown > 0:
		return made, false
	case l.relaxed[part(out.Name, at)] > 0:
		note += "; no rule says what their arguments have in common"
		return made, false
	}
	made.DenyUnknownArgs = true
	for arg, a := range t.args {
		key := pointer(arg)
		here := at + ".args." + key
		r, ok := a.rule(key, t.calls, l.relaxed[part(out.Name, here)])
		if !ok {
			made.DenyUnknownArgs = false
			note += "; unknown arguments pass, since no rule can spell the name of one that was used"
			continue
		}
		if made.Args == nil {
			made.Args = map[string]policy.Constraint{}
		}
		made.Args[key] = r.Constraint
		if r.note != "" {
			out.Notes[here] = r.note
		}
	}
	if !made.DenyUnknownArgs { // then a name alone asks for nothing, which is refused
		maps.DeleteFunc(made.Args, func(key string, c policy.Constraint) bool {
			return !valid(policy.ToolRule{Args: map[string]policy.Constraint{key: c}})
		})
	}
	return made, made.DenyUnknownArgs || len(made.Args) > 0
}

func valid(r policy.ToolRule) bool {
	return policy.Config{ToolRules: map[string]policy.ToolRule{"tool": r}}.Validate() == nil
}

// part names a part of a server's policy.
func part(server, at string) string { return server + "\x00" + at }

// passes reports whether a policy compiles and allows what is asked.
func passes(c policy.Config, ask func(*policy.Engine) policy.Decision) bool {
	e, err := policy.Compile(c)
	return err == nil && ask(e).Allow
}

// pointer spells a top-level argument as a key of tool_rules: a name that begins with a slash would be a JSON Pointer.
func pointer(name string) string {
	if !strings.HasPrefix(name, "/") {
		return name
	}
	return jsonPointer(name)
}

// jsonPointer spells a member's name as a JSON Pointer does (RFC 6901, section 3).
func jsonPointer(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func (out *Server) resources(s *server) {
	c := &out.Policy
	templates := out.leaveOut(s.templates, "resource template", func(uri string) bool {
		return passes(policy.Config{AllowResources: []string{policy.Literal(uri)}}, func(e *policy.Engine) policy.Decision { return e.Template([]byte(uri)) })
	})
	resources := out.leaveOut(s.resources, "resource", func(uri string) bool {
		return passes(policy.Config{AllowResources: []string{policy.Literal(uri)}}, func(e *policy.Engine) policy.Decision { return e.Resource([]byte(uri)) })
	})
	if len(resources) == 0 && len(templates) == 0 {
		c.DenyResources = []string{"**"}
		out.Notes["deny_resources"] = "no resource was read"
		return
	}
	c.AllowResources = urisOf(resources)
	for uri := range templates {
		c.AllowResources = append(c.AllowResources, policy.Literal(uri))
	}
	slices.Sort(c.AllowResources)
	reads := 0
	for _, n := range resources {
		reads += n
	}
	out.Notes["allow_resources"] = fmt.Sprintf("%s, read %s", count(len(resources), "URI"), times(reads))
}

// leaveOut returns the names that a rule can allow, and tells of the others. What was seen stays as it is: a lesson that has turned
// out to be too narrow is concluded from it again, and has to tell the same.
func (out *Server) leaveOut(names map[string]int, kind string, can func(string) bool) map[string]int {
	kept := make(map[string]int, len(names))
	for name, n := range names {
		if can(name) {
			kept[name] = n
		} else {
			out.Left = append(out.Left, fmt.Sprintf("%s %s, used %s: no rule can allow this name", kind, name, times(n)))
		}
	}
	return kept
}

// names fills in prompts, methods and what the server asked for.
func (out *Server) names(s *server) {
	c := &out.Policy
	prompts := out.leaveOut(s.prompts, "prompt", func(name string) bool {
		return passes(policy.Config{AllowPrompts: []string{policy.Literal(name)}}, func(e *policy.Engine) policy.Decision { return e.Prompt([]byte(name)) })
	})
	methods := out.leaveOut(s.methods, "method", func(name string) bool {
		return passes(policy.Config{AllowMethods: []string{policy.Literal(name)}}, func(e *policy.Engine) policy.Decision { return e.Method(name, policy.ClientRequest) })
	})
	for name := range prompts {
		c.AllowPrompts = append(c.AllowPrompts, policy.Literal(name))
	}
	if slices.Sort(c.AllowPrompts); c.AllowPrompts == nil {
		c.DenyPrompts = []string{"*"}
		out.Notes["deny_prompts"] = "no prompt was used"
	}
	for name := range methods {
		c.AllowMethods = append(c.AllowMethods, policy.Literal(name))
	}
	slices.Sort(c.AllowMethods)
	verdict := func(method string) string {
		if s.asked[method] > 0 {
			return "allow"
		}
		return "deny"
	}
	c.ServerRequests = policy.ServerRequests{
		Sampling: verdict("sampling/createMessage"), Elicitation: verdict("elicitation/create"), Roots: verdict("roots/list"),
	}
	var asked []string
	for method, n := range s.asked {
		asked = append(asked, fmt.Sprintf("%s %s", method, times(n)))
	}
	if slices.Sort(asked); asked != nil {
		out.Notes["server_requests"] = "the server asked for " + strings.Join(asked, ", ")
	}
}
