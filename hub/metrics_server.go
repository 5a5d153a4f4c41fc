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
	calls    *callMetrics

	mu       sync.RWMutex
	requests map[requestKey]prometheus.Counter // guarded by mu
	gone     bool                              // no longer served: nothing is added to the registry; guarded by mu
}

type requestKey struct {
	method string
	class  uint8
}

func newServerMetrics(m *metrics, name string) *serverMetrics {
	return &serverMetrics{
		all: m, name: name, duration: m.duration.WithLabelValues(name), calls: newCallMetrics(m, name, hubSource),
		requests: make(map[requestKey]prometheus.Counter),
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
		c = countedIn(s.all.requests, s.gone, s.name, key.method, statusClasses[key.class])
		s.requests[key] = c
	}
	return c
}

// end takes all series of the server out of the registry. What wrappers did at a server of that name stays.
func (s *serverMetrics) end() {
	s.calls.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	of := prometheus.Labels{"server": s.name}
	for _, vec := range []*prometheus.MetricVec{s.all.requests.MetricVec, s.all.duration.MetricVec, s.all.restarts.MetricVec} {
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
