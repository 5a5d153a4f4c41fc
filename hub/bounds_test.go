package hub_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/auth"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// 10,000 idle legacy sessions cost less than 150 MB, at a server that is reached by HTTP and over a shared child.
func TestIdleSessionsAreSmall(t *testing.T) {
	const most = 2_000               // what there is once does not count, so fewer tell as much
	const limit = 150 << 20 / 10_000 // bytes each
	b := newBackend(t)
	child := hub.Server{Name: "s", Transport: "stdio", Command: os.Args[0], Env: map[string]string{"HUB_TEST_ROLE": "sdk"}}
	for _, server := range []hub.Server{{Name: "s", URL: b.URL}, child} {
		t.Run(server.Transport, func(t *testing.T) {
			g := start(t, config(server))
			for range 50 { // what is there once
				g.sessionAt("s")
			}
			before := memory()
			for range most {
				id := g.sessionAt("s")
				g.post("s", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, "Mcp-Session-Id: "+id)
				b.forget()
			}
			each := (memory() - before) / most
			t.Logf("%d bytes a session", each)
			if each > limit {
				t.Errorf("a session takes %d bytes, %d are the limit", each, limit)
			}
		})
	}
}

// memory is what is held, with the stacks of goroutines.
func memory() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// forget drops what was noted of requests.
func (b *backend) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heads = nil
}

// A watched listener tells which deadline its connections have for reading.
type watched struct {
	net.Listener
	due *atomic.Int64 // Unix time in ns of the latest; 0: none
}

func (l watched) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return watchedConn{conn, l.due}, nil
}

type watchedConn struct {
	net.Conn
	due *atomic.Int64
}

func (c watchedConn) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		c.due.Store(0)
	} else {
		c.due.Store(t.UnixNano())
	}
	return c.Conn.SetReadDeadline(t)
}

