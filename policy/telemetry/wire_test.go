package telemetry

import (
	"math"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	metricsto "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	tracesto "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	about "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	traces "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

var (
	everyKind = []attribute.KeyValue{
		attribute.String("s", "häh"), attribute.String("empty", ""), attribute.Bool("t", true), attribute.Bool("f", false),
		attribute.Int("i", -3), attribute.Int("zero", 0), attribute.Float64("d", 0.5), attribute.StringSlice("l", []string{"a", "b"}),
	}
	everyKindWant = []*common.KeyValue{
		text("s", "häh"), text("empty", ""),
		{Key: "t", Value: &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}}},
		{Key: "f", Value: &common.AnyValue{Value: &common.AnyValue_BoolValue{}}},
		{Key: "i", Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: -3}}},
		{Key: "zero", Value: &common.AnyValue{Value: &common.AnyValue_IntValue{}}},
		{Key: "d", Value: &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: 0.5}}},
		text("l", `["a","b"]`),
	}
)

// What we write by hand is what the generated types read, to the last field; they would keep what they do not know as well.
func TestSpansOnTheWire(t *testing.T) {
	t.Parallel()
	state, err := trace.ParseTraceState("a=1,b=2")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1_700_000_000, 123456789)
	context := func(id byte, remote bool) trace.SpanContext {
		return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2, 15: 3}, SpanID: trace.SpanID{7: id}, TraceFlags: 1, TraceState: state, Remote: remote})
	}
	of := resource.NewSchemaless(attribute.String("service.name", "mcpx"))
	stubs := tracetest.SpanStubs{
		{
			Name: "tools/call x", SpanContext: context(9, false), Parent: context(8, true), SpanKind: trace.SpanKindServer, StartTime: start, EndTime: start.Add(time.Second),
			Attributes: everyKind, DroppedAttributes: 300, Status: sdk.Status{Code: codes.Error, Description: "no"}, Resource: of, InstrumentationScope: instrumentation.Scope{Name: "n", Version: "v"},
		},
		{Name: "ping", SpanContext: context(10, false), SpanKind: trace.SpanKindClient, StartTime: start, EndTime: start, Resource: of},
	}
	want := &tracesto.ExportTraceServiceRequest{ResourceSpans: []*traces.ResourceSpans{{
		Resource: &about.Resource{Attributes: []*common.KeyValue{text("service.name", "mcpx")}},
		ScopeSpans: []*traces.ScopeSpans{{
			Scope: &common.InstrumentationScope{Name: "n", Version: "v"},
			Spans: []*traces.Span{
				{
					TraceId: []byte{1, 2, 15: 3}, SpanId: []byte{7: 9}, ParentSpanId: []byte{7: 8}, TraceState: "a=1,b=2", Flags: 0x301, Name: "tools/call x",
					Kind: traces.Span_SPAN_KIND_SERVER, StartTimeUnixNano: 1_700_000_000_123456789, EndTimeUnixNano: 1_700_000_001_123456789,
					Attributes: everyKindWant, DroppedAttributesCount: 300, Status: &traces.Status{Code: traces.Status_STATUS_CODE_ERROR, Message: "no"},
				},
				{
					TraceId: []byte{1, 2, 15: 3}, SpanId: []byte{7: 10}, TraceState: "a=1,b=2", Flags: 0x101, Name: "ping", Kind: traces.Span_SPAN_KIND_CLIENT,
					StartTimeUnixNano: 1_700_000_000_123456789, EndTimeUnixNano: 1_700_000_000_123456789,
				},
			},
		}},
	}}}
	got := new(tracesto.ExportTraceServiceRequest)
	if err := proto.Unmarshal(encodeSpans(stubs.Snapshots()), got); err != nil || !proto.Equal(got, want) {
		t.Errorf("%v\ngot  %v\nwant %v", err, got, want)
	}
}

