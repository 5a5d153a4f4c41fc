package policy

import (
	"strconv"
	"time"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// trace begins the span of a request, if anybody wants one, and notes the trace that it belongs to.
func (g *Guard) trace(c *call, m *jsonrpc.Message, fromServer bool) {
	came := m.TraceContext()
	c.trace = append(c.trace[:0], traceID(came.Traceparent)...)
	if g.opt.Tracer == nil {
		return
	}
	c.span = g.opt.Tracer.Begin(&TracedRequest{
		Start: c.start, FromServer: fromServer, Method: c.name, Known: c.method.Kinds != 0,
		Target: c.target, TargetKind: c.method.Target, Prompt: c.method.Target == PromptTarget || c.prompt,
		RequestID: c.id.Token(), Modern: c.modern, Traceparent: came.Traceparent, Tracestate: came.Tracestate,
	})
	c.trace = append(c.trace[:0], c.span.TraceID()...)
}

// traced returns the request as it is forwarded: with the context of our span, so that those of the other side follow it.
func (c *call) traced(m *jsonrpc.Message) *jsonrpc.Message {
	if c.span == nil {
		return m
	}
	parent, state := c.span.Forward()
	return m.WithTraceContext(jsonrpc.TraceContext{Traceparent: parent, Tracestate: state})
}

// ended ends the span of a request. answer is what its sender gets; nil: nothing, or nothing yet.
func (c *call) ended(at time.Time, outcome string, d Decision, answer *jsonrpc.Message) {
	if c.span == nil {
		return
	}
	c.span.End(SpanEnd{Time: at, Outcome: outcome, Rule: d.Rule, Reason: d.Reason, Shadow: d.Shadow, Code: errorCode(answer)})
	c.span = nil
}

// errorCode is that of an error answer; 0: it is none, or has none that anybody would write.
func errorCode(m *jsonrpc.Message) int {
	if m == nil || m.Kind != jsonrpc.Error {
		return 0
	}
	code, _ := strconv.Atoi(string(m.Field(jsonrpc.Code)))
	return code
}

// traceID returns the trace id of a traceparent, 32 lower-case hex digits, nil where it is not valid (W3C Trace Context, section
// 3.2.2: versions after 00 may have more behind the flags).
func traceID(parent []byte) []byte {
	const length = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	if len(parent) < length || !lowerHex(parent[:2]) || string(parent[:2]) == "ff" {
		return nil
	}
	if len(parent) > length && (string(parent[:2]) == "00" || parent[length] != '-') {
		return nil
	}
	id, span, flags := parent[3:35], parent[36:52], parent[53:55]
	if parent[2] != '-' || parent[35] != '-' || parent[52] != '-' || !lowerHex(id) || !lowerHex(span) || !lowerHex(flags) || zeros(id) || zeros(span) {
		return nil
	}
	return id
}

func lowerHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != '0' {
			return false
		}
	}
	return true
}
