package hub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/auth"
	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// A gateway is a hub on a real socket and what it has recorded.
type gateway struct {
	t      testing.TB
	hub    *hub.Hub
	url    string
	record *syncBuffer
	log    *syncBuffer
	stop   func()
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func config(servers ...hub.Server) hub.Config {
	for i := range servers {
		s := &servers[i]
		if s.RequestTimeout == 0 {
			s.RequestTimeout = 10 * time.Second
		}
		if s.Transport == "" {
			s.Transport = "http"
		}
		if s.Isolation == "" {
			s.Isolation = hub.Shared
		}
	}
	return hub.Config{
		Listen:     "127.0.0.1:0",
		Servers:    servers,
		Breaker:    hub.Breaker{Enabled: true, FailureThreshold: 5, Cooldown: 30 * time.Second, HalfOpenMax: 1},
		Limits:     hub.Limits{MaxBody: 4 << 20, MaxMessage: 64 << 20, MaxDepth: 64, MaxPages: 100},
		Inspection: integrity.Config{ToolIntegrity: "enforce"},
	}
}

func start(t testing.TB, cfg hub.Config, change ...func(*hub.Options)) *gateway {
	t.Helper()
	g := &gateway{t: t, record: new(syncBuffer), log: new(syncBuffer)}
	record, err := audit.Open(audit.Options{Config: audit.Config{Output: "stderr"}, Stderr: g.record, Source: "hub"})
	if err != nil {
		t.Fatal(err)
	}
	pins, err := integrity.Open(filepath.Join(t.TempDir(), "mcpx.lock"))
	if err != nil {
		t.Fatal(err)
	}
	listening := make(chan string, 1)
	opt := hub.Options{
		Log: zerolog.New(g.log), Record: record, Version: "test",
		Pins:    func(server string) (*integrity.Pins, error) { return pins.Server(server, cfg.Inspection), nil },
		Started: func(addr string) { listening <- addr },
	}
	for _, f := range change {
		f(&opt)
	}
	if g.hub, err = hub.New(t.Context(), cfg, opt); err != nil {
		t.Fatal(err)
	}
	g.url, g.stop = serveUntilEnd(t, g.hub, listening, record)
	return g
}

// serveUntilEnd has a hub serve until stop is called, at the latest when the test ends. Its audit log is closed then.
func serveUntilEnd(t testing.TB, h *hub.Hub, listening <-chan string, record *audit.Log) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- h.Serve(ctx) }()
	select {
	case addr := <-listening:
		url = "http://" + addr
	case err := <-served:
		cancel()
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		record.Close()
	})
	t.Cleanup(stop)
	return url, stop
}

// An answer is one HTTP response, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func (g *gateway) do(method, path, body string, heads ...string) answer {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
	}
	for _, line := range heads {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

func (g *gateway) post(server, body string, heads ...string) answer {
	g.t.Helper()
	return g.do(http.MethodPost, "/mcp/"+server, body, heads...)
}

// A backend is a Streamable HTTP server of both eras that notes what reaches it.
type backend struct {
	*httptest.Server
	mu    sync.Mutex
	calls []string // names of tools that were called
	heads []http.Header
	tools string
}

func newBackend(t testing.TB) *backend {
	b := &backend{tools: `[{"name":"echo","inputSchema":{"type":"object"}},{"name":"dangerous_delete","inputSchema":{"type":"object"}}]`}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	var m struct {
		ID     json.RawMessage
		Method string
		Params struct {
			Name      string
			Arguments json.RawMessage
		}
	}
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &m)
	b.mu.Lock()
	b.heads = append(b.heads, r.Header.Clone())
	if m.Method == "tools/call" {
		b.calls = append(b.calls, m.Params.Name)
	}
	tools := b.tools
	b.mu.Unlock()
	if m.ID == nil {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	result := `{}`
	switch m.Method {
	case "initialize":
		w.Header().Set("Mcp-Session-Id", "secret-upstream-session")
		result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"b","version":"1"}}`
	case "tools/list":
		result = `{"tools":` + tools + `}`
	case "tools/call":
		result = fmt.Sprintf(`{"content":[{"type":"text","text":%q}]}`, m.Params.Name)
	}
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
}

func (b *backend) called() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.calls, " ")
}

const (
	initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`
	listTools  = `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`
	meta       = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
)

func callTool(id int, name string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":{}}}`, id, name)
}

func callModern(id int, name string) (string, []string) {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":{},%s}}`, id, name, meta),
		[]string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: " + name}
}

