package telemetry

import (
	"context"
	"fmt"
	"sync/atomic"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	wire "go.opentelemetry.io/proto/slim/otlp/trace/v1"
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
	var reply collector.ExportTraceServiceResponse
	if err := e.send(ctx, encodeSpans(spans), &reply); err != nil {
		e.report.failed("traces", err)
		return nil
	}
	rejected := reply.GetPartialSuccess().GetRejectedSpans()
	e.delivered.Add(max(0, int64(len(spans))-max(0, rejected)))
	if rejected > 0 {
		e.report.failed("traces", fmt.Errorf("the collector has taken all but %d of %d: %q", rejected, len(spans), shorten(reply.GetPartialSuccess().GetErrorMessage(), maxText)))
	}
	return nil
}

func (e *spanExporter) Shutdown(context.Context) error {
	e.close()
	return nil
}

// encodeSpans lays spans out for the wire. They are all of one tracer.
func encodeSpans(spans []sdk.ReadOnlySpan) *collector.ExportTraceServiceRequest {
	out := make([]*wire.Span, len(spans))
	for i, s := range spans {
		out[i] = encodeSpan(s)
	}
	return &collector.ExportTraceServiceRequest{ResourceSpans: []*wire.ResourceSpans{{
		Resource:   encodeResource(spans[0].Resource()),
		ScopeSpans: []*wire.ScopeSpans{{Scope: encodeScope(spans[0].InstrumentationScope()), Spans: out}},
	}}}
}

func encodeSpan(s sdk.ReadOnlySpan) *wire.Span {
	self, parent := s.SpanContext(), s.Parent()
	id, traceID := self.SpanID(), self.TraceID()
	out := &wire.Span{
		TraceId:                traceID[:],
		SpanId:                 id[:],
		TraceState:             self.TraceState().String(),
		Flags:                  spanFlags(self, parent),
		Name:                   s.Name(),
		Kind:                   spanKind(s.SpanKind()),
		StartTimeUnixNano:      nanoseconds(s.StartTime()),
		EndTimeUnixNano:        nanoseconds(s.EndTime()),
		Attributes:             encodeAttributes(s.Attributes()),
		DroppedAttributesCount: uint32(max(0, s.DroppedAttributes())), //nolint:gosec // a few
	}
	if above := parent.SpanID(); above.IsValid() {
		out.ParentSpanId = above[:]
	}
	switch status := s.Status(); status.Code {
	case codes.Error:
		out.Status = &wire.Status{Code: wire.Status_STATUS_CODE_ERROR, Message: status.Description}
	case codes.Ok:
		out.Status = &wire.Status{Code: wire.Status_STATUS_CODE_OK}
	default:
	}
	return out
}

// spanFlags are those of the trace, and whether the parent is somebody else's (trace.proto, SpanFlags).
func spanFlags(self, parent trace.SpanContext) uint32 {
	flags := uint32(self.TraceFlags()) | uint32(wire.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
	if parent.IsRemote() {
		flags |= uint32(wire.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
	}
	return flags
}

func spanKind(k trace.SpanKind) wire.Span_SpanKind {
	switch k {
	case trace.SpanKindServer:
		return wire.Span_SPAN_KIND_SERVER
	case trace.SpanKindClient:
		return wire.Span_SPAN_KIND_CLIENT
	default:
		return wire.Span_SPAN_KIND_INTERNAL
	}
}
