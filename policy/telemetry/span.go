package telemetry

import (
	"context"
	"encoding/hex"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/rohitgs28/mcpx/policy"
)

// givenUpRule is what package policy denies by what its client has given up before it was forwarded.
const givenUpRule = "protocol.cancelled"

// A span is one request: the SERVER span of what was asked of mcpx, and once it is forwarded the CLIENT span of what mcpx asks.
type span struct {
	link   *link
	ctx    context.Context // that of served
	served trace.Span
	asked  trace.Span // nil: not forwarded
	below  context.Context
	start  time.Time
	sent   time.Time
	id     []byte

	method     string // for names and metrics: of the protocol, or other
	target     string // of a tool or prompt: what is low enough in number for a name
	targetKey  attribute.Key
	fromServer bool
	shared     []attribute.KeyValue // of both spans
}

// Begin makes the SERVER span. Its parent is the caller's, if that makes sense; else a new trace begins.
func (l *link) Begin(r *policy.TracedRequest) policy.Span {
	s := &span{link: l, start: r.Start, fromServer: r.FromServer, method: other}
	if r.Known {
		s.method = r.Method
	}
	ctx := context.Background()
	if r.Traceparent != nil {
		ctx = propagation.TraceContext{}.Extract(ctx, &carrier{string(r.Traceparent), string(r.Tracestate)})
	}
	s.ctx, s.served = l.tracer.Start(ctx, s.method, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(r.Start))
	s.aim(r)
	if s.served.IsRecording() {
		s.describe(r)
		s.served.SetAttributes(s.shared...)
		s.served.SetAttributes(s.inner()...)
	}
	if id := s.served.SpanContext().TraceID(); id.IsValid() {
		s.id = hex.AppendEncode(nil, id[:])
	}
	return s
}

// aim notes the target, if it is a tool or a prompt.
func (s *span) aim(r *policy.TracedRequest) {
	switch {
	case len(r.Target) == 0:
		return
	case r.TargetKind == policy.ToolTarget:
		s.targetKey = "gen_ai.tool.name"
	case r.Prompt:
		s.targetKey = "gen_ai.prompt.name"
	default:
		return
	}
	s.target = shorten(string(r.Target), maxText)
}

// describe gathers the attributes that both spans have.
func (s *span) describe(r *policy.TracedRequest) {
	s.shared = append(make([]attribute.KeyValue, 0, 8), s.link.own...)
	s.shared = append(s.shared, attribute.String("mcp.method.name", shorten(r.Method, maxText)))
	if len(r.RequestID) > 0 {
		s.shared = append(s.shared, attribute.String("jsonrpc.request.id", requestID(r.RequestID)))
	}
	if s.targetKey != "" {
		s.shared = append(s.shared, s.targetKey.String(s.target))
	} else if r.TargetKind == policy.ResourceTarget && len(r.Target) > 0 {
		s.shared = append(s.shared, attribute.String("mcp.resource.uri", shorten(string(r.Target), maxURI)))
	}
	if r.TargetKind == policy.ToolTarget {
		s.shared = append(s.shared, attribute.String("gen_ai.operation.name", "execute_tool"))
	}
}

// requestID gives an id as text: a string without its quotes and escapes where it is plain.
func requestID(token []byte) string {
	if token[0] == '"' && len(token) > 1 {
		if text, err := strconv.Unquote(string(token)); err == nil {
			return shorten(text, maxText)
		}
		token = token[1 : len(token)-1]
	}
	return shorten(string(token), maxText)
}

// inner are the attributes of who asked; outer of whom mcpx asks.
func (s *span) inner() []attribute.KeyValue {
	if s.fromServer {
		return s.link.server.outbound
	}
	return s.link.server.client
}

func (s *span) outer() []attribute.KeyValue {
	if s.fromServer {
		return s.link.server.client
	}
	return s.link.server.asked
}

func (s *span) TraceID() []byte { return s.id }

// Forward makes the CLIENT span.
func (s *span) Forward() (traceparent, tracestate []byte) {
	s.sent = s.start.Add(max(0, s.link.now().Sub(s.start))) // the clock on the wall may jump meanwhile
	s.below, s.asked = s.link.tracer.Start(s.ctx, s.method, trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(s.sent))
	if s.asked.IsRecording() {
		s.asked.SetAttributes(s.shared...)
		s.asked.SetAttributes(s.outer()...)
	}
	var c carrier
	propagation.TraceContext{}.Inject(s.below, &c)
	if c.state != "" {
		tracestate = []byte(c.state)
	}
	return []byte(c.parent), tracestate
}

