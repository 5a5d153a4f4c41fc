package telemetry

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	traces "go.opentelemetry.io/proto/slim/otlp/trace/v1"

	"github.com/rohitgs28/mcpx/policy"
)

const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	callersSpan  = "b7ad6b7169203331"
)

// aLink is one to a server that is reached by HTTP, of a client that speaks stdio.
func aLink() policy.LinkInfo {
	return policy.LinkInfo{
		Server: "files", Client: "alice", SessionID: "s1",
		Inbound: policy.Peer{Transport: "pipe"}, Outbound: policy.Peer{Transport: "tcp", Protocol: "http", Address: "mcp.example.com", Port: 443},
	}
}

// aCall is one of a tool.
func aCall() policy.TracedRequest {
	return policy.TracedRequest{
		Start: time.Now(), Method: "tools/call", Known: true, Target: []byte("read"), TargetKind: policy.ToolTarget, RequestID: []byte(`7`),
		Traceparent: []byte("00-" + callersTrace + "-" + callersSpan + "-01"), Tracestate: []byte("rojo=1"),
	}
}

func shut(t *testing.T, tel *Telemetry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tel.Close(ctx)
}

func TestSpans(t *testing.T) {
	t.Parallel()
	plain := map[string]string{
		"mcp.method.name": "tools/call", "gen_ai.tool.name": "read", "gen_ai.operation.name": "execute_tool", "jsonrpc.request.id": "7",
		"mcp.session.id": "s1", "mcpx.server": "files", "mcpx.client": "alice", "mcpx.decision": "allow", "mcpx.outcome": "ok", "mcpx.rule": "default",
	}
	served := map[string]string{"network.transport": "pipe"}
	asked := map[string]string{"network.transport": "tcp", "network.protocol.name": "http", "server.address": "mcp.example.com", "server.port": "int_value:443"}
	for _, row := range []struct {
		name      string
		request   func(*policy.TracedRequest)
		forwarded bool
		end       policy.SpanEnd
		span      string
		change    map[string]string // of plain; "": is not there
		status    string            // "": unset
	}{
		{"a call", func(*policy.TracedRequest) {}, true, policy.SpanEnd{Outcome: "ok", Rule: "default"}, "tools/call read", nil, ""},
		{
			"a failing tool", func(*policy.TracedRequest) {}, true, policy.SpanEnd{Outcome: "tool_error", Rule: "default"}, "tools/call read",
			map[string]string{"mcpx.outcome": "tool_error", "error.type": "tool_error"}, "error",
		},
		{
			"a denied call", func(*policy.TracedRequest) {}, false, policy.SpanEnd{Outcome: "denied", Rule: "deny_tools[0]", Reason: `tool "read" is denied`, Code: -32600}, "tools/call read",
			map[string]string{
				"mcpx.outcome": "denied", "mcpx.decision": "deny", "mcpx.rule": "deny_tools[0]", "error.type": "-32600", "rpc.response.status_code": "-32600",
			}, `error: tool "read" is denied`,
		},
		{
			"a call that a tool result denies", func(*policy.TracedRequest) {}, false, policy.SpanEnd{Outcome: "denied", Rule: "x", Reason: "no"}, "tools/call read",
			map[string]string{"mcpx.outcome": "denied", "mcpx.decision": "deny", "mcpx.rule": "x", "error.type": "tool_error"}, "error: no",
		},
		{
			"a call in shadow mode", func(*policy.TracedRequest) {}, true, policy.SpanEnd{Outcome: "ok", Rule: "deny_tools[0]", Shadow: true}, "tools/call read",
			map[string]string{"mcpx.rule": "deny_tools[0]", "mcpx.shadow": "bool_value:true"}, "",
		},
		{
			"a timeout", func(*policy.TracedRequest) {}, true, policy.SpanEnd{Outcome: "timeout", Rule: "default", Code: -32603}, "tools/call read",
			map[string]string{"mcpx.outcome": "timeout", "error.type": "timeout", "rpc.response.status_code": "-32603"}, "error",
		},
		{
			"given up by the client", func(*policy.TracedRequest) {}, true, policy.SpanEnd{Outcome: "cancelled", Rule: "default"}, "tools/call read",
			map[string]string{"mcpx.outcome": "cancelled"}, "",
		},
		{
			"a string for an id", func(r *policy.TracedRequest) { r.RequestID = []byte(`"a\u0062\"c"`) }, true, policy.SpanEnd{Outcome: "ok", Rule: "default"}, "tools/call read",
			map[string]string{"jsonrpc.request.id": `ab"c`}, "",
		},
		{
			"of a known revision", func(r *policy.TracedRequest) { r.Version = "2026-07-28" }, true, policy.SpanEnd{Outcome: "ok", Rule: "default"}, "tools/call read",
			map[string]string{"mcp.protocol.version": "2026-07-28"}, "",
		},
		{
			"a prompt", func(r *policy.TracedRequest) {
				r.Method, r.TargetKind, r.Prompt, r.Target = "prompts/get", policy.PromptTarget, true, []byte("greet")
			}, true, policy.SpanEnd{Outcome: "ok", Rule: "default"}, "prompts/get greet",
			map[string]string{"mcp.method.name": "prompts/get", "gen_ai.tool.name": "", "gen_ai.operation.name": "", "gen_ai.prompt.name": "greet"}, "",
		},
		{
			"a resource is no part of the name", func(r *policy.TracedRequest) {
				r.Method, r.TargetKind, r.Target = "resources/read", policy.ResourceTarget, []byte("file:///a")
			}, true, policy.SpanEnd{Outcome: "ok", Rule: "default"}, "resources/read",
			map[string]string{"mcp.method.name": "resources/read", "gen_ai.tool.name": "", "gen_ai.operation.name": "", "mcp.resource.uri": "file:///a"}, "",
		},
		{
			"an unknown method is no name", func(r *policy.TracedRequest) {
				r.Method, r.Known, r.TargetKind, r.Target = "vendor/\xffx", false, policy.NoTarget, nil
			}, false, policy.SpanEnd{Outcome: "denied", Rule: "methods", Code: -32601}, "_OTHER",
			map[string]string{
				"mcp.method.name": "vendor/\uFFFDx", "gen_ai.tool.name": "", "gen_ai.operation.name": "", "mcpx.outcome": "denied", "mcpx.decision": "deny",
				"mcpx.rule": "methods", "error.type": "-32601", "rpc.response.status_code": "-32601",
			}, "error",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t)
			tel, said := c.start(t, nil)
			r := aCall()
			row.request(&r)
			s := tel.Tracer(aLink()).Begin(&r)
			if got := string(s.TraceID()); got != callersTrace {
				t.Errorf("the trace is %q, not the caller's", got)
			}
			parent, state := "", ""
			if row.forwarded {
				p, s := s.Forward()
				parent, state = string(p), string(s)
			}
			row.end.Time = r.Start.Add(3 * time.Second)
			s.End(row.end)
			shut(t, tel)
			if len(said.warnings) > 0 {
				t.Errorf("said %q", said.warnings)
			}

			want := map[string]string{}
			maps.Copy(want, plain)
			for key, value := range row.change {
				want[key] = value
				if value == "" {
					delete(want, key)
				}
			}
			wantSpans := 1
			if row.forwarded {
				wantSpans = 2
			}
			if len(c.spans) != wantSpans {
				t.Fatalf("%d spans, want %d", len(c.spans), wantSpans)
			}
			slices.SortFunc(c.spans, func(a, b *traces.Span) int { return int(a.Kind) - int(b.Kind) }) // SERVER is 2, CLIENT 3
			checkSpan(t, c.spans[0], traces.Span_SPAN_KIND_SERVER, row.span, callersSpan, row.status, want, served)
			if !row.forwarded {
				return
			}
			above, below := c.spans[0], c.spans[1]
			checkSpan(t, below, traces.Span_SPAN_KIND_CLIENT, row.span, hex.EncodeToString(above.SpanId), row.status, want, asked)
			if below.StartTimeUnixNano < above.StartTimeUnixNano || below.EndTimeUnixNano != above.EndTimeUnixNano {
				t.Errorf("the CLIENT span is not inside the SERVER span: %d-%d in %d-%d", below.StartTimeUnixNano, below.EndTimeUnixNano, above.StartTimeUnixNano, above.EndTimeUnixNano)
			}
			if took := time.Duration(above.EndTimeUnixNano - above.StartTimeUnixNano); took != 3*time.Second {
				t.Errorf("it took %v", took)
			}
			if want := "00-" + callersTrace + "-" + hex.EncodeToString(below.SpanId) + "-01"; parent != want || state != "rojo=1" {
				t.Errorf("forwarded %q %q, want %q", parent, state, want)
			}
		})
	}
}

