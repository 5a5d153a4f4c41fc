package peers_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	mcpgo "github.com/mark3labs/mcp-go/mcp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const progressing = "test_tool_with_progress" // clients give it a progress token

// A guest is a client of either library at a URL, with what its server told it unasked.
type guest struct {
	session
	over *bearer
	news chan string // methods of notifications
}

// visit connects a client, which speaks that version if the server does.
func visit(ctx context.Context, client, url, version string, over *bearer) (*guest, error) {
	g := &guest{over: over, news: make(chan string, 1024)}
	transport := &http.Client{Transport: over}
	var err error
	if client == "go-sdk" {
		options := sdkOptions(func(any) {})
		options.ProgressNotificationHandler = func(context.Context, *mcp.ProgressNotificationClientRequest) { g.news <- "notifications/progress" }
		options.ToolListChangedHandler = func(context.Context, *mcp.ToolListChangedRequest) { g.news <- "notifications/tools/list_changed" }
		options.ResourceUpdatedHandler = func(context.Context, *mcp.ResourceUpdatedNotificationRequest) {
			g.news <- "notifications/resources/updated"
		}
		g.session, err = connectSDKWith(ctx, &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: transport}, version, options)
		return g, err
	}
	if g.session, err = reachMCPGo(ctx, url, transport, version, func(any) {}); err != nil {
		return nil, err
	}
	g.session.(mcpGoSession).OnNotification(func(n mcpgo.JSONRPCNotification) { g.news <- n.Method })
	return g, nil
}

func (g *guest) subscribe(ctx context.Context, uri string) error {
	switch s := g.session.(type) {
	case sdkSession:
		return s.Subscribe(ctx, &mcp.SubscribeParams{URI: uri})
	case mcpGoSession:
		return s.Subscribe(ctx, mcpgo.SubscribeRequest{Params: mcpgo.SubscribeParams{URI: uri}})
	}
	panic("no such client")
}

// await waits for so many notifications of a method; others are left out.
func (g *guest) await(ctx context.Context, t *testing.T, method string, count int) {
	t.Helper()
	for count > 0 {
		select {
		case got := <-g.news:
			if got == method {
				count--
			}
		case <-ctx.Done():
			t.Fatalf("%d of %s do not come", count, method)
		}
	}
}

// text calls a tool and gives the text of its result.
func (g *guest) text(ctx context.Context, tool, text string) (string, error) {
	value, err := g.call(ctx, tool, map[string]any{"text": text})
	if err != nil {
		return "", err
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	var result struct {
		Content []struct{ Text string }
		IsError bool
	}
	if err := json.Unmarshal(raw, &result); err != nil {
		return "", err
	}
	var all strings.Builder
	for _, c := range result.Content {
		all.WriteString(c.Text)
	}
	if result.IsError {
		return "failed: " + all.String(), nil
	}
	return all.String(), nil
}

// expect calls a tool and wants that text.
func (g *guest) expect(ctx context.Context, t *testing.T, tool, text, want string) {
	t.Helper()
	if got, err := g.text(ctx, tool, text); err != nil || got != want {
		t.Errorf("%s gives %q, %v; want %q", tool, got, err, want)
	}
}

func jsonOf(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