// A body that is announced and does not come holds nothing for long, though its request was refused before it was looked at.
func TestBodyOfARefusedRequestHasADeadline(t *testing.T) {
	for name, head := range map[string]string{
		"no credential":      "POST /mcp/s HTTP/1.1\r\n",
		"a server's page":    "GET /healthz HTTP/1.1\r\n",
		"no method of ours":  "PATCH /mcp/s HTTP/1.1\r\n",
		"a foreign host":     "POST /mcp/s HTTP/1.1\r\nX-Y: z\r\n",
		"nothing of its own": "OPTIONS * HTTP/1.1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var due atomic.Int64
			cfg := config()
			cfg.Auth = auth.Config{Enabled: true, Type: auth.Bearer, Token: "a-long-enough-token"}
			record, err := audit.Open(audit.Options{Config: audit.Config{Output: "stderr"}, Stderr: io.Discard, Source: "hub"})
			if err != nil {
				t.Fatal(err)
			}
			defer record.Close()
			at := make(chan string, 1)
			h, err := hub.New(t.Context(), cfg, hub.Options{
				Log: zerolog.Nop(), Record: record, Version: "test", Started: func(addr string) { at <- addr },
				Listen: func(network, address string) (net.Listener, error) {
					l, err := net.Listen(network, address)
					return watched{l, &due}, err
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- h.Serve(ctx) }()
			conn, err := net.Dial("tcp", <-at)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, head+"Host: localhost\r\nContent-Length: 1000\r\n\r\n{")
			for deadline := time.Now().Add(5 * time.Second); ; runtime.Gosched() {
				left := time.Until(time.Unix(0, due.Load()))
				if due.Load() != 0 && left > 15*time.Second && left <= 30*time.Second {
					break
				}
				if time.Now().After(deadline) {
					t.Errorf("the deadline of the body is %v away", left)
					break
				}
			}
			conn.Close()
			stop()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}

// Whatever a path looks like, it is a server's endpoint, for which a credential is needed, or it is not there.
func TestPathsOpenNothing(t *testing.T) {
	b := newBackend(t)
	cfg := config(hub.Server{Name: "b", URL: b.URL})
	cfg.Auth = auth.Config{Enabled: true, Type: auth.Bearer, Token: "a-long-enough-token", PublicPaths: []string{"/health", "/mcp/b", "/mcp/"}}
	g := start(t, cfg)
	const good = "Authorization: Bearer a-long-enough-token"
	for _, row := range []struct {
		path          string
		without, with int
	}{
		{"/mcp/b", 401, 200},
		{"/mcp/%62", 401, 200},
		{"/mcp//b", 401, 404},
		{"//mcp/b", 401, 405},
		{"/MCP/b", 401, 405},
		{"/mcp/B", 401, 404},
		{"/mcp/b/", 401, 404},
		{"/mcp/b/x", 401, 404},
		{"/mcp/b%2f", 401, 404},
		{"/mcp/b%00", 401, 404},
		{"/mcp/b;x", 401, 404},
		{"/mcp/./b", 401, 404},
		{"/mcp/../mcp/b", 401, 404},
		{"/health/../mcp/b", 401, 405},
		{"/healthz/../mcp/b", 401, 405},
		{"/.well-known/../mcp/b", 404, 404},
		{"/mcp/", 404, 404}, // public here, and nothing is there
		{"/mcp", 401, 405},
		{"/mcp/b?access_token=a-long-enough-token", 401, 200},
		{"http://localhost/mcp/b", 401, 200},
		{"/health/", 401, 405},
		{"/HEALTH", 401, 405},
		{"/health?x", 405, 405},
	} {
		for _, try := range []struct {
			heads []string
			want  int
		}{{nil, row.without}, {[]string{good}, row.with}} {
			if got, body := g.raw(request(row.path, listTools, try.heads...)); got != try.want {
				t.Errorf("%s %q: %d, want %d: %s", row.path, try.heads, got, try.want, body)
			}
		}
	}
	// Nothing that a proxy may have said makes a difference.
	for _, head := range []string{"X-Original-URL: /healthz", "X-Rewrite-URL: /healthz", "X-Forwarded-For: 127.0.0.1", "X-HTTP-Method-Override: GET", "X-Forwarded-User: default"} {
		if got, body := g.raw(request("/mcp/b", listTools, head)); got != 401 {
			t.Errorf("%s: %d %s", head, got, body)
		}
	}
	if got, _ := g.raw(request("/mcp/b", listTools, good, "Host: evil.example", "X-Forwarded-Host: localhost")); got != 403 {
		t.Errorf("a foreign host with X-Forwarded-Host: %d", got)
	}
}

// What an authenticated client sends and no guard judges is recorded all the same, once.
func TestRefusedRequestsAreRecorded(t *testing.T) {
	b := newBackend(t)
	for _, row := range []struct {
		name, body string
		heads      []string
		status     int
		want       string
	}{
		{"no message", `{`, nil, 400, ""},
		{"no such session", listTools, []string{"Mcp-Session-Id: nope"}, 404, "no such session"},
		{"initialize in a session", initialize, []string{"Mcp-Session-Id: nope"}, 400, "open already"},
		{"a subscription without a session", `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"a"}}`, nil, 400, "needs a session"},
		{"another revision", listTools, []string{"MCP-Protocol-Version: 2001-01-01"}, 400, "MCP-Protocol-Version"},
		{"an encoded body", listTools, []string{"Content-Encoding: gzip"}, 415, "encoded"},
	} {
		g := start(t, config(hub.Server{Name: "b", URL: b.URL}))
		if got := g.post("b", row.body, row.heads...); got.status != row.status {
			t.Errorf("%s: %+v", row.name, got)
		}
		g.stop()
		text := g.record.String()
		if n := strings.Count(text, `"decision":"deny"`); n != 1 || !strings.Contains(text, row.want) {
			t.Errorf("%s: %d events\n%s", row.name, n, text)
		}
	}
}

// X-Request-ID is the client's own where it is harmless, else one of ours, and on every response.
func TestRequestIDs(t *testing.T) {
	b := newBackend(t)
	g := start(t, config(hub.Server{Name: "b", URL: b.URL}))
	for _, path := range []string{"/healthz", "/nope", "/mcp/b", "/mcp/none", "/metrics"} {
		for own, kept := range map[string]bool{"abc-1": true, strings.Repeat("x", 129): false, "a b": false, `"><script>`: false} {
			got := g.do(http.MethodGet, path, "", "X-Request-ID: "+own).header["X-Request-Id"]
			if len(got) != 1 || got[0] == "" || (got[0] == own) != kept {
				t.Errorf("%s, %q: %q", path, own, got)
			}
		}
	}
	if got := fmt.Sprint(g.do(http.MethodOptions, "/mcp/b", "").header["X-Request-Id"]); got == "[]" {
		t.Error("OPTIONS has none")
	}
}
