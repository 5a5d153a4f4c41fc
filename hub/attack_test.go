package hub_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/auth"
	"github.com/rohitgs28/mcpx/policy"
)

// raw sends bytes as they are and returns the status and the body of what comes back.
func (g *gateway) raw(text string) (status int, body string) {
	g.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		g.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer)
}

// request writes a POST by hand; heads replace the usual lines of their names.
func request(path, body string, heads ...string) string {
	lines := []string{"Host: localhost", "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body))}
	for _, h := range heads {
		name, _, _ := strings.Cut(h, ":")
		kept := lines[:0:0]
		for _, line := range lines {
			if !strings.HasPrefix(line, name+":") || strings.HasPrefix(h, "+") {
				kept = append(kept, line)
			}
		}
		lines = append(kept, strings.TrimPrefix(h, "+"))
	}
	return "POST " + path + " HTTP/1.1\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// The rows of the threat list (SECURITY.md) that come over HTTP. Whatever the answer is, a denied tool never runs.
func TestAttacksOnTheWire(t *testing.T) {
	b := newBackend(t)
	cfg := config(hub.Server{Name: "b", URL: b.URL, Policy: policy.Config{DenyTools: []string{"dangerous_delete"}}})
	cfg.Limits.MaxBody = 10_000
	g := start(t, cfg)
	g.post("b", listTools)
	danger := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"dangerous_delete","arguments":{}}}`
	modern, _ := callModern(1, "dangerous_delete")
	modernHeads := []string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: dangerous_delete"}
	with := func(more ...string) []string { return append(append([]string(nil), modernHeads...), more...) }
	for _, row := range []struct {
		name   string
		text   string
		status string // what it may begin with, separated by |
	}{
		{"E1 two names", request("/mcp/b", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"dangerous_delete"}}`), "400"},
		{"E1 two methods, one escaped", request("/mcp/b", `{"jsonrpc":"2.0","id":1,"method":"ping","meth\u006fd":"tools/call","params":{"name":"dangerous_delete"}}`), "400"},
		{"E2 a name in capitals", request("/mcp/b", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","NAME":"dangerous_delete"}}`), "400"},
		{"E2 folding beyond ASCII", request("/mcp/b", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"},"paramſ":{"name":"dangerous_delete"}}`), "400"},
		{"E3 an escaped name", request("/mcp/b", strings.Replace(danger, `"dang`, `"d\u0061ng`, 1)), "403"},
		{"E3 an escaped method", request("/mcp/b", strings.Replace(danger, `tools/call`, `tools\/call`, 1)), "403"},
		{"E4 NUL in a name", request("/mcp/b", strings.Replace(danger, `"dangerous_delete"`, `"dangerous_delete\u0000"`, 1)), "400|403"},
		{"E4 a lone surrogate", request("/mcp/b", strings.Replace(danger, `"dangerous_delete"`, `"dangerous_delete\ud800"`, 1)), "400"},
		{"E4 bad UTF-8", request("/mcp/b", strings.Replace(danger, `"dangerous_delete"`, "\"dangerous_delete\xff\"", 1)), "400"},
		{"E5 a message behind a CR", request("/mcp/b", "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\r"+danger), "400"},
		{"E6 two messages", request("/mcp/b", listTools+"\n"+danger), "400"},
		{"E6 a byte order mark", request("/mcp/b", "\ufeff"+danger), "400"},
		{"E6 not a number", request("/mcp/b", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"dangerous_delete","x":NaN}}`), "400"},
		{"E6 UTF-16", request("/mcp/b", "\xff\xfe{\x00}\x00"), "400"},
		{"E6 text/plain", request("/mcp/b", danger, "Content-Type: text/plain"), "415"},
		{"E6 gzip", request("/mcp/b", danger, "Content-Encoding: gzip"), "415"},
		{"E7 an id that is null", request("/mcp/b", strings.Replace(danger, `"id":1`, `"id":null`, 1)), "400"},
		{"E7 an id with a fraction", request("/mcp/b", strings.Replace(danger, `"id":1`, `"id":1.0`, 1)), "400"},
		{"E7 an id beyond 2^53", request("/mcp/b", strings.Replace(danger, `"id":1`, `"id":9007199254740993`, 1)), "400"},
		{"E8 method and result", request("/mcp/b", `{"jsonrpc":"2.0","id":1,"method":"tools/call","result":{},"params":{"name":"dangerous_delete"}}`), "400"},
		{"E8 no version", request("/mcp/b", strings.Replace(danger, `"jsonrpc":"2.0",`, ``, 1)), "400"},
		{"E8 params as an array", request("/mcp/b", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["dangerous_delete"]}`), "400"},
		{"E9 a batch", request("/mcp/b", `[`+danger+`]`), "400"},
		{"E9 an empty batch", request("/mcp/b", `[]`), "400"},
		{"E10 a benign Mcp-Name", request("/mcp/b", modern, modernHeads[0], modernHeads[1], "Mcp-Name: echo"), "400"},
		{"E10 two names, one benign", request("/mcp/b", modern, with("+Mcp-Name: echo")...), "400"},
		{"E10 a benign method", request("/mcp/b", modern, modernHeads[0], "Mcp-Method: tools/list", modernHeads[2]), "400"},
		{"E10 headers of the modern era alone", request("/mcp/b", danger, modernHeads...), "400"},
		{"E10 two content types", request("/mcp/b", danger, "+Content-Type: text/plain"), "400"},
		{"E10 two sessions", request("/mcp/b", danger, "Mcp-Session-Id: a", "+Mcp-Session-Id: b"), "400"},
		{"E11 a legacy revision in _meta", request("/mcp/b", strings.ReplaceAll(modern, "2026-07-28", "2025-11-25"), "MCP-Protocol-Version: 2025-11-25", modernHeads[1], modernHeads[2]), "400"},
		{"E11 initialize in the modern era", request("/mcp/b", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{`+meta+`}}`, modernHeads[0], "Mcp-Method: initialize"), "403|404|400"},
		{"E13 deep nesting", request("/mcp/b", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":`+strings.Repeat("[", 5000)), "400|413"},
		{"E13 a body beyond the limit", request("/mcp/b", strings.Repeat(" ", 10_001)+danger), "413"},
		{"E13 a body that claims to be huge", request("/mcp/b", danger, "Content-Length: 99999999999"), "413"},
		{"E13 headers beyond the limit", request("/mcp/b", danger, "X-Filler: "+strings.Repeat("x", 100_000)), "431"},
		{"E27 a foreign origin", request("/mcp/b", danger, "Origin: http://evil.example"), "403"},
		{"E27 a foreign host", request("/mcp/b", danger, "Host: evil.example"), "403"},
		{"E27 an origin that is null", request("/mcp/b", danger, "Origin: null"), "403"},
		{"E27 a form of a page", request("/mcp/b", danger, "Origin: http://localhost", "Content-Type: application/x-www-form-urlencoded"), "403|415"},
		{"E28 an unknown method", request("/mcp/b", `{"jsonrpc":"2.0","id":1,"method":"vendor/run","params":{"name":"dangerous_delete"}}`), "200"},
		{"two lengths", request("/mcp/b", danger, "+Content-Length: 5"), "400"},
		{"length and chunks", request("/mcp/b", "0\r\n\r\n", "+Transfer-Encoding: chunked", "Content-Length: 5"), "400|200"},
		{"a path that climbs", request("/mcp/x/../b", danger), "404"},
		{"an encoded path", request("/mcp/%62", danger), "403|404"},
		{"a method of WebDAV", strings.Replace(request("/mcp/b", danger), "POST", "PROPFIND", 1), "405"},
		{"E14 a task's result", request("/mcp/b", `{"jsonrpc":"2.0","id":1,"method":"tasks/result","params":{"taskId":"x"}}`), "200"},
		{"E14 a call as a task", request("/mcp/b", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","task":{"ttl":1}}}`), "403"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := *g
			g.t = t
			status, body := g.raw(row.text)
			ok := false
			for want := range strings.SplitSeq(row.status, "|") {
				ok = ok || fmt.Sprint(status) == want
			}
			if !ok {
				t.Errorf("answered %d %s", status, body)
			}
			if status == 200 && !strings.Contains(body, `"error"`) {
				t.Errorf("it was served: %s", body)
			}
		})
	}
	if got := b.called(); strings.Contains(got, "dangerous") {
		t.Errorf("the server was called: %s", got)
	}
}

