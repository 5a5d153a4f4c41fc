package peers_test

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// twoClients begins a configuration.
const twoClients = `listen: 127.0.0.1:0
auth: { type: bearer, clients: [ { name: go-sdk, token: go-sdk-token }, { name: mcp-go, token: mcp-go-token } ] }
`

// TestClientsSeeTheSameThroughHub: what a client sees of a server by itself, it sees through the gateway, whether the server
// is behind a URL or a child of the gateway, and whoever shares the child.
func TestClientsSeeTheSameThroughHub(t *testing.T) {
	mcpx, everything := build(t, "./cmd/mcpx"), build(t, "github.com/modelcontextprotocol/go-sdk/conformance/everything-server")
	stateful, stateless := startRemote(t, everything, "-stateless=false"), startRemote(t, everything, "-stateless=true")
	child := func(name, isolation string) string {
		return fmt.Sprintf("  - { name: %s, command: %q, isolation: %s, env: { MARK: \"${MARK}\" } }\n", name, everything, isolation)
	}
	g := startGateway(t, mcpx, twoClients+fmt.Sprintf("servers:\n  - { name: stateful, url: %q }\n  - { name: stateless, url: %q }\n",
		stateful, stateless)+child("shared", "shared")+child("client", "client")+child("session", "session"))
	for _, server := range []struct {
		name, version string
		direct        string // URL of the same server; "": it is started
		talk          func(*conversation)
	}{
		{"stateful", legacy, stateful, talkToGo},
		{"stateless", modern, stateless, talkToGo},
		{"shared", legacy, "", talkUnasked},
		{"shared", modern, "", talkToGo},
		{"client", legacy, "", talkToGo},
		{"session", legacy, "", talkToGo},
		{"session", modern, "", talkToGo},
	} {
		for name, reach := range remoteClients {
			t.Run(name+" to "+server.name+" "+server.version, func(t *testing.T) {
				t.Parallel()
				talk := func(dial func(ctx context.Context, notify func(any)) (session, error)) transcript {
					return talkTo(t, server.version, server.talk, dial)
				}
				through := talk(func(ctx context.Context, notify func(any)) (session, error) {
					return reach(ctx, g.url+server.name, &http.Client{Transport: &bearer{token: name + "-token"}}, server.version, notify)
				})
				if failed := through.failed("nowhere"); len(failed) > 0 {
					t.Errorf("the conversation fails: %v", failed)
				}
				direct := talk(func(ctx context.Context, notify func(any)) (session, error) {
					if server.direct != "" {
						return reach(ctx, server.direct, http.DefaultClient, server.version, notify)
					}
					return clients[name](ctx, exec.CommandContext(ctx, everything), server.version, notify)
				})
				if server.direct == "" {
					direct.forgetToken()
					through.forgetToken()
				}
				if diff := cmp.Diff(direct, through, failuresAlone); diff != "" {
					t.Errorf("through the gateway the client sees another thing (-direct +through):\n%s", diff)
				}
			})
		}
	}
}

// talkUnasked is talkToGo without what a server asks of its client: a shared one cannot know which client that is.
func talkUnasked(c *conversation) {
	c.lists()
	c.tool("test_simple_text", none, 0)
	c.tool("test_error_handling", none, 0)
	c.tool("test_tool_with_progress", none, 3)
	c.atOnce("test_simple_text", func(int) map[string]any { return none })
	c.resource("resource", "test://static-text")
	c.resource("nowhere", "test://nowhere")
	c.prompted("test_prompt_with_arguments", map[string]string{"arg1": "x", "arg2": "\u00e9"})
	c.completed("test_prompt_with_arguments", "arg1", "x")
}

// forgetToken drops the answer of a tool that repeats its progress token: a child is given another one, since those of its
// clients may be the same.
func (t transcript) forgetToken() {
	for i := range t {
		if t[i].Name == "test_tool_with_progress" {
			t[i].Value = nil
		}
	}
}

// talkTo has a conversation.
func talkTo(t *testing.T, version string, talk func(*conversation), dial func(ctx context.Context, notify func(any)) (session, error)) transcript {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	notes := make(chan any, 64)
	s, err := dial(ctx, func(note any) { notes <- note })
	if err != nil {
		t.Fatal(err)
	}
	c := &conversation{session: s, ctx: ctx, version: version, notes: notes}
	c.seen.note("hello", s.hello(), nil)
	talk(c)
	if err := s.close(); err != nil {
		t.Errorf("close: %v", err)
	}
	return c.seen
}
