package main

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metricsto "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	tracesto "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	traces "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A told span is one that a collector has, with the name of the service that made it.
type toldSpan struct {
	*traces.Span
	service string
	values  map[string]string
}

func (s toldSpan) id() string { return hex.EncodeToString(s.SpanId) }

// A collector takes what is sent by OTLP over HTTP.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	spans    []toldSpan                 // guarded by mu
	metrics  map[string]*metrics.Metric // the last of each name; guarded by mu
	problems []string                   // guarded by mu
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{metrics: map[string]*metrics.Metric{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.take(r); err != nil {
		c.problems = append(c.problems, err.Error())
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func (c *collector) take(r *http.Request) error {
	if got := r.Header.Get("Content-Type"); r.Method != http.MethodPost || got != "application/x-protobuf" {
		return fmt.Errorf("%s of %q", r.Method, got)
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return err
		}
		body = z
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	switch r.URL.Path {
	case "/v1/traces":
		var m tracesto.ExportTraceServiceRequest
		if err := proto.Unmarshal(text, &m); err != nil {
			return err
		}
		for _, of := range m.ResourceSpans {
			for _, s := range of.ScopeSpans {
				for _, span := range s.Spans {
					c.spans = append(c.spans, toldSpan{span, attributes(of.Resource.Attributes)["service.name"], attributes(span.Attributes)})
				}
			}
		}
		return nil
	case "/v1/metrics":
		var m metricsto.ExportMetricsServiceRequest
		if err := proto.Unmarshal(text, &m); err != nil {
			return err
		}
		for _, of := range m.ResourceMetrics {
			for _, s := range of.ScopeMetrics {
				for _, one := range s.Metrics {
					c.metrics[one.Name] = one
				}
			}
		}
		return nil
	default:
		return fmt.Errorf("nothing is taken at %q", r.URL.Path)
	}
}

// attributes gives them as text.
func attributes(all []*common.KeyValue) map[string]string {
	out := map[string]string{}
	for _, a := range all {
		switch v := a.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			out[a.Key] = v.StringValue
		case *common.AnyValue_BoolValue:
			out[a.Key] = fmt.Sprint(v.BoolValue)
		case *common.AnyValue_IntValue:
			out[a.Key] = fmt.Sprint(v.IntValue)
		default:
			out[a.Key] = a.Value.String()
		}
	}
	return out
}

// of gives the spans of a trace.
func (c *collector) of(trace string) []toldSpan {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []toldSpan
	for _, s := range c.spans {
		if hex.EncodeToString(s.TraceId) == trace {
			all = append(all, s)
		}
	}
	return all
}

// tree draws a trace: kind, name, service and, of a failure, its type; what began first comes first. Where times is set, with
// the milliseconds since the first and how long it took.
func (c *collector) tree(trace string, times bool) string {
	all := c.of(trace)
	slices.SortFunc(all, func(a, b toldSpan) int { return int(int64(a.StartTimeUnixNano) - int64(b.StartTimeUnixNano)) })
	known := map[string]bool{}
	for _, s := range all {
		known[s.id()] = true
	}
	var b strings.Builder
	var draw func(parent string, depth int)
	draw = func(parent string, depth int) {
		for _, s := range all {
			above := hex.EncodeToString(s.ParentSpanId)
			if above != parent && (depth > 0 || known[above]) {
				continue
			}
			line := fmt.Sprintf("%s%s %s (%s)", strings.Repeat("  ", depth), strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_"), s.Name, s.service)
			if s.Status.GetCode() == traces.Status_STATUS_CODE_ERROR {
				line += " failed: " + s.values["error.type"]
			}
			if times {
				line = fmt.Sprintf("%-60s +%.2f ms, %.2f ms", line, float64(s.StartTimeUnixNano-all[0].StartTimeUnixNano)/1e6, float64(s.EndTimeUnixNano-s.StartTimeUnixNano)/1e6)
			}
			b.WriteString(line + "\n")
			draw(s.id(), depth+1)
		}
	}
	draw("", 0)
	return b.String()
}

// A handSpan is one that a program without a library makes, to check ours by something else than itself.
type handSpan struct {
	collector, service string
	span               *traces.Span
}

// end sends it.
func (h handSpan) end() error {
	h.span.EndTimeUnixNano = uint64(time.Now().UnixNano())
	text, err := proto.Marshal(&tracesto.ExportTraceServiceRequest{ResourceSpans: []*traces.ResourceSpans{{
		Resource: &resource.Resource{Attributes: []*common.KeyValue{{
			Key: "service.name", Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: h.service}},
		}}},
		ScopeSpans: []*traces.ScopeSpans{{Spans: []*traces.Span{h.span}}},
	}}})
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Post(h.collector+"/v1/traces", "application/x-protobuf", bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the collector answers %s", answer.Status)
	}
	return nil
}
