package policy_test

import (
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/policy"
)

const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`

// What a server asks in its result is judged however it says that it asks, and never read differently from how a client reads it.
func TestQuestionsInResults(t *testing.T) {
	const denied, allowed = `{"a":{"method":"sampling/createMessage","params":{}}}`, `{"a":{"method":"elicitation/create","params":{}}}`
	for _, row := range []struct {
		name, result string
		passes       bool
	}{
		{"allowed", `"resultType":"input_required","inputRequests":` + allowed, true},
		{"denied", `"resultType":"input_required","inputRequests":` + denied, false},
		{"a state alone", `"resultType":"input_required","requestState":"x"`, true},
		{"no questions", `"resultType":"complete","content":[]`, true},
		{"denied, and it says nothing", `"inputRequests":` + denied, false},
		{"denied, and it says that it is complete", `"resultType":"complete","inputRequests":` + denied, false},
		{"denied, in a task's words", `"resultType":"task","inputRequests":` + denied, false},
		{"a kind that is no text", `"resultType":["input_required"],"content":[]`, false},
		{"an array", `"resultType":"input_required","inputRequests":[{"method":"sampling/createMessage"}]`, false},
		{"text", `"resultType":"input_required","inputRequests":"sampling/createMessage"`, false},
		{"an entry that is text", `"resultType":"input_required","inputRequests":{"a":"sampling/createMessage"}`, false},
		{"a twin of method", `"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","Method":"sampling/createMessage"}}`, false},
		{"a twin of params", `"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":{},"paramſ":{}}}`, false},
		{"a name that is none", `"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","methods":1}}`, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLink(t, policy.Config{ServerRequests: policy.ServerRequests{Sampling: "deny", Elicitation: "allow"}}, integrity.Config{ToolIntegrity: "off"})
			l.say(l.g.FromClient, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x",`+modernMeta+`}}`)
			answer := `{"jsonrpc":"2.0","id":1,"result":{` + row.result + `}}`
			toClient, _ := l.say(l.g.FromServer, answer)
			if (toClient == answer) != row.passes || !row.passes && !strings.Contains(toClient, `"id":1,"error"`) {
				t.Errorf("the client is given %s", toClient)
			}
		})
	}
}

// What a listen request names is judged only if it stands where a server looks for it; anything else is refused.
func TestSubscriptionsOfAnotherShape(t *testing.T) {
	for _, row := range []struct {
		params string
		passes bool
	}{
		{`"notifications":{"resourceSubscriptions":["file:///data/x"]}`, true},
		{`"notifications":{"toolsListChanged":true}`, true},
		{`"notifications":{"resourceSubscriptions":["file:///etc/x"]}`, false},
		{`"notifications":{"resourceSubscriptions":{"file:///etc/x":1}}`, false},
		{`"notifications":{"resourceSubscriptions":"file:///etc/x"}`, false},
		{`"notifications":{"resourceSubscriptions":[["file:///data/x"]]}`, false},
		{`"notifications":[{"resourceSubscriptions":["file:///etc/x"]}]`, false},
	} {
		l := newLink(t, policy.Config{AllowResources: []string{"file:///data/**"}}, integrity.Config{ToolIntegrity: "off"})
		_, toServer := l.say(l.g.FromClient, `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{`+row.params+`,`+modernMeta+`}}`)
		if (toServer != "") != row.passes {
			t.Errorf("%s: the server is given %q", row.params, toServer)
		}
		if recorded := strings.Contains(l.rec.String(), `"args":"sha256:`); !recorded {
			t.Errorf("%s: what was asked for is not recorded: %s", row.params, l.rec.String())
		}
	}
}

// With hide_denied nobody can tell what is denied from what does not exist.
func TestHiddenIsLikeMissing(t *testing.T) {
	l := newLink(t, policy.Config{DenyTools: []string{"rm"}, DenyPrompts: []string{"rm"}, HideDenied: true}, integrity.Config{})
	l.say(l.g.FromClient, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+modernMeta+`}}`)
	l.say(l.g.FromServer, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","tools":[{"name":"rm"},{"name":"ok"}]}}`)
	ask := func(method, name string) string {
		toClient, _ := l.say(l.g.FromClient, `{"jsonrpc":"2.0","id":2,"method":"`+method+`","params":{"name":"`+name+`",`+modernMeta+`}}`)
		return strings.ReplaceAll(toClient, name, "NAME")
	}
	if hidden, missing := ask("tools/call", "rm"), ask("tools/call", "xx"); hidden != missing || hidden == "" || strings.Contains(hidden, "mcpx") {
		t.Errorf("hidden\n%s\nmissing\n%s", hidden, missing)
	}
	if hidden := ask("prompts/get", "rm"); !strings.Contains(hidden, "Unknown prompt: NAME") {
		t.Errorf("a hidden prompt: %s", hidden)
	}
}
