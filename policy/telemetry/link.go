package telemetry

import (
	"context"
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
}

func newServer(k serverKey) *server {
	name := attribute.String("mcpx.server", shorten(k.name, maxText))
	s := &server{targets: newNames(maxTargets), client: append(peer(k.inbound), name), outbound: append(peer(k.outbound), name)}
	s.asked = s.outbound
	if k.outbound.Address != "" {
		s.asked = append(s.asked[:len(s.asked):len(s.asked)], attribute.String("server.address", shorten(k.outbound.Address, maxText)))
		if k.outbound.Port != 0 {
			s.asked = append(s.asked, attribute.Int("server.port", k.outbound.Port))
		}
	}
	return s
}

func peer(p policy.Peer) []attribute.KeyValue {
	all := []attribute.KeyValue{attribute.String("network.transport", p.Transport)}
	if p.Protocol != "" {
		all = append(all, attribute.String("network.protocol.name", p.Protocol))
	}
	return all
}

// A link makes the spans of one link. It is its [policy.Tracer].
type link struct {
	*Telemetry
	server  *server
	session string
	own     []attribute.KeyValue // of its spans, beside those of the server
	began   time.Time
}

// Tracer returns what makes the spans of a link.
func (t *Telemetry) Tracer(info policy.LinkInfo) policy.Tracer { return t.link(info) }

// Session returns what makes the spans of a link that is a whole session, which lasts until Close. Its duration is measured.
func (t *Telemetry) Session(info policy.LinkInfo) policy.Tracer {
	l := t.link(info)
	l.began = t.now()
	t.mu.Lock()
	t.openSessions[l] = struct{}{}
	t.mu.Unlock()
	return l
}

func (t *Telemetry) link(info policy.LinkInfo) *link {
	l := &link{Telemetry: t, server: t.serverOf(info), session: shorten(info.SessionID, maxText)}
	if info.Client != "" {
		l.own = append(l.own, attribute.String("mcpx.client", shorten(info.Client, maxText)))
	}
	if l.session != "" {
		l.own = append(l.own, attribute.String("mcp.session.id", l.session))
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

// end measures a session, once.
func (l *link) end() {
	l.mu.Lock()
	_, open := l.openSessions[l]
	delete(l.openSessions, l)
	l.mu.Unlock()
	if !open {
		return
	}
	seconds := l.now().Sub(l.began).Seconds()
	l.sessions.served.Record(context.Background(), seconds, metric.WithAttributes(l.server.client...))
	l.sessions.asked.Record(context.Background(), seconds, metric.WithAttributes(l.server.outbound...))
}

func (t *Telemetry) endSessions() {
	t.mu.Lock()
	var open []*link
	for l := range t.openSessions {
		open = append(open, l)
	}
	t.mu.Unlock()
	for _, l := range open {
		l.end()
	}
}
