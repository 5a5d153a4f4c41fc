package policy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// A ruling is what the audit log says of a decision.
type ruling struct {
	Kind      string `json:"kind"`
	RequestID any    `json:"request_id"`
	Method    string `json:"method"`
	Target    string `json:"target"`
	Decision  string `json:"decision"`
	Rule      string `json:"rule"`
	Reason    string `json:"reason"`
}

// decisions reads those of a log.
func decisions(t testing.TB, log []byte) []ruling {
	t.Helper()
	var all []ruling
	for line := range bytes.Lines(log) {
		var r ruling
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if r.Kind == string(audit.Decision) {
			all = append(all, r)
		}
	}
	return all
}

// Whatever the rules and whatever is said: in shadow mode exactly that passes which passes without any rule, in either direction and
// to the byte, and each decision that is recorded is the one that the same rules make where they are enforced.
func TestShadowChangesNothingAndTellsEverything(t *testing.T) {
	const rounds = 150
	denials := 0
	for seed := range uint64(rounds) {
		random := rand.New(rand.NewPCG(seed, 5))
		enforced := randomConfig(random)
		shadow := enforced
		shadow.Shadow = true
		off := integrity.Config{ToolIntegrity: "off"}
		if random.IntN(4) == 0 {
			off.FilterToolsList = new(bool)
		}
		talk := randomTalk(random)
		var links [3]*link // without rules, rehearsed, enforced
		for i, cfg := range []policy.Config{{}, shadow, enforced} {
			links[i] = newLink(t, cfg, off)
			for _, line := range talk {
				links[i].passed(line)
			}
		}
		if diff := cmp.Diff(links[0].gone.String(), links[1].gone.String()); diff != "" {
			t.Fatalf("seed %d: %+v: what passes (-without rules +in shadow mode):\n%s", seed, enforced, diff)
		}
		always, want := decisions(t, links[0].rec.Bytes()), decisions(t, links[2].rec.Bytes())
		for i := range want {
			switch d := &want[i]; {
			case always[i].Decision == "deny":
				*d = always[i] // such as a name that no rules are needed to refuse
			case d.Decision == "deny":
				d.Decision, d.Reason = "allow", policy.ShadowPrefix+d.Reason
				denials++
			}
		}
		if diff := cmp.Diff(want, decisions(t, links[1].rec.Bytes())); diff != "" {
			t.Fatalf("seed %d: %+v: what is recorded (-enforced +in shadow mode):\n%s", seed, enforced, diff)
		}
	}
	if denials < 10*rounds {
		t.Errorf("only %d denials in %d rounds", denials, rounds)
	}
}

// A line is what one side says. An answer is said only if the question has reached that side, so that those who let less pass stay in
// step.
type line struct {
	text       string
	fromServer bool
	answers    string // what must have reached this side; "": nothing
}

