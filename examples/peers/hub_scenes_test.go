package peers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mcpgoserver "github.com/mark3labs/mcp-go/server"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A stage is a way to have a server behind the gateway, and what can be done there.
type stage struct {
	name      string
	modern    bool // the server and its transport can be without sessions
	legacy    bool // and with them
	asks      bool // the server may ask its client, in a session
	cancels   bool // the server understands notifications/cancelled
	announces bool // what it says unasked reaches a session's stream
	handler   func(diary) http.Handler
	entry     string // of the configuration, in place of a handler
}

func stages() []stage {
	sdk := func(options *mcp.StreamableHTTPOptions) func(diary) http.Handler {
		return func(d diary) http.Handler {
			s := actor(d)
			return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, options)
		}
	}
	return []stage{
		{name: "sdk", legacy: true, cancels: true, asks: true, announces: true, handler: sdk(nil)},
		{name: "sdk-stateless", legacy: true, modern: true, handler: sdk(&mcp.StreamableHTTPOptions{Stateless: true, PropagateRequestCancellation: true})},
		{name: "sdk-store", legacy: true, cancels: true, asks: true, announces: true, handler: sdk(&mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)})},
		{name: "mcp-go", legacy: true, modern: true, cancels: true, asks: true, announces: true, handler: func(d diary) http.Handler {
			return mcpgoserver.NewStreamableHTTPServer(actorMCPGo(d))
		}},
		{name: "sdk-sse", legacy: true, cancels: true, announces: true, entry: ", transport: sse", handler: func(d diary) http.Handler {
			s := actor(d)
			return mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return s }, nil)
		}},
		{name: "mcp-go-sse", legacy: true, cancels: true, announces: true, entry: ", transport: sse", handler: func(d diary) http.Handler {
			return mcpgoserver.NewSSEServer(actorMCPGo(d))
		}},
		{name: "shared", legacy: true, modern: true, cancels: true, announces: true, entry: ", isolation: shared"},
		{name: "client", legacy: true, modern: true, cancels: true, asks: true, announces: true, entry: ", isolation: client"},
		{name: "session", legacy: true, modern: true, cancels: true, asks: true, announces: true, entry: ", isolation: session"},
	}
}

// TestScenesThroughHub goes with both clients through all that can happen between a client and a server.
func TestScenesThroughHub(t *testing.T) {
	all, diaries := stages(), make(map[string]diary)
	config := twoClients + "servers:\n"
	for _, s := range all {
		d := diary(filepath.Join(t.TempDir(), "diary"))
		diaries[s.name] = d
		config += "  - { name: " + s.name + ", policy: { deny_tools: [forbidden] }, "
		if s.handler == nil {
			config += child(d)
		} else {
			served := httptest.NewServer(s.handler(d))
			t.Cleanup(served.CloseClientConnections)
			path := "/mcp"
			if strings.HasSuffix(s.name, "-sse") {
				path = "/sse"
			}
			config += fmt.Sprintf("url: %q", served.URL+path)
		}
		config += s.entry + " }\n"
	}
	g := startGateway(t, build(t, "./cmd/mcpx"), config)
	for _, s := range all {
		for _, client := range []string{"go-sdk", "mcp-go"} {
			for _, version := range []string{legacy, modern} {
				if version == legacy && !s.legacy || version == modern && !s.modern {
					continue
				}
				t.Run(client+" "+version+" "+s.name, func(t *testing.T) {
					t.Parallel()
					play(t, s, client, version, g.url+s.name, diaries[s.name])
				})
			}
		}
	}
}

// child is the command of an entry: the test binary as a server.
func child(d diary) string {
	program, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("command: %q, env: { %s: %q, MARK: \"${MARK}\" }", program, diaryVariable, string(d))
}

func play(t *testing.T, s stage, client, version, url string, d diary) {
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	g, err := visit(ctx, client, url, version, &bearer{token: client + "-token"})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	tools, err := g.list(ctx, "tools")
	if names := jsonOf(t, tools); err != nil || !strings.Contains(names, "echo") || strings.Contains(names, "forbidden") {
		t.Errorf("tools/list: %v, %s", err, names)
	}
	g.expect(ctx, t, "echo", "\u2028 \U0001f600 \\", "\u2028 \U0001f600 \\")
	if _, err := g.text(ctx, "forbidden", ""); err == nil || !strings.Contains(err.Error(), "policy.deny_tools[0]") {
		t.Errorf("the denial says %v", err)
	}
	playProgress(ctx, t, g, d)
	if version == legacy {
		playSession(ctx, t, s, g)
	}
	playCancel(ctx, t, s.cancels && client == "go-sdk" || version == modern, g, d)
	g.expect(ctx, t, "echo", "after", "after")
	if err := g.close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if got := d.count("forbidden"); got != 0 {
		t.Errorf("the server has seen %d denied calls", got)
	}
	if version == legacy {
		wantGone(ctx, t, url, g.over)
	}
	if s.handler == nil { // what was not given up ends with its session
		if err := d.wait(ctx, "cancelled "+t.Name()); err != nil {
			t.Error(err)
		}
	}
}

// playProgress wants notifications of progress before the answer.
func playProgress(ctx context.Context, t *testing.T, g *guest, d diary) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		text, err := g.text(ctx, progressing, t.Name())
		if err == nil && text != "done" {
			err = errors.New(text)
		}
		done <- err
	}()
	g.await(ctx, t, "notifications/progress", 3)
	d.note("progressed " + t.Name())
	if err := <-done; err != nil {
		t.Errorf("a call with progress: %v", err)
	}
}

// playCancel gives up a call. The client of mcp-go does not say so over HTTP; to a modern server the end of the connection
// says it.
func playCancel(ctx context.Context, t *testing.T, hears bool, g *guest, d diary) {
	t.Helper()
	calling, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 1)
	go func() {
		_, err := g.text(calling, "wait", t.Name())
		failed <- err
	}()
	if err := d.wait(ctx, "wait "+t.Name()); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-failed; err == nil {
		t.Error("a cancelled call succeeds")
	}
	if !hears {
		return
	}
	if err := d.wait(ctx, "cancelled "+t.Name()); err != nil {
		t.Error(err)
	}
}

// playSession does what needs a session: the server speaks unasked.
func playSession(ctx context.Context, t *testing.T, s stage, g *guest) {
	t.Helper()
	if s.asks {
		g.expect(ctx, t, "ask", "", "Ada")
	} else if got, err := g.text(ctx, "ask", ""); err == nil && !strings.HasPrefix(got, "failed: ") {
		t.Errorf("the server asks, and gets %q", got)
	}
	if !s.announces {
		return
	}
	if err := g.subscribe(ctx, watched); err != nil {
		t.Errorf("subscribe: %v", err)
	}
	g.expect(ctx, t, "touch", "", "touched")
	g.await(ctx, t, "notifications/resources/updated", 1)
	name, err := g.text(ctx, "grow", "")
	if err != nil {
		t.Fatal(err)
	}
	g.await(ctx, t, "notifications/tools/list_changed", 1)
	tools, err := g.list(ctx, "tools")
	if err != nil || !strings.Contains(jsonOf(t, tools), name) {
		t.Errorf("the new tool %s is not listed: %v", name, err)
	}
}

// wantGone wants a session to have ended.
func wantGone(ctx context.Context, t *testing.T, url string, over *bearer) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Mcp-Session-Id", over.sessionID())
	response, err := over.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("the session %q that was ended answers %d", over.sessionID(), response.StatusCode)
	}
}
