package telemetry

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resources "go.opentelemetry.io/proto/slim/otlp/resource/v1"
)

// What spans and metrics have in common on the wire.

func encodeResource(r *resource.Resource) *resources.Resource {
	return &resources.Resource{Attributes: encodeAttributes(r.Attributes())}
}

func encodeScope(s instrumentation.Scope) *common.InstrumentationScope {
	return &common.InstrumentationScope{Name: s.Name, Version: s.Version}
}

// encodeAttributes lays a list out with few allocations: a busy gateway has tens of thousands of attributes a second. It knows
// the kinds that we make ourselves; others, which only the environment could bring, go as text.
func encodeAttributes(all []attribute.KeyValue) []*common.KeyValue {
	if len(all) == 0 {
		return nil
	}
	out, pairs, values := make([]*common.KeyValue, len(all)), make([]common.KeyValue, len(all)), make([]common.AnyValue, len(all))
	texts := make([]common.AnyValue_StringValue, len(all))
	for i, a := range all {
		switch a.Value.Type() {
		case attribute.BOOL:
			values[i].Value = &common.AnyValue_BoolValue{BoolValue: a.Value.AsBool()}
		case attribute.INT64:
			values[i].Value = &common.AnyValue_IntValue{IntValue: a.Value.AsInt64()}
		case attribute.FLOAT64:
			values[i].Value = &common.AnyValue_DoubleValue{DoubleValue: a.Value.AsFloat64()}
		case attribute.STRING:
			texts[i].StringValue = a.Value.AsString()
			values[i].Value = &texts[i]
		default:
			texts[i].StringValue = a.Value.String()
			values[i].Value = &texts[i]
		}
		pairs[i].Key, pairs[i].Value = string(a.Key), &values[i]
		out[i] = &pairs[i]
	}
	return out
}

// nanoseconds gives a time as the wire has it; 0 is that of no time.
func nanoseconds(t time.Time) uint64 {
	return uint64(max(0, t.UnixNano())) //nolint:gosec // not negative
}