func TestMetricsOnTheWire(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	all := &metricdata.ResourceMetrics{
		Resource: resource.NewSchemaless(attribute.String("service.name", "mcpx")),
		ScopeMetrics: []metricdata.ScopeMetrics{{Scope: instrumentation.Scope{Name: "n"}, Metrics: []metricdata.Metrics{
			{Name: "none", Data: metricdata.Histogram[float64]{}},
			{Name: "h", Description: "d", Unit: "s", Data: metricdata.Histogram[float64]{
				Temporality: metricdata.DeltaTemporality,
				DataPoints: []metricdata.HistogramDataPoint[float64]{
					{
						Attributes: attribute.NewSet(attribute.String("a", "b")), StartTime: start, Time: start.Add(1), Count: 3, Sum: 0, Bounds: []float64{0, 0.01, math.Inf(1)},
						BucketCounts: []uint64{1, 0, 2, 1 << 40}, Min: metricdata.NewExtrema(0.0), Max: metricdata.NewExtrema(2.5),
						Exemplars: []metricdata.Exemplar[float64]{{FilteredAttributes: everyKind, Time: start, Value: 0, SpanID: []byte{1}, TraceID: []byte{2}}},
					},
					{Time: start},
				},
			}},
		}}},
	}
	zero := 0.0
	want := &metricsto.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{
		Resource: &about.Resource{Attributes: []*common.KeyValue{text("service.name", "mcpx")}},
		ScopeMetrics: []*metrics.ScopeMetrics{{Scope: &common.InstrumentationScope{Name: "n"}, Metrics: []*metrics.Metric{{
			Name: "h", Description: "d", Unit: "s", Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{
				AggregationTemporality: metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA,
				DataPoints: []*metrics.HistogramDataPoint{
					{
						Attributes: []*common.KeyValue{text("a", "b")}, StartTimeUnixNano: 1_700_000_000_000000000, TimeUnixNano: 1_700_000_000_000000001, Count: 3, Sum: &zero,
						ExplicitBounds: []float64{0, 0.01, math.Inf(1)}, BucketCounts: []uint64{1, 0, 2, 1 << 40}, Min: &zero, Max: new(2.5),
						Exemplars: []*metrics.Exemplar{{FilteredAttributes: everyKindWant, TimeUnixNano: 1_700_000_000_000000000, Value: &metrics.Exemplar_AsDouble{}, SpanId: []byte{1}, TraceId: []byte{2}}},
					},
					{TimeUnixNano: 1_700_000_000_000000000, Sum: &zero},
				},
			}},
		}}}},
	}}}
	got := new(metricsto.ExportMetricsServiceRequest)
	if err := proto.Unmarshal(encodeMetrics(all), got); err != nil || !proto.Equal(got, want) {
		t.Errorf("%v\ngot  %v\nwant %v", err, got, want)
	}
	all.ScopeMetrics[0].Metrics = all.ScopeMetrics[0].Metrics[:1]
	if m := encodeMetrics(all); m != nil {
		t.Errorf("nothing to tell is %x", m)
	}
}

// FuzzReadRefusal holds our reader to the generated one: whatever that can read, ours reads the same.
func FuzzReadRefusal(f *testing.F) {
	for _, r := range []*tracesto.ExportTraceServiceResponse{
		{},
		{PartialSuccess: &tracesto.ExportTracePartialSuccess{}},
		{PartialSuccess: &tracesto.ExportTracePartialSuccess{RejectedSpans: -1, ErrorMessage: "häh"}},
		{PartialSuccess: &tracesto.ExportTracePartialSuccess{RejectedSpans: 1 << 40}},
	} {
		text, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("OK"))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add([]byte{0x0d, 1, 2, 3, 4, 0x0a, 2, 8, 5, 0x11, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte("\x0a\x11\x30\xff\xff\xff\xff\xff0\x12\x040000\x10000")) // the text, and then its number with another wire type
	f.Fuzz(func(t *testing.T, answer []byte) {
		got := readRefusal(answer)
		var want tracesto.ExportTraceServiceResponse
		if proto.Unmarshal(answer, &want) != nil || proto.Size(&want) != len(answer) || len(want.ProtoReflect().GetUnknown()) > 0 {
			return // not what any collector writes, such as a refusal in two parts
		}
		if got.rejected != want.GetPartialSuccess().GetRejectedSpans() || len(want.GetPartialSuccess().GetErrorMessage()) < maxText && got.text != want.GetPartialSuccess().GetErrorMessage() {
			t.Fatalf("%x: %+v, want %v", answer, got, &want)
		}
	})
}
