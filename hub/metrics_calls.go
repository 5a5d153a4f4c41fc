package hub

import (
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rohitgs28/mcpx/integrity"
)

// The values of the label source: who has decided.
const (
	hubSource  = "hub"
	wrapSource = "wrap"
)

// callMetrics are the series of mcpx_tool_calls_total, mcpx_shadow_denials_total and mcpx_integrity_findings_total of one server
// and source.
type callMetrics struct {
	all    *metrics
	server string
	source string

	mu    sync.RWMutex
	calls map[callKey]prometheus.Counter // guarded by mu
	tools map[string]bool                // those with a label of their own; guarded by mu
	gone  bool                           // nothing is added to the registry any more; guarded by mu
}

type callKey struct {
	tool, client string
	allow        bool
}

func newCallMetrics(all *metrics, server, source string) *callMetrics {
	return &callMetrics{
		all: all, server: server, source: source,
		calls: make(map[callKey]prometheus.Counter), tools: make(map[string]bool),
	}
}

// count counts a decision. client is a label.
func (s *callMetrics) count(tool []byte, allow bool, client string) {
	s.mu.RLock()
	c := s.calls[callKey{string(tool), client, allow}]
	s.mu.RUnlock()
	if c == nil {
		c = s.add(tool, allow, client)
	}
	c.Inc()
}

func (s *callMetrics) add(tool []byte, allow bool, client string) prometheus.Counter {
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
	c := countedIn(s.all.calls, s.gone, s.server, key.tool, decision, key.client, s.source)
	s.calls[key] = c
	return c
}

// rehearsed counts a call that a policy in shadow mode denies.
func (s *callMetrics) rehearsed(tool []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	countedIn(s.all.shadowed, s.gone, s.server, s.toolLabel(tool), s.source).Inc()
}

// found counts a finding about what the server says of itself.
func (s *callMetrics) found(reason string) {
	reason = findingLabel(reason)
	s.mu.RLock()
	defer s.mu.RUnlock()
	countedIn(s.all.findings, s.gone, s.server, reason, s.source).Inc()
}

// findingLabel bounds the reasons: they are a kind of definition and what is wrong with it.
func findingLabel(reason string) string {
	kind, status, _ := strings.Cut(reason, "_")
	if _, err := integrity.ParseKind(kind); err != nil {
		return otherLabel
	}
	switch status {
	case "added", "removed", "changed", "twin", "shadowed", "malformed", "unknown":
		return reason
	default:
		return otherLabel
	}
}

// toolLabel is called with the lock held.
func (s *callMetrics) toolLabel(tool []byte) string {
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

// end takes the series out of the registry.
func (s *callMetrics) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	for _, all := range []*prometheus.CounterVec{s.all.calls, s.all.shadowed, s.all.findings} {
		all.DeletePartialMatch(prometheus.Labels{"server": s.server, "source": s.source})
	}
}

// countedIn returns a counter of the registry; where its owner is gone, one that nobody reads.
func countedIn(all *prometheus.CounterVec, gone bool, values ...string) prometheus.Counter {
	if gone {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "mcpx_gone"})
	}
	return all.WithLabelValues(values...)
}
