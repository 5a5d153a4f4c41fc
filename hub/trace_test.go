package hub_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	clientTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientParent = "00-" + clientTrace + "-00f067aa0ba902b7-01"
	ourParent    = "00-" + clientTrace + "-b7ad6b7169203331-01"
)

// oneTracer continues the trace of the client with a span of its own.
type oneTracer struct{ begun chan policy.TracedRequest }

func (o oneTracer) Begin(r *policy.TracedRequest) policy.Span {
	seen := *r
	seen.Traceparent, seen.Tracestate = []byte(string(r.Traceparent)), []byte(string(r.Tracestate))
	if r.Method == "tools/call" {
		o.begun <- seen
	}
	return o
}
func (oneTracer) TraceID() []byte { return []byte(clientTrace) }
func (oneTracer) Forward() (parent, state []byte) {
	return []byte(ourParent), []byte("a=1")
}
func (oneTracer) End(policy.SpanEnd) {}

// listensTo is a server that tells the head and body of the calls that it gets.
func listensTo(t *testing.T) (url string, calls <-chan string) {
	got := make(chan string, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m jsonrpc.Message
		if fault := jsonrpc.Scan([]byte(string(body)), &m); fault != nil {
			t.Error(fault)
		}
		if m.Kind != jsonrpc.Request {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if m.Method == "tools/call" {
			text := strings.Replace(string(body), `"id":`+string(m.ID.Token()), `"id":7`, 1) // a bare request goes upstream under an id of ours
			got <- fmt.Sprintf("%s|%s|%s", r.Header.Get("Traceparent"), r.Header.Get("Tracestate"), text)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"},"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}}`, m.ID.Token())
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

// The context of a client comes by a header or in _meta, where _meta goes first, and leaves in both.
func TestTraceContextGoesThrough(t *testing.T) {
	call := func(meta string) string {
		return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo"` + meta + `}}`
	}
	inMeta := func(parent string) string { return `,"_meta":{"traceparent":"` + parent + `"}` }
	other := "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00"
	for _, row := range []struct {
		name, body   string
		heads        []string
		parent       string // that the tracer is given
		want, untold string // what the server gets with a tracer, and without
	}{
		{"no context", call(""), nil, "", ourParent + "|a=1|" + `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"_meta":{"traceparent":"` + ourParent + `","tracestate":"a=1"},"name":"echo"}}`, "||" + call("")},
		{"in a header", call(""), []string{"traceparent: " + clientParent, "tracestate: v=1"}, clientParent,
			ourParent + "|a=1|" + `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"_meta":{"traceparent":"` + ourParent + `","tracestate":"a=1"},"name":"echo"}}`,
			clientParent + "|v=1|" + call("")},
		{"in both", call(inMeta(clientParent)), []string{"traceparent: " + other}, clientParent,
			ourParent + "|a=1|" + strings.Replace(call(inMeta(ourParent)), `"_meta":{`, `"_meta":{"tracestate":"a=1",`, 1), clientParent + "||" + call(inMeta(clientParent))},
		{"not valid", call(""), []string{"traceparent: 00-" + strings.ToUpper(clientTrace) + "-00f067aa0ba902b7-01"}, "",
			ourParent + "|a=1|" + `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"_meta":{"traceparent":"` + ourParent + `","tracestate":"a=1"},"name":"echo"}}`, "||" + call("")},
	} {
		t.Run(row.name, func(t *testing.T) {
			url, calls := listensTo(t)
			tracer := oneTracer{make(chan policy.TracedRequest, 1)}
			var info policy.LinkInfo
			g := start(t, config(hub.Server{Name: "s", URL: url}), func(o *hub.Options) {
				o.Tracer = func(i policy.LinkInfo) policy.Tracer {
					info = i
					return tracer
				}
			})
			if a := g.post("s", row.body, row.heads...); a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if got := <-calls; got != row.want {
				t.Errorf("the server gets\n%s, want\n%s", got, row.want)
			}
			if seen := <-tracer.begun; string(seen.Traceparent) != row.parent {
				t.Errorf("the span follows %q, want %q", seen.Traceparent, row.parent)
			}
			if info.Server != "s" || info.Outbound.Address != "127.0.0.1" || info.Outbound.Port == 0 || info.Outbound.Transport != "tcp" {
				t.Errorf("link %+v", info)
			}
			untold := start(t, config(hub.Server{Name: "s", URL: url}))
			if a := untold.post("s", row.body, row.heads...); a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if got := <-calls; got != row.untold {
				t.Errorf("without a tracer the server gets\n%s, want\n%s", got, row.untold)
			}
		})
	}
}

// A spanCount counts what begins and ends.
type spanCount struct{ begun, ended atomic.Int64 }

func (c *spanCount) Begin(*policy.TracedRequest) policy.Span {
	c.begun.Add(1)
	return c
}
func (c *spanCount) TraceID() []byte        { return []byte(clientTrace) }
func (c *spanCount) Forward() (_, _ []byte) { return []byte(ourParent), nil }
func (c *spanCount) End(policy.SpanEnd)     { c.ended.Add(1) }
func (c *spanCount) wantOpen(t *testing.T, n int64) {
	t.Helper()
	if open := c.begun.Load() - c.ended.Load(); open != n {
		t.Errorf("%d spans are open, want %d", open, n)
	}
}

// What is open in a session when its client ends it is over: a question of the server that nobody has answered, and a call whose
// client has gone and did not come back for the answer.
func TestNoSpanOutlivesItsSession(t *testing.T) {
	asks := serving(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "id: 1\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"roots/list\"}\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	spans := new(spanCount)
	g := start(t, config(hub.Server{Name: "s", URL: asks}), func(o *hub.Options) {
		o.Tracer = func(policy.LinkInfo) policy.Tracer { return spans }
	})
	session := "Mcp-Session-Id: " + g.sessionAt("s")
	ctx, leave := context.WithCancel(t.Context())
	answer := g.stream(ctx, http.MethodPost, "/mcp/s", callTool(7, "t"), session)
	question := make([]byte, 1)
	if _, err := io.ReadFull(answer, question); err != nil {
		t.Fatal(err)
	}
	spans.wantOpen(t, 2)
	leave()
	if got := g.do(http.MethodDelete, "/mcp/s", "", session); got.status != http.StatusNoContent {
		t.Fatalf("%+v", got)
	}
	spans.wantOpen(t, 0)
}
