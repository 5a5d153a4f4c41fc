package mock

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
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