// End ends both spans, and measures the request.
func (s *span) End(e policy.SpanEnd) {
	t := s.link.Telemetry
	problem := s.problem(e)
	label := s.target
	if s.targetKey != "" {
		label = s.link.server.targets.label(s.target, e.Outcome == "ok")
	}
	finish(s.served, s.name(label), max(0, e.Time.Sub(s.start)), s.start, s.result(e, problem))
	counted := append(make([]attribute.KeyValue, 0, 12), attribute.String("mcp.method.name", s.method), decision(e))
	if s.targetKey != "" {
		counted = append(counted, s.targetKey.String(label))
	}
	if s.targetKey == "gen_ai.tool.name" {
		counted = append(counted, attribute.String("gen_ai.operation.name", "execute_tool"))
	}
	if problem != "" {
		if e.Code != 0 {
			code := t.codesOfErrors.label(strconv.Itoa(e.Code), reserved(e.Code))
			counted = append(counted, attribute.String("rpc.response.status_code", code))
			if problem == strconv.Itoa(e.Code) {
				problem = code
			}
		}
		counted = append(counted, attribute.String("error.type", problem))
	}
	t.requests.served.Record(s.ctx, max(0, e.Time.Sub(s.start)).Seconds(), metric.WithAttributes(append(counted, s.inner()...)...))
	if s.asked == nil {
		return
	}
	finish(s.asked, s.name(label), max(0, e.Time.Sub(s.sent)), s.sent, s.result(e, s.problem(e)))
	t.requests.asked.Record(s.below, max(0, e.Time.Sub(s.sent)).Seconds(), metric.WithAttributes(append(counted, s.outer()...)...))
}

// name is the method and, of a target that there are not too many of, that.
func (s *span) name(label string) string {
	if label == "" || label == other {
		return s.method
	}
	return s.method + " " + label
}

// A result is what an ended request adds to its spans.
type result struct {
	attributes []attribute.KeyValue
	problem    string
	text       string
}

func (s *span) result(e policy.SpanEnd, problem string) result {
	if !s.served.IsRecording() && (s.asked == nil || !s.asked.IsRecording()) {
		return result{}
	}
	all := append(make([]attribute.KeyValue, 0, 6), decision(e), attribute.String("mcpx.outcome", e.Outcome))
	if e.Rule != "" {
		all = append(all, attribute.String("mcpx.rule", shorten(e.Rule, maxText)))
	}
	if e.Shadow {
		all = append(all, attribute.Bool("mcpx.shadow", true))
	}
	if e.Code != 0 {
		all = append(all, attribute.String("rpc.response.status_code", strconv.Itoa(e.Code)))
	}
	if problem != "" {
		all = append(all, attribute.String("error.type", problem))
	}
	return result{all, problem, shorten(e.Reason, maxText)}
}

func finish(s trace.Span, name string, took time.Duration, start time.Time, r result) {
	if s.IsRecording() {
		s.SetName(name)
		s.SetAttributes(r.attributes...)
		if r.problem != "" {
			s.SetStatus(codes.Error, r.text)
		}
	}
	s.End(trace.WithTimestamp(start.Add(took)))
}

func decision(e policy.SpanEnd) attribute.KeyValue {
	if e.Outcome == "denied" {
		return attribute.String("mcpx.decision", "deny")
	}
	return attribute.String("mcpx.decision", "allow")
}

// problem is the error.type of a request that failed, "" of one that did not. That a client gave up is no failure: it is how
// requests without an end, such as subscriptions, end well.
func (s *span) problem(e policy.SpanEnd) string {
	switch {
	case e.Outcome == "ok", e.Outcome == "cancelled", e.Outcome == "denied" && e.Rule == givenUpRule:
		return ""
	case e.Outcome == "timeout", e.Outcome == "dropped": // the code is our own, and says less
		return e.Outcome
	case e.Code != 0:
		return strconv.Itoa(e.Code)
	case e.Outcome == "denied" && s.targetKey == "gen_ai.tool.name": // `on_deny: tool_error`
		return "tool_error"
	default:
		return e.Outcome
	}
}

// reserved reports whether JSON-RPC or MCP give a code its meaning: others a server may make up as it likes.
func reserved(code int) bool { return code >= -32768 && code <= -32000 }

// A carrier is the trace context of one message.
type carrier struct{ parent, state string }

func (c *carrier) Get(key string) string {
	switch key {
	case "traceparent":
		return c.parent
	case "tracestate":
		return c.state
	default:
		return ""
	}
}

func (c *carrier) Set(key, value string) {
	switch key {
	case "traceparent":
		c.parent = value
	case "tracestate":
		c.state = value
	default:
	}
}

func (c *carrier) Keys() []string { return []string{"traceparent", "tracestate"} }
