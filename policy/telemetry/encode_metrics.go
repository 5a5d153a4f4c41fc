package telemetry

import (
	"context"
	"fmt"
	"math"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
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
	m := encodeMetrics(all)
	if m == nil {
		return nil
	}
	refused, err := e.send(ctx, m)
	if err != nil {
		e.report.failed("metrics", err)
		return nil
	}
	if refused.rejected > 0 {
		e.report.failed("metrics", fmt.Errorf("the collector has refused %d points: %q", refused.rejected, refused.text))
	}
	return nil
}

// ForceFlush has nothing to do: nothing is held back.
func (e *metricExporter) ForceFlush(context.Context) error { return nil }

// Shutdown leaves nothing open.
func (e *metricExporter) Shutdown(context.Context) error {
	e.close()
	return nil
}

// encodeMetrics gives an ExportMetricsServiceRequest of histograms, of which all our instruments are; nil: there is nothing to tell.
func encodeMetrics(all *metricdata.ResourceMetrics) message {
	found := false
	m := message(nil).inner(1, func(m message) message { // ResourceMetrics
		m = m.about(all.Resource)
		for _, s := range all.ScopeMetrics {
			m = m.inner(2, func(m message) message { // ScopeMetrics
				m = m.scope(s.Scope)
				for _, one := range s.Metrics {
					h, ok := one.Data.(metricdata.Histogram[float64])
					if !ok || len(h.DataPoints) == 0 {
						continue
					}
					found = true
					m = m.inner(2, func(m message) message {
						m = m.text(1, one.Name).text(2, one.Description).text(3, one.Unit)
						return m.inner(9, func(m message) message { return m.histogram(h) })
					})
				}
				return m
			})
		}
		return m
	})
	if !found {
		return nil
	}
	return m
}

func (m message) histogram(h metricdata.Histogram[float64]) message {
	const delta, cumulative = 1, 2
	for _, p := range h.DataPoints {
		m = m.inner(1, func(m message) message { return m.point(p) })
	}
	if h.Temporality == metricdata.DeltaTemporality {
		return m.varint(2, delta)
	}
	return m.varint(2, cumulative)
}

func (m message) point(p metricdata.HistogramDataPoint[float64]) message {
	m = m.fixed64(2, nanoseconds(p.StartTime)).fixed64(3, nanoseconds(p.Time)).fixed64(4, p.Count).double(5, p.Sum)
	m = m.packed(6, len(p.BucketCounts), func(i int) uint64 { return p.BucketCounts[i] })
	m = m.packed(7, len(p.Bounds), func(i int) uint64 { return math.Float64bits(p.Bounds[i]) })
	for _, e := range p.Exemplars {
		m = m.inner(8, func(m message) message {
			m = m.fixed64(2, nanoseconds(e.Time)).double(3, e.Value).bytes(4, e.SpanID).bytes(5, e.TraceID)
			return m.attributes(7, e.FilteredAttributes)
		})
	}
	m = m.attributes(9, p.Attributes.ToSlice())
	if v, ok := p.Min.Value(); ok {
		m = m.double(11, v)
	}
	if v, ok := p.Max.Value(); ok {
		m = m.double(12, v)
	}
	return m
}