// passed says a line and notes what reaches the other side of it. What is given back to who said it is no business of this test.
func (l *link) passed(said line) {
	if said.answers != "" && !strings.Contains(l.gone.String(), said.answers) {
		return
	}
	judge := l.g.FromClient
	if said.fromServer {
		judge = l.g.FromServer
	}
	toClient, toServer := l.say(judge, said.text)
	if said.fromServer {
		fmt.Fprintf(&l.gone, "to the client: %s\n", toClient)
	} else {
		fmt.Fprintf(&l.gone, "to the server: %s\n", toServer)
	}
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func some(r *rand.Rand, from ...string) []string {
	if r.IntN(2) == 0 {
		return nil
	}
	var list []string
	for range 1 + r.IntN(2) {
		list = append(list, pick(r, from...))
	}
	return list
}

func randomConfig(r *rand.Rand) policy.Config {
	c := policy.Config{
		AllowTools: some(r, "read", "re*", "*"), DenyTools: some(r, "rm", "w*", "read"), ReadOnly: r.IntN(5) == 0,
		AllowResources: some(r, "file:///data/**", "file:///**"), DenyResources: some(r, "file:///data/secret/**"),
		AllowPrompts: some(r, "good", "*"), DenyPrompts: some(r, "evil", "g*"),
		AllowMethods: some(r, "vendor/*", "tasks/*"), HideDenied: r.IntN(4) == 0, OnDeny: pick(r, "", policy.OnDenyToolError),
		ServerRequests: policy.ServerRequests{Sampling: pick(r, "", "deny"), Elicitation: pick(r, "", "deny"), Roots: pick(r, "", "allow", "deny")},
	}
	if prefix := "/data/"; r.IntN(2) == 0 {
		c.ToolRules = map[string]policy.ToolRule{pick(r, "read", "*"): {
			Args: map[string]policy.Constraint{"path": {Prefix: &prefix, Required: r.IntN(2) == 0}}, DenyUnknownArgs: r.IntN(2) == 0,
		}}
	}
	return c
}

// randomTalk is a conversation of everything that rules judge, and of what they do not, such as refused names.
func randomTalk(r *rand.Rand) []line {
	talk := []line{{text: initialize}, {text: initialized, fromServer: true, answers: `"id":0`}}
	const modern = `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	for id := 1; id < 60; id++ {
		ask := func(method, params string) {
			talk = append(talk, line{text: fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s}}`, id, method, params)})
		}
		answer := func(result string) {
			talk = append(talk, line{text: fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":%s}`, id, result), fromServer: true, answers: fmt.Sprintf(`"id":%d,`, id)})
		}
		tool, uri := pick(r, "read", "rm", "write", "RM", "r\u202em", ""), pick(r, "file:///data/a", "file:///data/secret/b", "file:///etc/c", "file:///data/../d", "x:y")
		prompt, method := pick(r, "good", "evil", "GOOD"), pick(r, "vendor/x", "other/y", "tools/call")
		switch r.IntN(11) {
		case 0, 1:
			args := pick(r, ``, `,"arguments":null`, `,"arguments":{"path":"/data/x"}`, `,"arguments":{"path":"/etc","more":1}`, `,"arguments":{"Path":1}`, `,"arguments":[]`)
			ask("tools/call", fmt.Sprintf(`"name":%q%s%s`, tool, args, pick(r, "", `,"task":{"ttl":1}`, modern)))
			answer(`{"content":[]}`)
		case 2:
			ask(pick(r, "resources/read", "resources/subscribe"), fmt.Sprintf(`"uri":%q`, uri))
			answer(`{"contents":[]}`)
		case 3:
			ask("prompts/get", fmt.Sprintf(`"name":%q`, prompt))
			answer(`{"messages":[]}`)
		case 4:
			ref := pick(r, fmt.Sprintf(`{"type":"ref/prompt","name":%q}`, prompt), fmt.Sprintf(`{"type":"ref/resource","uri":%q}`, pick(r, uri, "file:///data/{x}", "file:///{x}")), `{"type":"ref/none"}`)
			ask("completion/complete", `"ref":`+ref)
			answer(`{"completion":{"values":[]}}`)
		case 5:
			ask("subscriptions/listen", fmt.Sprintf(`"notifications":{"resourceSubscriptions":["file:///data/a",%q]}%s`, uri, modern))
		case 6:
			ask(pick(r, "tasks/list", "vendor/x", "other/y"), "")
			answer(`{}`)
		case 7:
			kind, items := pick(r, "tools", "prompts", "resources", "resourceTemplates"), `[{"name":"read"},{"name":"rm"},{"name":"GOOD"},{"name":7},{"uri":"file:///etc/c"},{"uriTemplate":"file:///{x}"}]`
			ask(map[string]string{"resourceTemplates": "resources/templates/list"}[kind]+map[bool]string{true: "", false: kind + "/list"}[kind == "resourceTemplates"], "")
			answer(fmt.Sprintf(`{%q:%s}`, kind, items))
		case 8:
			talk = append(talk, line{text: fmt.Sprintf(`{"jsonrpc":"2.0","id":"s%d","method":%q,"params":{}}`, id, pick(r, "sampling/createMessage", "roots/list", "elicitation/create", "vendor/ask")), fromServer: true},
				line{text: fmt.Sprintf(`{"jsonrpc":"2.0","id":"s%d","result":{}}`, id), answers: fmt.Sprintf(`"id":"s%d"`, id)})
		case 9:
			talk = append(talk, line{text: fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"params":{}}`, pick(r, method, "notifications/roots/list_changed")), fromServer: r.IntN(2) == 0})
		case 10:
			talk = append(talk, line{text: fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":%q}}`, uri), fromServer: true})
		}
	}
	return talk
}

