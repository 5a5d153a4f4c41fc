package policy_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	promise = `{"jsonrpc":"2.0","id":0,"result":{"capabilities":{"tools":{"listChanged":true},"prompts":{},"resources":{"listChanged":true,"subscribe":true}}}}`
	begun   = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	subMeta = `"_meta":{"io.modelcontextprotocol/subscriptionId":`
	sub     = `{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"promptsListChanged":true},` +
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	subAck = `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"promptsListChanged":true},` + subMeta + `"l"}}}`
)

// A client is told to list again where, and in the words in which, the server has said that it would tell.
func TestClientIsToldOnlyWhatTheServerPromised(t *testing.T) {
	const toolsChanged = `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}` + "\n" + `{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}`
	for _, row := range []struct {
		name  string
		lines string // of the client, and after "<" of the server
		want  string
	}{
		{"nothing was said", "", ""},
		{"no answer to initialize", initialize, ""},
		{"initialized is missing", initialize + "\n<" + promise, ""},
		{"no promise", initialize + "\n<" + initialized + "\n" + begun, ""},
		{"a promise", initialize + "\n<" + promise + "\n" + begun, toolsChanged},
		{"no promise in a word", initialize + "\n<" + strings.ReplaceAll(promise, "true", `"true"`) + "\n" + begun, ""},
		{"no acknowledgement", sub, ""},
		{"an acknowledgement", sub + "\n<" + subAck, `{"jsonrpc":"2.0","method":"notifications/prompts/list_changed","params":{` + subMeta + `"l"}}}`},
		{"of another", sub + "\n<" + strings.Replace(subAck, `"l"`, `"k"`, 1), ""},
		{"of a request that is no subscription", strings.Replace(sub, "subscriptions/listen", "ping", 1) + "\n<" + subAck, ""},
		{"cancelled", sub + "\n<" + subAck + "\n" + `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"l"}}`, ""},
		{"ended", sub + "\n<" + subAck + "\n<" + `{"jsonrpc":"2.0","id":"l","result":{}}`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLink(t, policy.Config{}, integrity.Config{ToolIntegrity: "off"})
			for line := range strings.Lines(row.lines) {
				line = strings.TrimSuffix(line, "\n")
				if server, ok := strings.CutPrefix(line, "<"); ok {
					l.say(l.g.FromServer, server)
				} else {
					l.say(l.g.FromClient, line)
				}
			}
			before := strings.Count(l.rec.String(), "\n")
			var out jsonrpc.Outbox
			l.g.Unasked(&out)
			l.g.Commit(&out)
			if got := joined(out.ToClient); got != row.want || len(out.ToServer) > 0 {
				t.Errorf("the client is told %q, the server %q", got, joined(out.ToServer))
			}
			if events := strings.Count(l.rec.String(), "\n") - before; (events == 1) != (row.want != "") {
				t.Errorf("%d events", events)
			}
		})
	}
}

// What is approved in a file that another process writes is told within a second or two, once, and nothing is looked at
// where nothing is withheld.
func TestApprovalWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(t, policy.Config{}, integrity.Config{ToolIntegrity: "enforce"})
		l.say(l.g.FromClient, initialize)
		l.say(l.g.FromServer, promise)
		list := func(tool string) string {
			l.say(l.g.FromClient, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
			got, _ := l.say(l.g.FromServer, `{"jsonrpc":"2.0","id":1,"result":{"tools":[`+tool+`]}}`)
			return got
		}
		news, done := l.g.Attend()
		defer done() // and the timer with it, or the bubble would not end
		woken := func(within time.Duration) bool {
			select {
			case <-news:
				return true
			case <-time.After(within):
				return false
			}
		}
		const before, after = `{"name":"a","description":"x","inputSchema":{"type":"object"}}`, `{"name":"a","description":"y","inputSchema":{"type":"object"}}`
		if got := list(before); !strings.Contains(got, before) || woken(time.Hour) {
			t.Errorf("the first list: %s", got)
		}
		if got := list(after); strings.Contains(got, after) || woken(time.Hour) {
			t.Errorf("a definition that has changed: %s", got)
		}
		theirs, err := integrity.Open(l.pins.Path())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Approve("s"); err != nil {
			t.Fatal(err)
		}
		if !woken(2 * time.Second) {
			t.Error("the approval is not noticed")
		}
		if got := list(after); !strings.Contains(got, after) || woken(time.Hour) {
			t.Errorf("after the approval: %s", got)
		}
		list(before)
	})
}

// Where nobody is to be told of changes, nobody looks for them; who subscribes later is told, though the list came over another
// link, as it does where each request is one.
func TestNothingIsLookedForInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		census := policy.NewCensus(0)
		l := newLink(t, policy.Config{}, integrity.Config{ToolIntegrity: "enforce"}, func(opt *policy.GuardOptions) { opt.Census = census })
		other := newLink(t, policy.Config{}, integrity.Config{ToolIntegrity: "enforce"}, func(opt *policy.GuardOptions) {
			opt.Census, opt.Pins = census, l.pins.Server("s", opt.Inspection)
		})
		woken, done := other.g.Attend()
		defer done()
		const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
		for _, says := range []string{"x", "y"} {
			l.say(l.g.FromClient, list)
			l.say(l.g.FromServer, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","description":"`+says+`","inputSchema":{"type":"object"}}]}}`)
		}
		theirs, err := integrity.Open(l.pins.Path())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Approve("s"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-woken:
			t.Error("woken, but nobody is to be told")
		case <-time.After(time.Hour):
		}
		other.say(other.g.FromClient, sub)
		other.say(other.g.FromServer, subAck)
		select {
		case <-woken:
		case <-time.After(2 * time.Second):
			t.Error("the approval is not told to who has subscribed since")
		}
	})
}
