package streamable_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	mcpgo "github.com/mark3labs/mcp-go/mcp"
	mcpgoserver "github.com/mark3labs/mcp-go/server"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/streamable"
)

// officialServer is the official SDK's, with a tool that reports progress before it answers. Its version 1.8 does not decode
// Mcp-Name, so the tool has a plain name.
func officialServer(t *testing.T, opt mcp.StreamableHTTPOptions) string {
	t.Helper()
	s := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	type input struct {
		Text string `json:"text"`
	}
	mcp.AddTool(s, &mcp.Tool{Name: "echo", Description: "d"}, func(ctx context.Context, r *mcp.CallToolRequest, in input) (*mcp.CallToolResult, any, error) {
		if token := r.Params.GetProgressToken(); token != nil {
			_ = r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: token, Progress: 1}) // JSON has no place for it
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: in.Text}}}, nil, nil
	})
	return listen(t, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &opt))
}

func mcpGoServer(t *testing.T, opts ...mcpgoserver.StreamableHTTPOption) string {
	t.Helper()
	s := mcpgoserver.NewMCPServer("s", "1")
	s.AddTool(mcpgo.NewTool("écho", mcpgo.WithString("text")), func(ctx context.Context, r mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
		if r.Params.Meta != nil && r.Params.Meta.ProgressToken != nil {
			params := map[string]any{"progressToken": r.Params.Meta.ProgressToken, "progress": 1}
			if err := s.SendNotificationToClient(ctx, "notifications/progress", params); err != nil {
				return nil, err
			}
		}
		return mcpgo.NewToolResultText(r.GetString("text", "")), nil
	})
	return listen(t, mcpgoserver.NewStreamableHTTPServer(s, opts...))
}

func listen(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/mcp"
}

func TestServersOfOthers(t *testing.T) {
	for _, c := range []struct {
		name, url string
		tool      string
		modern    bool // it takes requests of that era
		session   bool
	}{
		{"official", officialServer(t, mcp.StreamableHTTPOptions{}), "echo", false, true},
		{"official, JSON", officialServer(t, mcp.StreamableHTTPOptions{JSONResponse: true}), "echo", false, true},
		{"official, stateless", officialServer(t, mcp.StreamableHTTPOptions{Stateless: true}), "echo", true, false},
		{"mcp-go", mcpGoServer(t), "écho", true, true},
		{"mcp-go, stateless", mcpGoServer(t, mcpgoserver.WithStateLess(true)), "écho", true, false},
	} {
		t.Run(c.name+", legacy", func(t *testing.T) {
			client := newClient(t, streamable.ClientOptions{URL: c.url})
			legacyTalk(t, client, c.tool)
			if got := client.SessionID() != ""; got != c.session {
				t.Errorf("has a session: %v, want %v", got, c.session)
			}
			if err := client.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		if c.modern {
			t.Run(c.name+", modern", func(t *testing.T) { modernTalk(t, newClient(t, streamable.ClientOptions{URL: c.url}), c.tool) })
		}
	}
}

func legacyTalk(t *testing.T, client *streamable.Client, tool string) {
	t.Helper()
	ctx := testContext(t)
	call := func(request string) string {
		t.Helper()
		var got arrivals
		if err := client.Call(ctx, message(t, request), got.take); err != nil {
			t.Fatalf("%s: %v", request, err)
		}
		return strings.Join(got, "\n")
	}
	call(`{"jsonrpc":"2.0","id":"first","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
	if err := client.Send(ctx, message(t, initialized)); err != nil {
		t.Fatalf("initialized: %v", err)
	}
	if got := call(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); !strings.Contains(got, `"name":"`+tool+`"`) {
		t.Errorf("tools: %s", got)
	}
	for id := range 3 {
		got := call(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":{"text":"t%d"},"_meta":{"progressToken":"p"}}}`, id, tool, id))
		if !strings.Contains(got, fmt.Sprintf(`"text":"t%d"`, id)) {
			t.Errorf("call %d: %s", id, got)
		}
	}
}

func modernTalk(t *testing.T, client *streamable.Client, tool string) {
	t.Helper()
	const meta = `"_meta":{"progressToken":"p","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}`
	for _, step := range []struct{ request, want string }{
		{`"method":"server/discover","params":{` + meta + `}`, "2026-07-28"},
		{`"method":"tools/list","params":{` + meta + `}`, `"name":"` + tool + `"`},
		{`"method":"tools/call","params":{"name":"` + tool + `","arguments":{"text":"hello"},` + meta + `}`, `"text":"hello"`},
		{`"method":"nothing/like/that","params":{` + meta + `}`, `404 {`},
	} {
		var got arrivals
		err := client.Call(testContext(t), message(t, `{"jsonrpc":"2.0","id":"x",`+step.request+`}`), got.take)
		if err != nil || !strings.Contains(strings.Join(got, "\n"), step.want) {
			t.Errorf("%s: %q, %v", step.request, got, err)
		}
	}
}

// What a client over a pipe sees of an HTTP server is what it would see of a child.
func TestConnToServersOfOthers(t *testing.T) {
	for _, c := range []struct{ name, url, tool string }{
		{"official", officialServer(t, mcp.StreamableHTTPOptions{}), "echo"},
		{"official, stateless", officialServer(t, mcp.StreamableHTTPOptions{Stateless: true}), "echo"},
		{"mcp-go", mcpGoServer(t), "écho"},
	} {
		t.Run(c.name, func(t *testing.T) {
			pool, err := streamable.NewPool(streamable.ClientOptions{URL: c.url})
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			client := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, &mcp.ClientOptions{})
			pipes, over := pipeTo(t, streamable.NewConn(streamable.NewClient(pool), nil))
			session, err := client.Connect(testContext(t), pipes, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				text := fmt.Sprint("t", i)
				result, err := session.CallTool(testContext(t), &mcp.CallToolParams{Name: c.tool, Arguments: map[string]any{"text": text}})
				if err != nil || len(result.Content) != 1 || result.Content[0].(*mcp.TextContent).Text != text {
					t.Errorf("call %d: %v, %v", i, result, err)
				}
			}
			_ = session.Close()
			over()
		})
	}
}

// pipeTo returns what a client over a pipe speaks to, and what waits until that is over.
func pipeTo(t *testing.T, conn transport.Conn) (pipes *mcp.IOTransport, over func()) {
	t.Helper()
	fromClient, toServer := io.Pipe()
	fromServer, toClient := io.Pipe()
	var pumps sync.WaitGroup
	pumps.Go(func() {
		defer conn.Close()
		for lines := bufio.NewScanner(fromClient); lines.Scan(); {
			m := &jsonrpc.Message{}
			if fault := jsonrpc.Scan(lines.Bytes(), m); fault != nil {
				t.Errorf("the client wrote %q: %v", lines.Bytes(), fault)
				return
			}
			if err := conn.Write(context.Background(), m); err != nil {
				return
			}
		}
	})
	pumps.Go(func() {
		defer toClient.Close()
		for dst := make([]jsonrpc.Message, 8); ; {
			n, err := conn.Read(context.Background(), dst)
			for _, m := range dst[:n] {
				if _, err := toClient.Write(append(slices.Clip(m.Raw), '\n')); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	return &mcp.IOTransport{Reader: fromServer, Writer: toServer}, pumps.Wait
}
