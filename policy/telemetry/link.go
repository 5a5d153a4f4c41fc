package telemetry

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/rohitgs28/mcpx/policy"
)

// How many different values of one kind become attributes of metrics.
const (
	maxTargets = 200 // tools and prompts of one server
	maxCodes   = 50  // of errors
	maxServers = 1000
	maxSeries  = 10_000 // of one server that are kept ready
)

// A serverKey is what links to one server have in common.
type serverKey struct {
	name              string
	inbound, outbound policy.Peer
}

// A server holds what is the same for all requests to one.
type server struct {
	targets  *names
	client   []attribute.KeyValue // of a span or measurement between mcpx and the client
	outbound []attribute.KeyValue // and of one between mcpx and the server
	asked    []attribute.KeyValue // of what mcpx asks of the server

	mu     sync.Mutex
	series map[seriesKey]metric.MeasurementOption // guarded by mu
}

// A seriesKey says which series of a server a measurement belongs to.
type seriesKey struct {
	method        string
	targetKey     attribute.Key // "": no tool and no prompt
	target        string
	problem, code string
	decision      string
	fromServer    bool
	asked         bool // what mcpx asks; else what it is asked
}

func newServer(k serverKey) *server {
	name := attribute.String("mcpx.server", shorten(k.name, maxText))
	s := &server{series: make(map[seriesKey]metric.MeasurementOption), targets: newNames(maxTargets), client: append(peer(k.inbound), name), outbound: append(peer(k.outbound), name)}
	s.asked = s.outbound
	if k.outbound.Address != "" {
		s.asked = append(slices.Clip(s.asked), attribute.String("server.address", shorten(k.outbound.Address, maxText)))
		if k.outbound.Port != 0 {
			s.asked = append(s.asked, attribute.Int("server.port", k.outbound.Port))
		}
	}
	return s
}

// between gives the attributes of one side of a request.
func (s *server) between(fromServer, asked bool) []attribute.KeyValue {
	switch {
	case fromServer == asked:
		return s.client
	case asked:
		return s.asked
	default:
		return s.outbound
	}
}

// of gives the attributes of a series, ready for use: sorting them each time would cost more than all the rest.
func (s *server) of(k seriesKey) metric.MeasurementOption {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ready, ok := s.series[k]; ok {
		return ready
	}
	all := append([]attribute.KeyValue(nil), s.between(k.fromServer, k.asked)...)
	all = append(all, attribute.String("mcp.method.name", k.method), attribute.String("mcpx.decision", k.decision))
	if k.targetKey != "" {
		all = append(all, k.targetKey.String(k.target))
	}
	if k.targetKey == toolKey {
		all = append(all, executesTool())
	}
	if k.code != "" {
		all = append(all, attribute.String("rpc.response.status_code", k.code))
	}
	if k.problem != "" {
		all = append(all, attribute.String("error.type", k.problem))
	}
	if len(s.series) >= maxSeries {
		clear(s.series)
	}
	ready := metric.WithAttributeSet(attribute.NewSet(all...))
	s.series[k] = ready
	return ready
}

func peer(p policy.Peer) []attribute.KeyValue {
	all := []attribute.KeyValue{attribute.String("network.transport", p.Transport)}
	if p.Protocol != "" {
		all = append(all, attribute.String("network.protocol.name", p.Protocol))
	}
	return all
}

// A link makes the spans of one link, and measures it if it is a session. It is its [policy.Tracer].
type link struct {
	*Telemetry
	server *server
	own    []attribute.KeyValue // of its spans, beside those of the server

	session bool
	once    sync.Once
	began   time.Time // once it has
}

var _ policy.SessionTracer = (*link)(nil)

// Tracer returns what makes the spans of a link. One with a session id is a session, from its first request until it is closed.
func (t *Telemetry) Tracer(info policy.LinkInfo) policy.Tracer { return t.link(info) }

// Session returns what makes the spans of a link that is a session by itself, from now until Close.
func (t *Telemetry) Session(info policy.LinkInfo) policy.Tracer {
	l := t.link(info)
	l.session = true
	l.once.Do(l.begin)
	return l
}

func (t *Telemetry) link(info policy.LinkInfo) *link {
	l := &link{Telemetry: t, server: t.serverOf(info), session: info.SessionID != ""}
	if info.Client != "" {
		l.own = append(l.own, attribute.String("mcpx.client", shorten(info.Client, maxText)))
	}
	if info.SessionID != "" {
		l.own = append(l.own, attribute.String("mcp.session.id", shorten(info.SessionID, maxText)))
	}
	return l
}

func (t *Telemetry) serverOf(info policy.LinkInfo) *server {
	key := serverKey{info.Server, info.Inbound, info.Outbound}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.servers[key]
	if s == nil {
		if len(t.servers) >= maxServers { // reloads have renamed them again and again
			clear(t.servers)
		}
		s = newServer(key)
		t.servers[key] = s
	}
	return s
}

// begin begins the session.
func (l *link) begin() {
	l.began = l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[l] = struct{}{}
}

// Closed measures the session, if it is one and has begun; once.
func (l *link) Closed() {
	l.mu.Lock()
	_, open := l.open[l]
	delete(l.open, l)
	l.mu.Unlock()
	if !open {
		return
	}
	seconds := l.now().Sub(l.began).Seconds()
	l.sessions.served.Record(context.Background(), seconds, metric.WithAttributes(l.server.client...))
	l.sessions.asked.Record(context.Background(), seconds, metric.WithAttributes(l.server.outbound...))
}

// closeSessions measures those that are open as if they ended now: nobody will see their end.
func (t *Telemetry) closeSessions() {
	t.mu.Lock()
	open := slices.Collect(maps.Keys(t.open))
	t.mu.Unlock()
	for _, l := range open {
		l.Closed()
	}
}
