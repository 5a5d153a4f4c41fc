package policy

import (
	"fmt"
	"strings"
	"testing"
)

// What a layer in shadow mode says is what it would have decided; what it lets through is what the other layers do.
func TestShadowTellsWhatEnforcingWouldDecide(t *testing.T) {
	prefix := "/data/"
	configs := []Config{
		{},
		{AllowTools: []string{"read_*"}},
		{DenyTools: []string{"rm"}, AllowMethods: []string{"vendor/*"}},
		{ReadOnly: true},
		{ToolRules: map[string]ToolRule{"*": {Args: map[string]Constraint{"path": {Prefix: &prefix, Required: true}}, DenyUnknownArgs: true}}},
		{AllowResources: []string{"file:///data/**"}, DenyPrompts: []string{"evil"}},
		{ServerRequests: ServerRequests{Sampling: "deny", Roots: "deny"}},
	}
	further := []Config{{}, {DenyTools: []string{"read_secret"}}, {AllowResources: []string{"file:///data/a"}, AllowMethods: []string{"vendor/x"}}}
	asked := 0
	for i, config := range configs {
		for j, other := range further {
			layer := Layer{"hub", other}
			enforced := mustCompile(t, config, layer)
			rehearsed := config
			rehearsed.Shadow = true
			left := Config{}
			if other.hasRules() { // unknown methods are closed then, but for those that the server's own policy opens
				left.AllowMethods = config.AllowMethods
			}
			shadow, rest := mustCompile(t, rehearsed, layer), mustCompile(t, left, layer)
			for what, ask := range questions() {
				asked++
				name := fmt.Sprintf("config %d with %d: %s", i, j, what)
				want, got, others := ask(enforced), ask(shadow), ask(rest)
				switch {
				case !others.Allow:
					if got != others {
						t.Errorf("%s: %+v, the layers that are enforced say %+v", name, got, others)
					}
				case want.Allow:
					if got.Shadow || !got.Allow {
						t.Errorf("%s: %+v, enforcing allows", name, got)
					}
				default:
					if !got.Allow || !got.Shadow || got.Rule != want.Rule || got.Reason != ShadowPrefix+want.Reason {
						t.Errorf("%s: %+v, enforcing says %+v", name, got, want)
					}
				}
			}
		}
	}
	if asked < 200 {
		t.Errorf("only %d questions", asked)
	}
}

func questions() map[string]func(*Engine) Decision {
	all := map[string]func(*Engine) Decision{}
	for _, tool := range []string{"read_file", "rm", "RM", "read_secret", "r\u202em", ""} {
		all["list "+tool] = func(e *Engine) Decision { return e.Tool([]byte(tool)) }
		for _, args := range []string{"", "null", `{}`, `{"path":"/data/x"}`, `{"path":"/etc"}`, `{"path":"/data/x","more":1}`, `{"Path":"/etc"}`, `[]`} {
			all["call "+tool+args] = func(e *Engine) Decision { return e.Call([]byte(tool), []byte(args)[:len(args):len(args)]) }
		}
	}
	for _, uri := range []string{"file:///data/a", "file:///data/b", "file:///etc/passwd", "file:///data/../etc"} {
		all["read "+uri] = func(e *Engine) Decision { return e.Resource([]byte(uri)) }
		all["template "+uri] = func(e *Engine) Decision { return e.Template([]byte(uri)) }
	}
	for _, prompt := range []string{"good", "evil"} {
		all["prompt "+prompt] = func(e *Engine) Decision { return e.Prompt([]byte(prompt)) }
	}
	for _, method := range []string{"sampling/createMessage", "roots/list", "elicitation/create", "vendor/x", "vendor/y", "tasks/list"} {
		all["asks "+method] = func(e *Engine) Decision { return e.ServerRequest(method) }
		if !strings.Contains(method, "/create") && method != "roots/list" {
			all["method "+method] = func(e *Engine) Decision { return e.Method(method, ClientRequest) }
		}
	}
	return all
}

// The rules of a hub bind a machine whose own file is in shadow mode.
func TestShadowOfOneLayerIsNotThatOfAnother(t *testing.T) {
	e := mustCompile(t, Config{DenyTools: []string{"a"}, Shadow: true}, Layer{"hub", Config{DenyTools: []string{"b"}}}, Layer{"hub client x", Config{DenyTools: []string{"c"}, Shadow: true}})
	for name, want := range map[string]Decision{
		"a": {Allow: true, Shadow: true, Rule: "policy.deny_tools[0]"},
		"b": {Rule: "hub.deny_tools[0]"},
		"c": {Allow: true, Shadow: true, Rule: "hub client x.deny_tools[0]"},
		"d": {Allow: true, Rule: DefaultRule},
	} {
		got := e.Call([]byte(name), nil)
		if got.Reason = ""; got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	d, trace := e.Explain([]byte("c"), nil)
	if last := trace[len(trace)-1]; !d.Shadow || last.Rule != d.Rule || last.Verdict != deny {
		t.Errorf("explained as %+v, %+v", d, trace)
	}
}

// What a layer in shadow mode says of how denials look is rehearsed no more than enforced: the server's own entry says that.
func TestShadowOfALayerLeavesDenialsAsTheyLook(t *testing.T) {
	for _, row := range []struct {
		name      string
		own, hubs Config
		hides     bool
	}{
		{"the hub's, enforced", Config{}, Config{HideDenied: true}, true},
		{"the hub's, rehearsed", Config{}, Config{HideDenied: true, Shadow: true}, false},
		{"its own, rehearsed", Config{HideDenied: true, Shadow: true}, Config{}, true},
	} {
		if got := mustCompile(t, row.own, Layer{"hub", row.hubs}).HideDenied(); got != row.hides {
			t.Errorf("%s: hides %v", row.name, got)
		}
	}
}
