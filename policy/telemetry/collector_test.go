package telemetry

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	metricsto "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	tracesto "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	traces "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A testCollector takes what is posted to it. answer, where it is not nil, answers first and reports whether it did.
type testCollector struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request, n int) bool

	mu       sync.Mutex
	requests []*http.Request // guarded by mu
	spans    []*traces.Span
	metrics  []*metrics.Metric
	about    map[string]string // attributes of the resource
}

func newCollector(t testing.TB) *testCollector {
	c := &testCollector{about: map[string]string{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *testCollector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	if c.answer != nil && c.answer(w, r, len(c.requests)) {
		return
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = z
	}
	text, err := io.ReadAll(body)
	if err != nil || !c.take(r.URL.Path, text) || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "no message", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (c *testCollector) take(path string, text []byte) bool {
	switch path {
	case "/v1/traces":
		var m tracesto.ExportTraceServiceRequest
		if proto.Unmarshal(text, &m) != nil {
			return false
		}
		for _, of := range m.ResourceSpans {
			flatten(c.about, of.Resource.Attributes)
			for _, s := range of.ScopeSpans {
				c.spans = append(c.spans, s.Spans...)
			}
		}
		return true
	case "/v1/metrics":
		var m metricsto.ExportMetricsServiceRequest
		if proto.Unmarshal(text, &m) != nil {
			return false
		}
		for _, of := range m.ResourceMetrics {
			for _, s := range of.ScopeMetrics {
				c.metrics = append(c.metrics, s.Metrics...)
			}
		}
		return true
	default:
		return false
	}
}

// flatten adds attributes to a map; numbers and booleans as protobuf prints them.
func flatten(into map[string]string, all []*common.KeyValue) map[string]string {
	for _, a := range all {
		switch v := a.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			into[a.Key] = v.StringValue
		default:
			into[a.Key] = a.Value.String()
		}
	}
	return into
}

// start begins a telemetry that sends to the testCollector at once where it closes, and returns what it says.
func (c *testCollector) start(t testing.TB, change func(*Plan)) (*Telemetry, *said) {
	p, warnings := NewPlan(&Config{Endpoint: c.URL, Traces: true, Metrics: true, Sample: 1}, func(string) string { return "" })
	if len(warnings) > 0 {
		t.Fatal(warnings)
	}
	if change != nil {
		change(&p)
	}
	s := new(said)
	tel, err := Start(p, Options{Mode: "wrap", Version: "1.2.3", Instance: "me", Warn: s.warn, Debug: s.debug})
	if err != nil {
		t.Fatal(err)
	}
	if tel.spans != nil {
		tel.spans.backoff = 1
	}
	return tel, s
}

// said keeps what a reporter says.
type said struct {
	mu                sync.Mutex
	warnings, details []string // guarded by mu
}

func (s *said) warn(text string, err error) { s.add(&s.warnings, text, err) }

func (s *said) debug(text string, err error) { s.add(&s.details, text, err) }

func (s *said) add(to *[]string, text string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		text += ": " + err.Error()
	}
	*to = append(*to, text)
}
