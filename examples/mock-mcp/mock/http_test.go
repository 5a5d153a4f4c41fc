package mock

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHTTPSpeaksBothEras asks over a real socket, and lets the server turn on its users meanwhile.
func TestHTTPSpeaksBothEras(t *testing.T) {
	control := filepath.Join(t.TempDir(), "control")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- ServeHTTP(ctx, listener, control) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	session := ""
	ask := func(body, want string, headers ...string) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+listener.Addr().String()+Path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s\nanswers %s %v\n%s\nwant %s", body, response.Status, err, text, want)
		}
		if id := response.Header.Get("Mcp-Session-Id"); id != "" {
			session = id
		}
	}
	ask(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`,
		`"protocolVersion":"2025-11-25"`)
	ask(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`, `"dangerous_delete"`, "Mcp-Session-Id", session, "Mcp-Protocol-Version", "2025-11-25")
	if err := os.WriteFile(control, []byte("add"), 0o600); err != nil {
		t.Fatal(err)
	}
	ask(`{"jsonrpc":"2.0","id":3,"method":"tools/list"}`, `"exec_shell"`, "Mcp-Session-Id", session, "Mcp-Protocol-Version", "2025-11-25")
	meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
	ask(`{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"},`+meta+`}}`, `"hello"`,
		"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "echo")
}
