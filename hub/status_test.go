package hub_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/policy"
)

// serving is a server that answers every POST as its function says, and a plain handshake before.
func serving(t testing.TB, do func(w http.ResponseWriter, r *http.Request, body string)) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch text := string(body); {
		case strings.Contains(text, `"initialize"`):
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"jsonrpc":"2.0","id":`+idOf(text)+`,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"s","version":"1"}}}`)
		case strings.Contains(text, `"tools/list"`):
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"jsonrpc":"2.0","id":`+idOf(text)+`,"result":{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}}`)
		case strings.Contains(text, `"notifications/`):
			w.WriteHeader(http.StatusAccepted)
		default:
			do(w, r, text)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func idOf(body string) string {
	_, rest, _ := strings.Cut(body, `"id":`)
	end := strings.IndexAny(rest, ",}")
	return rest[:end]
}

// What a server does wrong is the gateway's to answer: with the request's id, and nothing of the server's inside.
func TestServerFaults(t *testing.T) {
	const inside = "10.1.2.3 /etc/secret stack trace"
	for _, row := range []struct {
		name   string
		do     func(w http.ResponseWriter, r *http.Request, body string)
		status int
	}{
		{"500", func(w http.ResponseWriter, _ *http.Request, _ string) { http.Error(w, inside, 500) }, 502},
		{"401", func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("WWW-Authenticate", "Bearer "+inside)
			http.Error(w, inside, http.StatusUnauthorized)
		}, 502},
		{"no message", func(w http.ResponseWriter, _ *http.Request, _ string) { io.WriteString(w, inside) }, 502},
		{"another id", func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"jsonrpc":"2.0","id":"of somebody else","result":{"x":"`+inside+`"}}`)
		}, 502},
		{"a result twice", func(w http.ResponseWriter, _ *http.Request, body string) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"jsonrpc":"2.0","id":`+idOf(body)+`,"result":{},"result":{"x":"`+inside+`"}}`)
		}, 502},
		{"a redirect", func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Location", "http://"+inside)
			w.WriteHeader(302)
		}, 502},
		{"a short body", func(w http.ResponseWriter, _ *http.Request, body string) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"jsonrpc":"2.0","id":`+idOf(body)+`,"result":{}}`)
		}, 502},
		{"a stream without an answer", func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Content-Type", "text/event-stream")
		}, 502},
		{"silence", func(_ http.ResponseWriter, r *http.Request, _ string) { <-r.Context().Done() }, 504},
		{"an error of its own", func(w http.ResponseWriter, _ *http.Request, body string) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"jsonrpc":"2.0","id":`+idOf(body)+`,"error":{"code":-5,"message":"mine"}}`)
		}, 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := start(t, config(hub.Server{Name: "s", URL: serving(t, row.do), RequestTimeout: 500 * time.Millisecond}))
			got := g.post("s", callTool(7, "t"))
			if got.status != row.status || !strings.Contains(got.body, `"id":7,"error"`) {
				t.Errorf("got %d %s", got.status, got.body)
			}
			for _, text := range []string{"10.1.2.3", "secret", "stack", "127.0.0.1"} {
				if strings.Contains(got.body+fmt.Sprint(got.header), text) {
					t.Errorf("%q leaks: %+v", text, got)
				}
			}
			if got.header.Get("X-Request-Id") == "" {
				t.Error("no X-Request-ID")
			}
		})
	}
}

