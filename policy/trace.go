package policy

import (
	"strconv"
	"time"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// trace begins the span of a request, if anybody wants one, and notes the trace that it belongs to.
func (g *Guard) trace(c *call, m *jsonrpc.Message, fromServer bool) {
	came := m.TraceContext()
	c.trace = append(c.trace[:0], came.ID()...)
	if g.opt.Tracer == nil {
		return
	}
	c.span = g.opt.Tracer.Begin(&TracedRequest{
		Start: c.start, FromServer: fromServer, Method: c.name, Known: c.method.Kinds != 0,
		Target: c.target, TargetKind: c.method.Target, Prompt: c.method.Target == PromptTarget || c.prompt,
		RequestID: c.id.Token(), Modern: c.modern, Version: g.version(c, m), Traceparent: came.Traceparent, Tracestate: came.Tracestate,
	})
	c.trace = append(c.trace[:0], c.span.TraceID()...)
}

// version returns which revision of the protocol a request is of.
func (g *Guard) version(c *call, m *jsonrpc.Message) string {
	if c.modern {
		text, _ := m.Text(jsonrpc.MetaVersion)
		return string(text)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peers.version
}

// traced returns the request as it is forwarded: with the context of our span, so that those of the other side follow it.
func (c *call) traced(m *jsonrpc.Message) *jsonrpc.Message {
	if c.span == nil {
		return m
	}
	parent, state := c.span.Forward()
	if len(parent) == 0 {
		return m
	}
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

// endSpans ends the spans of requests that nobody will answer. They stay in the table. That of a cancelled one is ended by who
// cancelled it, maybe at this moment.
func (t *table) endSpans(at time.Time, reason string) {
	for c := range t.all {
		if !c.cancelled {
			c.ended(at, "cancelled", Decision{Reason: reason}, nil)
		}
	}
}

// errorCode is that of an error answer; 0: it is none, or has none that anybody would write.
func errorCode(m *jsonrpc.Message) int {
	if m == nil || m.Kind != jsonrpc.Error {
		return 0
	}
	code, _ := strconv.Atoi(string(m.Field(jsonrpc.Code)))
	return code
}