// One policy, three ways to come: a single curl, a session, a modern request. A denied call never reaches the server.
func TestPolicyHoldsOnEveryWay(t *testing.T) {
	b := newBackend(t)
	g := start(t, config(hub.Server{Name: "b", URL: b.URL, Policy: policy.Config{DenyTools: []string{"dangerous_*"}}}))
	session := g.post("b", initialize)
	id := session.header.Get("Mcp-Session-Id")
	if session.status != 200 || id == "" || id == "secret-upstream-session" {
		t.Fatalf("initialize: %+v", session)
	}
	g.post("b", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, "Mcp-Session-Id: "+id)
	for _, row := range []struct {
		name  string
		heads []string
	}{
		{"bare", nil},
		{"session", []string{"Mcp-Session-Id: " + id, "MCP-Protocol-Version: 2025-11-25"}},
	} {
		if got := g.post("b", listTools, row.heads...); got.status != 200 || !strings.Contains(got.body, `"echo"`) || strings.Contains(got.body, "dangerous") {
			t.Errorf("%s: list: %+v", row.name, got)
		}
		if got := g.post("b", callTool(3, "echo"), row.heads...); got.status != 200 || got.body != `{"jsonrpc":"2.0","id":3,"result":{"content":[{"type":"text","text":"echo"}]}}` {
			t.Errorf("%s: call: %+v", row.name, got)
		}
		if got := g.post("b", callTool(4, "dangerous_delete"), row.heads...); got.status != 403 || !strings.Contains(got.body, `"id":4,"error":{"code":-32600`) || !strings.Contains(got.body, "policy.deny_tools[0]") {
			t.Errorf("%s: denied call: %+v", row.name, got)
		}
	}
	body, heads := callModern(5, "dangerous_delete")
	if got := g.post("b", body, heads...); got.status != 403 || !strings.Contains(got.body, `"id":5,"error":{"code":-32600`) {
		t.Errorf("modern: denied call: %+v", got)
	}
	body, heads = callModern(6, "echo")
	if got := g.post("b", body, heads...); got.status != 200 || !strings.Contains(got.body, `"id":6,"result"`) {
		t.Errorf("modern: call: %+v", got)
	}
	if got := b.called(); got != "echo echo echo" {
		t.Errorf("the server was called: %s", got)
	}
	g.stop()
	decisions := strings.Count(g.record.String(), `"method":"tools/call","target":"dangerous_delete","decision":"deny"`)
	if decisions != 3 {
		t.Errorf("%d denials are recorded, not 3:\n%s", decisions, g.record)
	}
}

func TestSessionBelongsToItsPrincipal(t *testing.T) {
	b := newBackend(t)
	cfg := config(hub.Server{Name: "b", URL: b.URL}, hub.Server{Name: "other", URL: b.URL})
	cfg.Auth = auth.Config{Enabled: true, Type: auth.Bearer, Clients: []auth.Client{{Name: "ann", Token: "token-of-ann"}, {Name: "bob", Token: "token-of-bob"}}}
	g := start(t, cfg)
	ann, bob := "Authorization: Bearer token-of-ann", "Authorization: Bearer token-of-bob"
	id := "Mcp-Session-Id: " + g.post("b", initialize, ann).header.Get("Mcp-Session-Id")
	for _, row := range []struct {
		name, method, path string
		heads              []string
		status             int
	}{
		{"the owner", "POST", "/mcp/b", []string{ann, id}, 200},
		{"another principal", "POST", "/mcp/b", []string{bob, id}, 404},
		{"another principal's GET", "GET", "/mcp/b", []string{bob, id}, 404},
		{"another principal's DELETE", "DELETE", "/mcp/b", []string{bob, id}, 404},
		{"another server", "POST", "/mcp/other", []string{ann, id}, 404},
		{"no credential", "POST", "/mcp/b", []string{id}, 401},
		{"no credential, no server", "POST", "/mcp/none", nil, 401},
		{"an unknown server", "POST", "/mcp/none", []string{ann}, 404},
		{"the owner's DELETE", "DELETE", "/mcp/b", []string{ann, id}, 204},
		{"a session that has ended", "POST", "/mcp/b", []string{ann, id}, 404},
	} {
		if got := g.do(row.method, row.path, listTools, row.heads...); got.status != row.status {
			t.Errorf("%s: status %d, want %d: %s", row.name, got.status, row.status, got.body)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.heads {
		if h.Get("Authorization") != "" {
			t.Error("the client's token went upstream")
		}
	}
}