func TestUnreachableThenBreaker(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	listener.Close()
	cfg := config(hub.Server{Name: "gone", URL: url})
	cfg.Breaker.FailureThreshold = 3
	g := start(t, cfg)
	for i := range 3 {
		if got := g.post("gone", listTools); got.status != 502 || !strings.Contains(got.body, `"id":2`) {
			t.Fatalf("call %d: %+v", i, got)
		}
	}
	got := g.post("gone", listTools)
	if got.status != 503 || got.header.Get("Retry-After") != "30" || !strings.Contains(got.body, `"id":2`) {
		t.Errorf("with the breaker open: %+v", got)
	}
	metrics := g.do("GET", "/metrics", "").body
	for _, want := range []string{"mcpx_breaker_trips_total 1", `mcpx_breaker_state{server="gone"} 1`, `mcpx_requests_total{method="tools/list",server="gone",status_code="5xx"} 4`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if health := g.do("GET", "/health", ""); health.status != 503 || !strings.Contains(health.body, `"status":"unhealthy"`) {
		t.Errorf("health: %+v", health)
	}
}

func TestRateLimit(t *testing.T) {
	b := newBackend(t)
	cfg := config(hub.Server{Name: "b", URL: b.URL})
	cfg.RateLimit = policy.RateConfig{Enabled: true, RPS: 0.5, Burst: 1}
	g := start(t, cfg)
	if got := g.post("b", listTools); got.status != 200 {
		t.Fatalf("first: %+v", got)
	}
	got := g.post("b", listTools)
	if got.status != 429 || got.header.Get("Retry-After") == "" || got.header.Get("Retry-After") == "0" || !strings.Contains(got.body, `"retry_after_ms":`) {
		t.Errorf("second: %+v", got)
	}
}

// A modern client that goes away has cancelled: the server's request ends.
func TestModernDisconnectCancels(t *testing.T) {
	cancelled := make(chan struct{})
	began := make(chan struct{})
	url := serving(t, func(_ http.ResponseWriter, r *http.Request, _ string) {
		close(began)
		<-r.Context().Done()
		close(cancelled)
	})
	g := start(t, config(hub.Server{Name: "s", URL: url}))
	ctx, cancel := context.WithCancel(t.Context())
	body, heads := callModern(1, "t")
	req, _ := http.NewRequestWithContext(ctx, "POST", g.url+"/mcp/s", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	for _, line := range heads {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	go func() {
		<-began
		cancel()
	}()
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Fatalf("answered with %s", resp.Status)
	}
	select {
	case <-cancelled:
	case <-time.After(5 * time.Second):
		t.Error("the server's request goes on")
	}
	g.stop()
	if got := strings.Count(g.record.String(), `"outcome":"cancelled"`); got != 1 {
		t.Errorf("%d cancellations are recorded", got)
	}
}

// What comes before the answer comes at once, as a stream.
func TestStreamIsNotBuffered(t *testing.T) {
	release := make(chan struct{})
	url := serving(t, func(w http.ResponseWriter, _ *http.Request, body string) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":1}}\n\n")
		w.(http.Flusher).Flush()
		<-release
		fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}\n\n", idOf(body))
	})
	g := start(t, config(hub.Server{Name: "s", URL: url}))
	req, _ := http.NewRequestWithContext(t.Context(), "POST", g.url+"/mcp/s", strings.NewReader(callTool(1, "t")))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 16)
	if _, err := io.ReadFull(resp.Body, first); err != nil || !strings.HasPrefix(string(first), "data: ") {
		t.Fatalf("%q, %v", first, err)
	}
	close(release)
	rest, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(rest), `"id":1,"result":{}`) {
		t.Errorf("%q, %v", rest, err)
	}
}

// Reloads swap the rules under load, lose no request, and reach sessions that are open.
func TestReloadUnderLoad(t *testing.T) {
	b := newBackend(t)
	open := config(hub.Server{Name: "b", URL: b.URL})
	closed := config(hub.Server{Name: "b", URL: b.URL, Policy: policy.Config{DenyTools: []string{"echo"}}})
	g := start(t, open)
	open.Listen, closed.Listen = "127.0.0.1:0", "127.0.0.1:0"
	session := "Mcp-Session-Id: " + g.post("b", initialize).header.Get("Mcp-Session-Id")
	var stop atomic.Bool
	var all sync.WaitGroup
	var served atomic.Int64
	for worker := range 8 {
		all.Go(func() {
			for i := 0; !stop.Load(); i++ {
				if got := g.post("b", callTool(worker*1_000_000+i, "echo"), session); got.status != 200 && got.status != 403 {
					t.Errorf("worker %d: %+v", worker, got)
					return
				}
				served.Add(1)
			}
		})
	}
	for i := range 100 {
		cfg := open
		if i%2 == 0 {
			cfg = closed
		}
		if err := g.hub.Reload(cfg); err != nil {
			t.Fatal(err)
		}
	}
	stop.Store(true)
	all.Wait()
	if err := g.hub.Reload(closed); err != nil {
		t.Fatal(err)
	}
	if got := g.post("b", callTool(1, "echo"), session); got.status != 403 {
		t.Errorf("an open session goes by the old rules: %+v", got)
	}
	if err := g.hub.Reload(config()); err != nil {
		t.Fatal(err)
	}
	if got := g.post("b", callTool(1, "echo"), session); got.status != 404 {
		t.Errorf("a server that is gone: %+v", got)
	}
	bad := config(hub.Server{Name: "b", URL: b.URL, Transport: "carrier-pigeon"})
	if err := g.hub.Reload(bad); err == nil {
		t.Error("a bad configuration was taken")
	}
	t.Logf("%d calls during 100 reloads", served.Load())
}
