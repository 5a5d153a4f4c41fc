package telemetry

import (
	"context"
	"fmt"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	wire "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
)

// A metricExporter sends what a periodic reader has gathered.
type metricExporter struct {
	*exporter
	report      *reporter
	temporality string
}

var _ sdk.Exporter = (*metricExporter)(nil)

// Temporality follows the preference ("OpenTelemetry Protocol Exporter", temporality preference); all that we have are histograms.
func (e *metricExporter) Temporality(kind sdk.InstrumentKind) metricdata.Temporality {
	if e.temporality != "cumulative" && (kind == sdk.InstrumentKindHistogram || kind == sdk.InstrumentKindCounter) {
		return metricdata.DeltaTemporality
	}
	return metricdata.CumulativeTemporality
}

// Aggregation is the default one: the instruments say their buckets.
func (e *metricExporter) Aggregation(kind sdk.InstrumentKind) sdk.Aggregation {
	return sdk.DefaultAggregationSelector(kind)
}

// Export never fails for its caller, which could do nothing about it: the reporter is told.
func (e *metricExporter) Export(ctx context.Context, all *metricdata.ResourceMetrics) error {
	message := encodeMetrics(all)
	if message == nil {
		return nil
	}
	var reply collector.ExportMetricsServiceResponse
	if err := e.send(ctx, message, &reply); err != nil {
		e.report.failed("metrics", err)
		return nil
	}
	if rejected := reply.GetPartialSuccess().GetRejectedDataPoints(); rejected > 0 {
		e.report.failed("metrics", fmt.Errorf("the collector has refused %d points: %q", rejected, shorten(reply.GetPartialSuccess().GetErrorMessage(), maxText)))
	}
	return nil
}

func (e *metricExporter) ForceFlush(context.Context) error { return nil }

func (e *metricExporter) Shutdown(context.Context) error {
	e.close()
	return nil
}

// encodeMetrics lays out histograms, of which all our instruments are; nil: there is nothing to tell.
func encodeMetrics(all *metricdata.ResourceMetrics) *collector.ExportMetricsServiceRequest {
	var scopes []*wire.ScopeMetrics
	for _, s := range all.ScopeMetrics {
		scope := &wire.ScopeMetrics{Scope: encodeScope(s.Scope)}
		for _, m := range s.Metrics {
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok && len(h.DataPoints) > 0 {
				scope.Metrics = append(scope.Metrics, &wire.Metric{
					Name: m.Name, Description: m.Description, Unit: m.Unit,
					Data: &wire.Metric_Histogram{Histogram: encodeHistogram(h)},
				})
			}
		}
		if len(scope.Metrics) > 0 {
			scopes = append(scopes, scope)
		}
	}
	if len(scopes) == 0 {
		return nil
	}
	return &collector.ExportMetricsServiceRequest{ResourceMetrics: []*wire.ResourceMetrics{{
		Resource: encodeResource(all.Resource), ScopeMetrics: scopes,
	}}}
}

func encodeHistogram(h metricdata.Histogram[float64]) *wire.Histogram {
	out := &wire.Histogram{AggregationTemporality: wire.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE}
	if h.Temporality == metricdata.DeltaTemporality {
		out.AggregationTemporality = wire.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
	}
	for _, p := range h.DataPoints {
		point := &wire.HistogramDataPoint{
			Attributes:        encodeAttributes(p.Attributes.ToSlice()),
			StartTimeUnixNano: nanoseconds(p.StartTime),
			TimeUnixNano:      nanoseconds(p.Time),
			Count:             p.Count,
			Sum:               &p.Sum,
			ExplicitBounds:    p.Bounds,
			BucketCounts:      p.BucketCounts,
			Exemplars:         encodeExemplars(p.Exemplars),
		}
		if v, ok := p.Min.Value(); ok {
			point.Min = &v
		}
		if v, ok := p.Max.Value(); ok {
			point.Max = &v
		}
		out.DataPoints = append(out.DataPoints, point)
	}
	return out
}

func encodeExemplars(all []metricdata.Exemplar[float64]) []*wire.Exemplar {
	out := make([]*wire.Exemplar, len(all))
	for i, e := range all {
		out[i] = &wire.Exemplar{
			FilteredAttributes: encodeAttributes(e.FilteredAttributes),
			TimeUnixNano:       nanoseconds(e.Time),
			Value:              &wire.Exemplar_AsDouble{AsDouble: e.Value},
			SpanId:             e.SpanID,
			TraceId:            e.TraceID,
		}
	}
	return out
}
