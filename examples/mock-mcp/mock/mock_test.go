package mock

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

// dial starts the server with a control file and joins mcp-go's client to it.
func dial(t *testing.T) (ctx context.Context, c *client.Client, control string, changed <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	control = filepath.Join(t.TempDir(), "control")
	fromClient, toServer := io.Pipe()
	fromServer, toClient := io.Pipe()
	served := make(chan error, 1)
	go func() {
		err := Serve(ctx, fromClient, toClient, control)
		toClient.Close()
		served <- err
	}()
	c = client.NewClient(transport.NewIO(fromServer, toServer, io.NopCloser(nil)))
	t.Cleanup(func() {
		toServer.Close()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		cancel()
	})
	told := make(chan struct{}, 8)
	c.OnNotification(func(n mcp.JSONRPCNotification) {
		if n.Method == mcp.MethodNotificationToolsListChanged {
			told <- struct{}{}
		}
	})
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Initialize(ctx, mcp.InitializeRequest{}); err != nil {
		t.Fatal(err)
	}
	return ctx, c, control, told
}

func list(ctx context.Context, t *testing.T, c *client.Client) []mcp.Tool {
	t.Helper()
	result, err := c.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(result.Tools, func(a, b mcp.Tool) int { return len(a.Name) - len(b.Name) })
	return result.Tools
}

func TestControlFileChangesDefinitionsAndTellsTheClient(t *testing.T) {
	ctx, c, control, changed := dial(t)
	before := list(ctx, t, c)
	for _, word := range []string{"description", "schema", "annotations", "add", "remove", "lookalike"} {
		if err := os.WriteFile(control, []byte(word+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if cmp.Equal(before, list(ctx, t, c)) {
			t.Errorf("control %q changed no definition", word)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("control %q: no list_changed", word)
		}
	}
	if err := os.Remove(control); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, list(ctx, t, c)); diff != "" {
		t.Errorf("without the control file the definitions differ from the first ones (-want +got):\n%s", diff)
	}
}

func TestToolsDoWhatTheySay(t *testing.T) {
	ctx, c, _, _ := dial(t)
	file := filepath.Join(t.TempDir(), "note.txt")
	if err := os.WriteFile(file, []byte("buy milk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		tool string
		args map[string]any
		want string
		fail bool
	}{
		{tool: "echo", args: map[string]any{"text": "hello"}, want: "hello"},
		{tool: "read_file", args: map[string]any{"path": file}, want: "buy milk"},
		{tool: "read_file", args: map[string]any{"path": filepath.Dir(file)}, fail: true},
		{tool: "dangerous_delete", args: map[string]any{"path": file}, want: "deleted " + file + " (not really: this is a mock)"},
		{tool: "echo", args: map[string]any{}, fail: true},
	} {
		result, err := c.CallTool(ctx, mcp.CallToolRequest{Params: mcp.CallToolParams{Name: test.tool, Arguments: test.args}})
		if err != nil {
			t.Fatal(err)
		}
		if result.IsError != test.fail {
			t.Errorf("%s %v: isError %v, want %v", test.tool, test.args, result.IsError, test.fail)
		}
		if text, ok := mcp.AsTextContent(result.Content[0]); !test.fail && (!ok || text.Text != test.want) {
			t.Errorf("%s: got %v, want %q", test.tool, result.Content, test.want)
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("dangerous_delete deleted: %v", err)
	}
}

func TestResourcesAndPromptsAreServed(t *testing.T) {
	ctx, c, _, _ := dial(t)
	read, err := c.ReadResource(ctx, mcp.ReadResourceRequest{Params: mcp.ReadResourceParams{URI: "mock://greeting"}})
	if err != nil {
		t.Fatal(err)
	}
	if text, ok := mcp.AsTextResourceContents(read.Contents[0]); !ok || text.Text != "Hello from the mock server." {
		t.Errorf("resource: got %v", read.Contents)
	}
	if _, err := c.ReadResource(ctx, mcp.ReadResourceRequest{Params: mcp.ReadResourceParams{URI: "mock://other"}}); err == nil {
		t.Error("an unknown resource is served")
	}
	got, err := c.GetPrompt(ctx, mcp.GetPromptRequest{Params: mcp.GetPromptParams{Name: "summarize", Arguments: map[string]string{"text": "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	if text, ok := mcp.AsTextContent(got.Messages[0].Content); !ok || text.Text != "Summarize in one sentence: x" {
		t.Errorf("prompt: got %v", got.Messages)
	}
}

const greet = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
`

// TestEveryRequestIsAnsweredInOrder sends all at once and hangs up in the middle of the last line, as scripts do.
func TestEveryRequestIsAnsweredInOrder(t *testing.T) {
	var in, out strings.Builder
	in.WriteString(greet)
	const last = 200
	for id := 2; id <= last; id++ {
		fmt.Fprintf(&in, "\n"+`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"echo","arguments":{"text":"<%d>"}}}`, id, id)
	}
	if err := Serve(t.Context(), strings.NewReader(in.String()), &out, ""); err != nil {
		t.Fatal(err)
	}
	got := 0
	for line := range strings.Lines(out.String()) {
		got++
		if !strings.Contains(line, fmt.Sprintf(`"id":%d,"result":`, got)) {
			t.Fatalf("answer %d is %s", got, line)
		}
	}
	if got != last {
		t.Errorf("%d answers, want %d", got, last)
	}
}

// TestLaterRevisionsAreUnknown: a client that asks for them falls back to initialize.
func TestLaterRevisionsAreUnknown(t *testing.T) {
	for _, method := range []string{"server/discover", "subscriptions/listen"} {
		meta := `{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
		in := fmt.Sprintf(`{"jsonrpc":"2.0","id":"a","method":%q,"params":{"notifications":{"toolsListChanged":true},"_meta":%s}}`, method, meta)
		var out strings.Builder
		if err := Serve(t.Context(), strings.NewReader(in), &out, ""); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.Contains(got, `"id":"a"`) || !strings.Contains(got, `"code":-32601`) {
			t.Errorf("%s: got %s", method, got)
		}
	}
}

// TestChangeIsToldBeforeTheAnswer: who lists because of the notification must not be told the old list again.
func TestChangeIsToldBeforeTheAnswer(t *testing.T) {
	control := filepath.Join(t.TempDir(), "control")
	var out strings.Builder
	s := newSession(&out, control)
	ctx := s.server.WithContext(t.Context(), s)
	if err := s.server.RegisterSession(ctx, s); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(greet) {
		if err := s.handle(ctx, []byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(control, []byte("add"), 0o600); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := s.handle(ctx, []byte(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		for _, part := range []string{"tools/list_changed", "prompts/list_changed", "exec_shell"} {
			if strings.Contains(line, part) {
				got = append(got, part)
			}
		}
	}
	if diff := cmp.Diff([]string{"tools/list_changed", "prompts/list_changed", "exec_shell"}, got); diff != "" {
		t.Errorf("the client reads (-want +got):\n%s", diff)
	}
}
