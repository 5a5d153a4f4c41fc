package telemetry

import (
	"context"
	"fmt"
	"sync/atomic"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// A spanExporter sends the spans of a batch processor.
type spanExporter struct {
	*exporter
	report    *reporter
	delivered atomic.Int64
}

var _ sdk.SpanExporter = (*spanExporter)(nil)

// ExportSpans never fails for its caller, which could do nothing about it: the reporter is told.
func (e *spanExporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	refused, err := e.send(ctx, encodeSpans(spans))
	if err != nil {
		e.report.failed("traces", err)
		return nil
	}
	e.delivered.Add(max(0, int64(len(spans))-max(0, refused.rejected)))
	if refused.rejected > 0 {
		e.report.failed("traces", fmt.Errorf("the collector has refused %d of %d spans: %q", refused.rejected, len(spans), refused.text))
	}
	return nil
}

// Shutdown leaves nothing open.
func (e *spanExporter) Shutdown(context.Context) error {
	e.close()
	return nil
}

// encodeSpans gives an ExportTraceServiceRequest. The spans are all of one tracer.
func encodeSpans(spans []sdk.ReadOnlySpan) message {
	m := make(message, 0, len(spans)*768)
	return m.inner(1, func(m message) message { // ResourceSpans
		m = m.about(spans[0].Resource())
		return m.inner(2, func(m message) message { // ScopeSpans
			m = m.scope(spans[0].InstrumentationScope())
			for _, s := range spans {
				m = m.inner(2, func(m message) message { return m.span(s) })
			}
			return m
		})
	})
}

func (m message) span(s sdk.ReadOnlySpan) message {
	self, parent := s.SpanContext(), s.Parent()
	trace, id, above := self.TraceID(), self.SpanID(), parent.SpanID()
	m = m.bytes(1, trace[:]).bytes(2, id[:]).text(3, self.TraceState().String())
	if above.IsValid() {
		m = m.bytes(4, above[:])
	}
	m = m.text(5, s.Name()).varint(6, spanKind(s.SpanKind())).fixed64(7, nanoseconds(s.StartTime())).fixed64(8, nanoseconds(s.EndTime()))
	m = m.attributes(9, s.Attributes()).varint(10, uint64(max(0, s.DroppedAttributes())))
	if status := s.Status(); status.Code == codes.Error {
		const isError = 2
		m = m.inner(15, func(m message) message { return m.text(2, status.Description).varint(3, isError) })
	}
	return m.fixed32(16, spanFlags(self, parent))
}

// spanFlags are those of the trace, that the next one is to be looked at, and whether the parent is somebody else's (SpanFlags).
func spanFlags(self, parent trace.SpanContext) uint32 {
	const hasRemote, isRemote = 0x100, 0x200
	flags := uint32(self.TraceFlags()) | hasRemote
	if parent.IsRemote() {
		flags |= isRemote
	}
	return flags
}

func spanKind(k trace.SpanKind) uint64 {
	const internal, server, client = 1, 2, 3
	switch k {
	case trace.SpanKindServer:
		return server
	case trace.SpanKindClient:
		return client
	default:
		return internal
	}
}
