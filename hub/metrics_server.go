package hub

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// serverMetrics are the series of one server, looked up once.
type serverMetrics struct {
	all      *metrics
	name     string
	duration prometheus.Observer
	breaker  atomic.Pointer[breaker] // nil: none

	mu       sync.RWMutex
	requests map[requestKey]prometheus.Counter
	calls    map[callKey]prometheus.Counter
	tools    map[string]bool // those with a label of their own
	gone     bool            // no longer served: nothing is added to the registry
}

type requestKey struct {
	method string
	class  uint8
}

type callKey struct {
	tool, client string
	allow        bool
}

func newServerMetrics(m *metrics, name string) *serverMetrics {
	return &serverMetrics{
		all: m, name: name, duration: m.duration.WithLabelValues(name),
		requests: make(map[requestKey]prometheus.Counter),
		calls:    make(map[callKey]prometheus.Counter),
		tools:    make(map[string]bool),
	}
}

// statusClasses are the values of status_code; the first is for a request that got no response.
var statusClasses = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

func (s *serverMetrics) request(method string, status int, took time.Duration) {
	key := requestKey{methodLabel(method), statusClass(status)}
	s.mu.RLock()
	c := s.requests[key]
	s.mu.RUnlock()
	if c == nil {
		c = s.newRequest(key)
	}
	c.Inc()
	if method != http.MethodGet && method != "subscriptions/listen" {
		s.duration.Observe(float64(took) / float64(time.Millisecond))
	}
}

func statusClass(status int) uint8 {
	if status < 100 || status > 599 {
		return 0
	}
	return uint8(status / 100)
}

func (s *serverMetrics) newRequest(key requestKey) prometheus.Counter {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.requests[key]
	if c == nil {
		c = s.series(s.all.requests, s.name, key.method, statusClasses[key.class])
		s.requests[key] = c
	}
	return c
}

// call counts a decision. client is a label.
func (s *serverMetrics) call(tool []byte, allow bool, client string) {
	s.mu.RLock()
	c := s.calls[callKey{string(tool), client, allow}]
	s.mu.RUnlock()
	if c == nil {
		c = s.newCall(tool, allow, client)
	}
	c.Inc()
}

func (s *serverMetrics) newCall(tool []byte, allow bool, client string) prometheus.Counter {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := callKey{s.toolLabel(tool), client, allow}
	if c := s.calls[key]; c != nil {
		return c
	}
	if len(s.calls) >= maxCallSeries {
		key.tool, key.client = otherLabel, otherLabel
		if c := s.calls[key]; c != nil {
			return c
		}
	}
	decision := "deny"
	if allow {
		decision = "allow"
	}
	c := s.series(s.all.calls, s.name, key.tool, decision, key.client)
	s.calls[key] = c
	return c
}

// toolLabel is called with the lock held.
func (s *serverMetrics) toolLabel(tool []byte) string {
	name := label(string(tool[:min(len(tool), maxLabel)]))
	switch {
	case s.tools[name]:
		return name
	case name == "" || len(s.tools) >= maxToolLabels: // a call that names no tool is one of the others
		return otherLabel
	}
	s.tools[name] = true
	return name
}

// series returns a counter of the registry; once the server is gone, one that nobody reads.
func (s *serverMetrics) series(of *prometheus.CounterVec, values ...string) prometheus.Counter {
	if s.gone {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "mcpx_gone"})
	}
	return of.WithLabelValues(values...)
}

// end takes all series of the server out of the registry.
func (s *serverMetrics) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	of := prometheus.Labels{"server": s.name}
	for _, vec := range []*prometheus.MetricVec{
		s.all.requests.MetricVec, s.all.calls.MetricVec, s.all.duration.MetricVec, s.all.restarts.MetricVec,
	} {
		vec.DeletePartialMatch(of)
	}
}

// breakerStates asks the breakers when somebody looks: what is open becomes half-open by time alone.
type breakerStates struct{ all *metrics }

func (breakerStates) desc() *prometheus.Desc {
	return prometheus.NewDesc("mcpx_breaker_state", "State of the circuit breaker: 0 closed, 1 open, 2 half-open.", []string{"server"}, nil)
}

// Describe is part of [prometheus.Collector].
func (b breakerStates) Describe(to chan<- *prometheus.Desc) { to <- b.desc() }

// Collect is part of [prometheus.Collector].
func (b breakerStates) Collect(to chan<- prometheus.Metric) {
	for name, s := range *b.all.servers.Load() {
		if guard := s.breaker.Load(); guard != nil {
			to <- prometheus.MustNewConstMetric(b.desc(), prometheus.GaugeValue, guard.level(), name)
		}
	}
}
