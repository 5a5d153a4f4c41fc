package hub

import (
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// Label values that come from outside are bounded: what comes later counts as other.
const (
	maxToolLabels   = 200    // tools per server
	maxFleetServers = 200    // servers that only wrappers know
	maxClientLabels = 1000   // clients
	maxCallSeries   = 10_000 // of mcpx_tool_calls_total per server: tools times clients is more than a scraper should be given
	maxLabel        = 128    // bytes of one value

	otherLabel     = "other"
	anonymousLabel = "anonymous"
)

// metrics is what /metrics shows. Its methods may be called beside one another, and allocate nothing for what was counted
// before.
type metrics struct {
	registry *prometheus.Registry
	page     http.Handler
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	calls    *prometheus.CounterVec
	shadowed *prometheus.CounterVec
	findings *prometheus.CounterVec
	restarts *prometheus.CounterVec
	reloads  *prometheus.CounterVec
	fleet    *fleetMetrics // nil without a store

	authFailures, rateLimitHits, breakerTrips prometheus.Counter

	servers atomic.Pointer[map[string]*serverMetrics] // by name; never nil. The server "" is every request that names none
	serving sync.Mutex                                // held while servers is replaced

	mu      sync.Mutex
	clients map[string]bool // those with a label of their own; guarded by mu
}

// newMetrics returns metrics in a registry of their own.
func newMetrics(version string) *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), clients: make(map[string]bool)}
	m.page = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	m.requests = counter("mcpx_requests_total", "HTTP requests by server, MCP method (the HTTP method where the body has none) and class of status.",
		"server", "method", "status_code")
	m.calls = counter("mcpx_tool_calls_total", "Decisions about tool calls, by this gateway (source hub) and by wrappers as their events come in (source wrap).", "server", "tool", "decision", "client", "source")
	m.shadowed = counter("mcpx_shadow_denials_total", "Tool calls that passed although a policy in shadow mode denies them.", "server", "tool", "source")
	m.findings = counter("mcpx_integrity_findings_total", "Definitions that are not what was pinned, or that are new, whenever that was met.", "server", "reason", "source")
	m.restarts = counter("mcpx_child_restarts_total", "Starts of a stdio server after it had ended by itself.", "server")
	m.reloads = counter("mcpx_config_reloads_total", "Reloads of the configuration: ok or refused.", "result")
	m.authFailures = counter("mcpx_auth_failures_total", "Requests without a valid credential.").WithLabelValues()
	m.rateLimitHits = counter("mcpx_rate_limit_hits_total", "Messages that a rate limit refused.").WithLabelValues()
	m.breakerTrips = counter("mcpx_breaker_trips_total", "How often a circuit breaker opened.").WithLabelValues()
	m.reloads.WithLabelValues("ok")
	m.reloads.WithLabelValues("refused")
	m.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "mcpx_request_duration_ms",
		Help:    "Time to the end of the answer in milliseconds; streams that last as long as the client wants are left out.",
		Buckets: []float64{0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000},
	}, []string{"server"})
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "mcpx_build_info",
		Help:        "1, with the version as label.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(m.duration, build, breakerStates{m},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.servers.Store(&map[string]*serverMetrics{"": newServerMetrics(m, "")})
	return m
}

// handler serves /metrics.
func (m *metrics) handler() http.Handler { return m.page }

// setServers names the servers that have a label, each with its breaker, nil for none. The series of those that are gone go
// with them.
func (m *metrics) setServers(breakers map[string]*breaker) {
	m.serving.Lock()
	defer m.serving.Unlock()
	before := *m.servers.Load()
	now := map[string]*serverMetrics{"": before[""]}
	for name, b := range breakers {
		s, ok := before[name]
		if !ok {
			s = newServerMetrics(m, name)
		}
		s.breaker.Store(b)
		now[name] = s
	}
	m.servers.Store(&now)
	for name, s := range before {
		if now[name] == nil {
			s.end()
		}
	}
}

// server returns the metrics of a server, those of "" for one that is not served.
func (m *metrics) server(name string) *serverMetrics {
	servers := *m.servers.Load()
	if s, ok := servers[name]; ok {
		return s
	}
	return servers[""]
}

// request counts an HTTP request and what it took. method is that of the message, or of HTTP where there was none.
func (m *metrics) request(server, method string, status int, took time.Duration) {
	m.server(server).request(method, status, took)
}

// observe returns what counts the events of one link ([policy.GuardOptions], Watch).
func (m *metrics) observe(server, client string) func(*audit.Event) {
	s, label := m.server(server), m.client(client)
	return func(e *audit.Event) {
		if e.Kind == audit.Integrity {
			s.calls.found(e.Reason)
		}
		if e.Kind != audit.Decision {
			return
		}
		if e.Method == "tools/call" {
			s.calls.count(e.Target, e.Decision == "allow", label)
			if policy.Shadowed(e.Decision, e.Reason) {
				s.calls.rehearsed(e.Target)
			}
		}
		if e.Decision != "allow" && strings.HasPrefix(e.Rule, "rate_limit.") {
			m.rateLimitHit()
		}
	}
}

func (m *metrics) authFailure()  { m.authFailures.Inc() }
func (m *metrics) rateLimitHit() { m.rateLimitHits.Inc() }
func (m *metrics) breakerTrip()  { m.breakerTrips.Inc() }

func (m *metrics) childRestart(server string) { m.restarts.WithLabelValues(server).Inc() }

func (m *metrics) reload(ok bool) {
	result := "ok"
	if !ok {
		result = "refused"
	}
	m.reloads.WithLabelValues(result).Inc()
}

// countSessions tells how to count the legacy sessions that are open. It may be called once.
func (m *metrics) countSessions(count func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mcpx_sessions_open", Help: "Legacy sessions of clients that are open.",
	}, func() float64 { return float64(count()) }))
}

// watchRecord tells how to know whether the hub's own audit log cannot be written. It may be called once.
func (m *metrics) watchRecord(failing func() bool) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mcpx_audit_failing", Help: "1 while the audit log of this hub cannot be written, else 0.",
	}, func() float64 {
		if failing() {
			return 1
		}
		return 0
	}))
}

// client returns the label of a principal.
func (m *metrics) client(name string) string {
	if name == "" {
		return anonymousLabel
	}
	name = label(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.clients[name] {
		if len(m.clients) >= maxClientLabels {
			return otherLabel
		}
		m.clients[name] = true
	}
	return name
}

// label makes a label value of a text from outside.
func label(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxLabel)], "\uFFFD")
}

// methodLabel bounds the methods: those that we know, and those of HTTP that a gateway answers.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodOptions, http.MethodHead:
		return method
	}
	if known, ok := policy.Lookup(method); ok {
		return known.Name
	}
	return otherLabel
}