// What an input_required result asks is recorded and rehearsed like requests of the server, each method once, and what the protocol
// forbids is refused in every mode.
func TestShadowOfInputRequired(t *testing.T) {
	const ask = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
	for _, row := range []struct {
		name, requests string
		passes         bool
		rules          string
	}{
		{"what nobody denies", `{"a":{"method":"elicitation/create"}}`, true, "tools/call default, elicitation/create default"},
		{"the same twice", `{"a":{"method":"elicitation/create"},"b":{"method":"elicitation/create"}}`, true, "tools/call default, elicitation/create default"},
		{"no question", `{}`, true, "tools/call default"},
		{"two that would be denied", `{"a":{"method":"elicitation/create"},"b":{"method":"roots/list"},"c":{"method":"sampling/createMessage"}}`, true,
			"tools/call default, elicitation/create default, roots/list shadow policy.server_requests.roots, sampling/createMessage shadow policy.server_requests.sampling"},
		{"one that no revision knows behind it", `{"a":{"method":"roots/list"},"b":{"method":"vendor/ask"}}`, false, "tools/call default"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLink(t, policy.Config{ServerRequests: policy.ServerRequests{Roots: "deny", Sampling: "deny"}, Shadow: true}, integrity.Config{ToolIntegrity: "off"})
			l.say(l.g.FromClient, ask)
			answer := `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":` + row.requests + `}}`
			toClient, _ := l.say(l.g.FromServer, answer)
			if (toClient == answer) != row.passes {
				t.Errorf("the client is given %s", toClient)
			}
			var got []string
			for _, d := range decisions(t, l.rec.Bytes()) {
				switch {
				case d.Decision != "allow":
					got = append(got, "denied")
				case strings.HasPrefix(d.Reason, policy.ShadowPrefix):
					got = append(got, d.Method+" shadow "+d.Rule)
				default:
					got = append(got, d.Method+" "+d.Rule)
				}
			}
			if rules := strings.Join(got, ", "); rules != row.rules {
				t.Errorf("recorded %s, want %s", rules, row.rules)
			}
		})
	}
}

// An open session goes from one mode to the other between two messages.
func TestModeChangesInAnOpenSession(t *testing.T) {
	l := newLink(t, policy.Config{}, integrity.Config{ToolIntegrity: "off"})
	l.say(l.g.FromClient, initialize)
	l.say(l.g.FromServer, initialized)
	for id, shadow := range []bool{false, true, false, true} {
		engine, err := policy.Compile(policy.Config{DenyTools: []string{"rm"}, Shadow: shadow})
		if err != nil {
			t.Fatal(err)
		}
		l.g.SetRules(engine, nil)
		_, toServer := l.say(l.g.FromClient, fmt.Sprintf(`{"jsonrpc":"2.0","id":"c%d","method":"tools/call","params":{"name":"rm"}}`, id))
		if (toServer != "") != shadow {
			t.Errorf("call %d: shadow %v, the server is given %q", id, shadow, toServer)
		}
		l.say(l.g.FromClient, fmt.Sprintf(`{"jsonrpc":"2.0","id":"l%d","method":"tools/list"}`, id))
		toClient, _ := l.say(l.g.FromServer, fmt.Sprintf(`{"jsonrpc":"2.0","id":"l%d","result":{"tools":[{"name":"rm"}]}}`, id))
		if strings.Contains(toClient, `"rm"`) != shadow {
			t.Errorf("list %d: shadow %v, the client is given %s", id, shadow, toClient)
		}
	}
}