func checkSpan(t *testing.T, s *traces.Span, kind traces.Span_SpanKind, name, parent, status string, shared, own map[string]string) {
	t.Helper()
	want := map[string]string{}
	for _, m := range []map[string]string{shared, own} {
		maps.Copy(want, m)
	}
	if diff := cmp.Diff(want, flatten(map[string]string{}, s.Attributes)); diff != "" {
		t.Errorf("attributes of the %v span (-want +got)\n%s", kind, diff)
	}
	got := ""
	if s.Status.GetCode() == traces.Status_STATUS_CODE_ERROR {
		got = strings.TrimSuffix("error: "+s.Status.Message, ": ")
	}
	if s.Kind != kind || s.Name != name || got != status || hex.EncodeToString(s.TraceId) != callersTrace || hex.EncodeToString(s.ParentSpanId) != parent || s.TraceState != "rojo=1" {
		t.Errorf("%v %q %q below %x, want %v %q %q below %s", s.Kind, s.Name, got, s.ParentSpanId, kind, name, status, parent)
	}
}

// What the server asks of its client is the mirror image: the SERVER span is between mcpx and the server.
func TestSpansOfServersRequests(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tel, _ := c.start(t, nil)
	s := tel.Tracer(aLink()).Begin(&policy.TracedRequest{Start: time.Now(), FromServer: true, Method: "sampling/createMessage", Known: true, RequestID: []byte("1")})
	s.Forward()
	s.End(policy.SpanEnd{Time: time.Now(), Outcome: "ok"})
	shut(t, tel)
	transport := map[traces.Span_SpanKind]string{}
	for _, s := range c.spans {
		transport[s.Kind] = flatten(map[string]string{}, s.Attributes)["network.transport"]
		if flatten(map[string]string{}, s.Attributes)["server.address"] != "" {
			t.Errorf("the client has the server's address: %v", s)
		}
	}
	if diff := cmp.Diff(map[traces.Span_SpanKind]string{traces.Span_SPAN_KIND_SERVER: "tcp", traces.Span_SPAN_KIND_CLIENT: "pipe"}, transport); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestContextsOfCallers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, parent, state string
		change              func(*Plan)
		joins               bool   // the caller's trace
		flags, states       string // forwarded
		sent                int    // spans
	}{
		{"none", "", "", nil, false, "01", "", 2},
		{"sampled", "00-" + callersTrace + "-" + callersSpan + "-01", "a=1,b=2", nil, true, "01", "a=1,b=2", 2},
		{"not sampled", "00-" + callersTrace + "-" + callersSpan + "-00", "a=1", nil, true, "00", "a=1", 0},
		{"not valid", "00-" + strings.Repeat("0", 32) + "-" + callersSpan + "-01", "a=1", nil, false, "01", "", 2},
		{"upper case", "00-" + strings.ToUpper(callersTrace) + "-" + callersSpan + "-01", "", nil, false, "01", "", 2},
		{"no state that anybody could read", "00-" + callersTrace + "-" + callersSpan + "-01", "a=1,a=2", nil, true, "01", "", 2},
		{"none, and none is kept", "", "", func(p *Plan) { p.sample = new(float64) }, false, "00", "", 0},
		{"sampled by the caller, where none of ours is kept", "00-" + callersTrace + "-" + callersSpan + "-01", "", func(p *Plan) { p.sample = new(float64) }, true, "01", "", 2},
		{"without traces they pass", "00-" + callersTrace + "-" + callersSpan + "-01", "a=1", func(p *Plan) { p.traces = target{} }, true, "01", "a=1", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t)
			tel, _ := c.start(t, row.change)
			r := aCall()
			r.Traceparent, r.Tracestate = nil, nil
			if row.parent != "" {
				r.Traceparent, r.Tracestate = []byte(row.parent), []byte(row.state)
			}
			s := tel.Tracer(aLink()).Begin(&r)
			parent, state := s.Forward()
			s.End(policy.SpanEnd{Time: time.Now(), Outcome: "ok"})
			shut(t, tel)
			parts := strings.Split(string(parent), "-")
			if len(parts) != 4 || parts[1] != string(s.TraceID()) || (parts[1] == callersTrace) != row.joins || parts[3] != row.flags || string(state) != row.states {
				t.Errorf("forwarded %q %q in the trace %q", parent, state, s.TraceID())
			}
			if len(c.spans) != row.sent {
				t.Errorf("%d spans sent, want %d", len(c.spans), row.sent)
			}
			if len(c.metrics) == 0 {
				t.Error("nothing was measured")
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tel, said := c.start(t, nil)
	tracer := tel.Session(aLink())
	for i := range 3 {
		r := aCall()
		s := tracer.Begin(&r)
		if i < 2 {
			s.Forward()
			s.End(policy.SpanEnd{Time: r.Start.Add(30 * time.Millisecond), Outcome: "ok", Rule: "default"})
			continue
		}
		s.End(policy.SpanEnd{Time: r.Start.Add(30 * time.Millisecond), Outcome: "denied", Rule: "deny_tools[0]", Code: -32600})
	}
	shut(t, tel)
	if len(said.warnings) > 0 {
		t.Errorf("said %q", said.warnings)
	}
	call := "gen_ai.operation.name=execute_tool gen_ai.tool.name=read mcp.method.name=tools/call mcpx.decision=allow mcpx.server=files "
	outside := "network.protocol.name=http network.transport=tcp "
	want := map[string]uint64{
		"mcp.server.operation.duration: " + call + "network.transport=pipe": 2,
		"mcp.server.operation.duration: error.type=-32600 gen_ai.operation.name=execute_tool gen_ai.tool.name=read mcp.method.name=tools/call mcpx.decision=deny mcpx.server=files network.transport=pipe rpc.response.status_code=-32600": 1,
		"mcp.client.operation.duration: " + call + outside + "server.address=mcp.example.com server.port=int_value:443":                                                                                                                    2,
		"mcp.server.session.duration: mcpx.server=files network.transport=pipe":                                                                                                                                                            1,
		"mcp.client.session.duration: mcpx.server=files " + strings.TrimSpace(outside):                                                                                                                                                     1,
	}
	got := map[string]uint64{}
	for _, m := range c.metrics {
		for _, p := range m.GetHistogram().GetDataPoints() {
			got[m.Name+": "+series(p)] = p.Count
			if bounds := []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}; m.Unit != "s" || !slices.Equal(p.ExplicitBounds, bounds) {
				t.Errorf("%s is in %q with the buckets %v", m.Name, m.Unit, p.ExplicitBounds)
			}
			if strings.Contains(m.Name, "server.operation") && (p.BucketCounts[2] != p.Count || *p.Sum < 0.03*float64(p.Count)-1e-9 || len(p.Exemplars) == 0 || hex.EncodeToString(p.Exemplars[0].TraceId) != callersTrace) {
				t.Errorf("%s: %v", m.Name, p)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A session of the hub lasts from its first request until its link is closed; one that says nothing is none.
func TestSessionsOfTheHub(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tel, _ := c.start(t, tracesOff)
	for range 3 {
		l, _ := tel.Tracer(aLink()).(policy.SessionTracer)
		r := aCall()
		l.Begin(&r).End(policy.SpanEnd{Time: r.Start, Outcome: "ok"})
		l.Closed()
		l.Closed()
	}
	for _, info := range []policy.LinkInfo{aLink(), {Server: "files"}} { // never used; no session
		l, _ := tel.Tracer(info).(policy.SessionTracer)
		if info.SessionID == "" {
			r := aCall()
			l.Begin(&r).End(policy.SpanEnd{Time: r.Start, Outcome: "ok"})
		}
		l.Closed()
	}
	shut(t, tel)
	var sessions uint64
	for _, m := range c.metrics {
		for _, p := range m.GetHistogram().GetDataPoints() {
			if m.Name == "mcp.server.session.duration" {
				sessions += p.Count
			}
		}
	}
	if sessions != 3 || len(tel.open) != 0 {
		t.Errorf("%d sessions, %d of them open, want 3 and none", sessions, len(tel.open))
	}
}

func tracesOff(p *Plan) { p.traces = target{} }

func series(p *metrics.HistogramDataPoint) string {
	var all []string
	for key, value := range flatten(map[string]string{}, p.Attributes) {
		all = append(all, key+"="+value)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// A client that tries names makes no series without end, and takes no place from tools that are there.
func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tel, _ := c.start(t, func(p *Plan) { p.traces = target{} })
	tracer := tel.Tracer(aLink())
	one := func(tool string, end policy.SpanEnd) {
		r := aCall()
		r.Target, end.Time = []byte(tool), time.Now()
		tracer.Begin(&r).End(end)
	}
	for i := range 5000 {
		one(fmt.Sprintf("made-up-%d", i), policy.SpanEnd{Outcome: "denied", Code: -32600})
		one("read", policy.SpanEnd{Outcome: "error", Code: i})
	}
	for i := range 150 {
		one(fmt.Sprintf("tool-%d", i), policy.SpanEnd{Outcome: "ok"})
	}
	shut(t, tel)
	real, all := 0, 0
	for _, m := range c.metrics {
		for _, p := range m.GetHistogram().GetDataPoints() {
			all++
			if strings.HasPrefix(flatten(map[string]string{}, p.Attributes)["gen_ai.tool.name"], "tool-") {
				real++
			}
		}
	}
	if real != 150 || all > 400 {
		t.Errorf("%d series, %d of them of the 150 tools", all, real)
	}
}

func FuzzShorten(f *testing.F) {
	for _, s := range []string{"", "plain", "\xff\xfe", "häuser", "\u65e5\u672c\u8a9e", "\xf0\x9f\x98", strings.Repeat("€", 200)} {
		f.Add(s, 10)
	}
	f.Fuzz(func(t *testing.T, s string, most int) {
		most = max(3, min(most, 1000))
		got := shorten(s, most)
		if !utf8.ValidString(got) {
			t.Fatalf("%q of %q is not valid", got, s)
		}
		if utf8.ValidString(s) && (!strings.HasPrefix(s, got) || len(got) > most || len(got) < min(len(s), most-3)) {
			t.Fatalf("%q of %q, at most %d", got, s, most)
		}
	})
}