// What a client holds open costs others nothing, and ends.
func TestSlowAndIdleClients(t *testing.T) {
	b := newBackend(t)
	g := start(t, config(hub.Server{Name: "b", URL: b.URL}))
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range 300 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		switch i % 3 {
		case 1:
			io.WriteString(conn, "POST /mcp/b HTTP/1.1\r\nHost: loc") // headers that never end
		case 2:
			io.WriteString(conn, "POST /mcp/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{") // a body that never ends
		}
	}
	if got := g.post("b", callTool(1, "echo")); got.status != 200 {
		t.Errorf("beside 300 slow clients: %+v", got)
	}
}

// A name that is not known must not be told from one that is, without a credential.
func TestNothingIsSaidBeforeAuth(t *testing.T) {
	b := newBackend(t)
	cfg := config(hub.Server{Name: "b", URL: b.URL})
	cfg.Auth = auth.Config{Enabled: true, Type: auth.Bearer, Token: "a-long-enough-token"}
	g := start(t, cfg)
	known, unknown := g.post("b", listTools), g.post("nope", listTools)
	if known.status != 401 || unknown.status != 401 || known.body != unknown.body {
		t.Errorf("%+v\n%+v", known, unknown)
	}
	for _, path := range []string{"/health", "/servers", "/metrics", "/"} {
		if got := g.do("GET", path, ""); got.status != 401 || got.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %+v", path, got)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := g.do("GET", path, ""); got.status != 200 {
			t.Errorf("%s: %+v", path, got)
		}
	}
	if got := g.do("GET", "/.well-known/oauth-protected-resource/mcp/b", ""); got.status != 404 {
		t.Errorf("metadata without OAuth: %+v", got)
	}
}

// Clients that use the same ids at the same time get their own answers, each in its own session or none.
func TestCollidingIDs(t *testing.T) {
	b := newBackend(t)
	b.tools = `[{"name":"echo","inputSchema":{"type":"object"}}`
	for i := range 50 {
		b.tools += fmt.Sprintf(`,{"name":"t%d","inputSchema":{"type":"object"}}`, i)
	}
	b.tools += `]`
	g := start(t, config(hub.Server{Name: "b", URL: b.URL}))
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			name := fmt.Sprintf("t%d", i)
			want := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":%q}]}}`, name)
			var heads []string
			if i%2 == 0 {
				heads = []string{"Mcp-Session-Id: " + g.post("b", initialize).header.Get("Mcp-Session-Id")}
			}
			for range 10 {
				if got := g.post("b", callTool(1, name), heads...); got.body != want {
					t.Errorf("client %d: %s", i, got.body)
				}
			}
		})
	}
	all.Wait()
}
