package hub

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// fleetMetrics are the series of what wrappers send.
type fleetMetrics struct {
	all      *metrics
	stored   prometheus.Counter
	batches  *prometheus.CounterVec
	problems *prometheus.CounterVec
	splits   *prometheus.CounterVec

	mu      sync.Mutex
	servers map[string]*callMetrics // by label; guarded by mu
	alive   map[presenceKey]presence
}

// A presenceKey names a wrapper. The map of those that are alive is guarded by fleetMetrics.mu.
type presenceKey struct{ principal, instance string }

// A presence is what a wrapper said last.
type presence struct {
	at      time.Time
	pending uint64 // events that the hub does not have yet
}

// maxAlive bounds the wrappers that are counted as alive.
const maxAlive = 10_000

// What becomes of a batch of events.
const (
	batchStored  = "stored"
	batchBehind  = "behind"  // an earlier event has to come first
	batchRefused = "refused" // it is not what the protocol asks for, or too much
	batchBusy    = "busy"    // too many at once
	batchFailed  = "failed"  // the store or the hub's own log
)

// addFleet registers the series of wrappers.
func (m *metrics) addFleet() {
	f := &fleetMetrics{all: m, servers: make(map[string]*callMetrics), alive: make(map[presenceKey]presence)}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	f.stored = counter("mcpx_events_stored_total", "Events of all sources that were stored, each once.").WithLabelValues()
	f.batches = counter("mcpx_event_batches_total", "Batches of events that came over HTTP, by what became of them.", "result")
	for _, result := range []string{batchStored, batchBehind, batchRefused, batchBusy, batchFailed} {
		f.batches.WithLabelValues(result)
	}
	f.problems = counter("mcpx_chain_problems_total", "Places where a chain of events is not what was written.", "reason")
	f.splits = counter("mcpx_split_views_total", "Definitions of which machines see different ones at the same version of a server.", "kind")
	// Who asks whether these have grown must see them before the first problem: what begins with 1 has not grown.
	for _, reason := range append(chainProblems[:], otherLabel) {
		f.problems.WithLabelValues(reason)
	}
	for _, kind := range []integrity.Kind{integrity.Tools, integrity.Prompts, integrity.Instructions} {
		f.splits.WithLabelValues(kind.String())
	}
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mcpx_wrappers_alive", Help: "Wrappers that said within the last 90 seconds that they are there.",
	}, func() float64 { alive, _ := f.countAlive(time.Now()); return float64(alive) }))
	m.fleet = f
}

// countWaiting tells how many events of the hub's own log wait. It may be called once.
func (f *fleetMetrics) countWaiting(own func() uint64) {
	f.all.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mcpx_events_waiting", Help: "Events that are not in the store yet: those of these wrappers, as they said last, and the hub's own.",
	}, func() float64 {
		_, pending := f.countAlive(time.Now())
		return pending + float64(own())
	}))
}

// countStreams tells how to count the streams of bundles that are open. It may be called once.
func (f *fleetMetrics) countStreams(count func() int) {
	f.all.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mcpx_policy_streams_open", Help: "Wrappers that wait for changes of their policy.",
	}, func() float64 { return float64(count()) }))
}

// record counts events that were stored for the first time. Those of gateways were counted when they happened.
func (f *fleetMetrics) record(principal string, events []*audit.Record) {
	f.stored.Add(float64(len(events)))
	client := ""
	for _, e := range events {
		if e.Source == wrapSource && e.Kind == audit.Integrity {
			f.server(e.Server).found(e.Reason)
		}
		if e.Source != wrapSource || e.Kind != audit.Decision {
			continue
		}
		if e.Method == "tools/call" {
			if client == "" {
				client = f.all.client(principal)
			}
			calls := f.server(e.Server)
			calls.count([]byte(e.Target), e.Decision == "allow", client)
			if policy.Shadowed(e.Decision, e.Reason) {
				calls.rehearsed([]byte(e.Target))
			}
		}
		if e.Decision != "allow" && strings.HasPrefix(e.Rule, "rate_limit.") {
			f.all.rateLimitHit()
		}
	}
}

// server returns the calls of wrappers at a server. Those that the gateway serves too have a label in any case.
func (f *fleetMetrics) server(name string) *callMetrics {
	name = label(name)
	_, served := (*f.all.servers.Load())[name]
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.servers[name]; s != nil {
		return s
	}
	if name == "" || !served && len(f.servers) >= maxFleetServers {
		name = otherLabel
		if s := f.servers[name]; s != nil {
			return s
		}
	}
	s := newCallMetrics(f.all, name, wrapSource)
	f.servers[name] = s
	return s
}

// saw notes that a wrapper is there, or has said goodbye.
func (f *fleetMetrics) saw(principal string, p *uplink.Presence, now time.Time) {
	key := presenceKey{principal, p.Instance}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case p.Ended:
		delete(f.alive, key)
	case len(f.alive) < maxAlive || !f.alive[key].at.IsZero():
		f.alive[key] = presence{at: now, pending: p.Pending}
	}
}

// countAlive forgets those that were silent for too long and returns how many are left, and for how many events of theirs the
// hub waits.
func (f *fleetMetrics) countAlive(now time.Time) (alive int, pending float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, last := range f.alive {
		if now.Sub(last.at) > 3*uplink.HeartbeatEvery {
			delete(f.alive, key)
			continue
		}
		pending += float64(last.pending) // a wrapper may claim any number
	}
	return len(f.alive), pending
}
