package telemetry

import (
	"context"
	"encoding/hex"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/rohitgs28/mcpx/policy"
)

// givenUpRule is what package policy denies by what its client has given up before it was forwarded.
const givenUpRule = "protocol.cancelled"

const (
	toolKey   = attribute.Key("gen_ai.tool.name")
	promptKey = attribute.Key("gen_ai.prompt.name")
)

func executesTool() attribute.KeyValue {
	return attribute.String("gen_ai.operation.name", "execute_tool")
}

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
	if l.session {
		l.once.Do(l.begin)
	}
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
		s.targetKey = toolKey
	case r.Prompt:
		s.targetKey = promptKey
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
	if r.Version != "" {
		s.shared = append(s.shared, attribute.String("mcp.protocol.version", shorten(r.Version, maxText)))
	}
	if s.targetKey != "" {
		s.shared = append(s.shared, s.targetKey.String(s.target))
	} else if r.TargetKind == policy.ResourceTarget && len(r.Target) > 0 {
		s.shared = append(s.shared, attribute.String("mcp.resource.uri", shorten(string(r.Target), maxURI)))
	}
	if r.TargetKind == policy.ToolTarget {
		s.shared = append(s.shared, executesTool())
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

func (s *span) TraceID() []byte { return s.id }

// Forward makes the CLIENT span.
func (s *span) Forward() (traceparent, tracestate []byte) {
	s.sent = s.start.Add(max(0, s.link.now().Sub(s.start))) // the clock on the wall may jump meanwhile
	s.below, s.asked = s.link.tracer.Start(s.ctx, s.method, trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(s.sent))
	var c carrier
	propagation.TraceContext{}.Inject(s.below, &c)
	if c.state != "" {
		tracestate = []byte(c.state)
	}
	return []byte(c.parent), tracestate
}

// End ends both spans, and measures the request.
func (s *span) End(e policy.SpanEnd) {
	server := s.link.server
	k := seriesKey{method: s.method, targetKey: s.targetKey, target: s.target, problem: s.problem(e), decision: decision(e), fromServer: s.fromServer}
	if k.targetKey != "" {
		k.target = server.targets.label(s.target, e.Outcome == "ok")
	}
	if e.Code != 0 && k.problem != "" {
		exact := strconv.Itoa(e.Code)
		k.code = s.link.codesOfErrors.label(exact, reserved(e.Code))
		if k.problem == exact {
			k.problem = k.code
		}
	}
	s.finish(s.served, k, e)
	took := max(0, e.Time.Sub(s.start))
	s.served.End(trace.WithTimestamp(s.start.Add(took)))
	s.link.requests.served.Record(s.ctx, took.Seconds(), server.of(k))
	if s.asked == nil {
		return
	}
	k.asked = true
	s.finish(s.asked, k, e)
	took = max(0, e.Time.Sub(s.sent))
	s.asked.End(trace.WithTimestamp(s.sent.Add(took)))
	s.link.requests.asked.Record(s.below, took.Seconds(), server.of(k))
}

// finish says all of a span, if anybody keeps it: at its end, for then all is known.
func (s *span) finish(to trace.Span, k seriesKey, e policy.SpanEnd) {
	if !to.IsRecording() {
		return
	}
	name := k.method
	if k.targetKey != "" && k.target != other { // of such there are not too many
		name += " " + k.target
	}
	to.SetName(name)
	side := s.link.server.between(k.fromServer, k.asked)
	all := append(make([]attribute.KeyValue, 0, len(s.shared)+len(side)+6), s.shared...)
	all = append(append(all, side...), attribute.String("mcpx.decision", k.decision), attribute.String("mcpx.outcome", e.Outcome))
	if e.Rule != "" {
		all = append(all, attribute.String("mcpx.rule", shorten(e.Rule, maxText)))
	}
	if e.Shadow {
		all = append(all, attribute.Bool("mcpx.shadow", true))
	}
	if e.Code != 0 {
		all = append(all, attribute.String("rpc.response.status_code", strconv.Itoa(e.Code)))
	}
	if problem := s.problem(e); problem != "" {
		all = append(all, attribute.String("error.type", problem))
		to.SetStatus(codes.Error, shorten(e.Reason, maxText))
	}
	to.SetAttributes(all...)
}

func decision(e policy.SpanEnd) string {
	if e.Outcome == "denied" {
		return "deny"
	}
	return "allow"
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
	case e.Outcome == "denied" && s.targetKey == toolKey: // `on_deny: tool_error`
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
