package hub

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/streamable"
)

// verifyAgain is how long the lists of an HTTP server are relied on before they are read again: nothing tells us that such a
// server was replaced. A child's are relied on until it says otherwise, or is started again.
const verifyAgain = 5 * time.Minute

// A backend is one server as long as its entry stays the same: what was opened for it, and what is known of it. It outlives
// configurations.
type backend struct {
	cfg        Server // without the policy, which is the routes'
	limits     Limits
	inspection integrity.Config

	usage  *usage          // messages under way; streams without an end are not counted
	pins   *integrity.Pins // nil: tool integrity is off
	census *policy.Census
	prober *prober

	opener opener
	houses houses
	params *streamable.ParamHeaders // of a server that cannot see headers; nil for others
}

// An openKey says for whom an upstream is opened.
type openKey struct {
	modern    bool
	principal string
	session   string // of a legacy client; "" for a single request
}

// An opener makes upstreams to one server, and is what they share. Its methods may be called beside one another.
type opener interface {
	// open returns an upstream for a session or a single request. It is cheap: nothing is connected or started yet.
	open(key openKey) (transport.Upstream, error)
	// check finds out how the server is, without starting anything.
	check(ctx context.Context) (state string, err error)
	// close ends everything, and waits for it for a bounded time.
	close()
}

// newBackend makes what a server needs. It connects to nothing yet.
func (h *Hub) newBackend(server Server, cfg Config) (*backend, error) {
	b := &backend{cfg: withoutPolicy(server), limits: cfg.Limits, inspection: cfg.Inspection, usage: newUsage()}
	maxAge := verifyAgain
	if server.Command != "" {
		maxAge = 0
	}
	b.census = policy.NewCensus(maxAge)
	var err error
	if h.opt.Pins != nil {
		if b.pins, err = h.opt.Pins(server.Name); err != nil {
			return nil, fmt.Errorf("pins of server %q: %w", server.Name, err)
		}
	}
	if h.fleet != nil && b.pins != nil {
		b.pins.OnSighting(func() { h.fleet.seen.add(server.Name) })
	}
	if b.opener, err = h.newOpener(server, cfg.Limits, b.census); err != nil {
		return nil, fmt.Errorf("server %q: %w", server.Name, err)
	}
	if server.Transport == "stdio" {
		b.params = new(streamable.ParamHeaders)
	}
	b.houses.open, b.houses.version = b.opener.open, h.opt.Version
	b.prober = newProber(b.opener.check, h.log.With().Str("server", server.Name).Logger())
	return b, nil
}

// open returns an upstream for a session or a single request.
func (b *backend) open(key openKey) (transport.Upstream, error) {
	up, err := b.opener.open(key)
	if err != nil || b.params == nil || !key.modern {
		return up, err
	}
	return &mirror{up, b.params}, nil
}

// newOpener finds the transport.
func (h *Hub) newOpener(server Server, limits Limits, census *policy.Census) (opener, error) {
	switch server.Transport {
	case "http":
		pool, err := streamable.NewPool(streamable.ClientOptions{
			URL: server.URL, Headers: server.Headers, MaxMessage: limits.MaxMessage, MaxDepth: limits.MaxDepth, Timeout: server.RequestTimeout,
		})
		if err != nil {
			return nil, err
		}
		return newRemote(pool, h.opt.Version), nil
	case "stdio", "sse":
		return h.openChildren(server, limits, census), nil
	default:
		return nil, fmt.Errorf("transport %q cannot be served by the hub: use http, stdio or sse", server.Transport)
	}
}

// openChildren has the children of an entry recorded: no link is theirs.
func (h *Hub) openChildren(server Server, limits Limits, census *policy.Census) opener {
	link := h.opt.Record.Link(audit.LinkInfo{Server: server.Name})
	note := func(e audit.Event) {
		link.Append(&e)
		if err := h.opt.Record.Commit(); err != nil {
			h.log.Error().Err(err).Str("server", server.Name).Msg("an event of a child is not recorded")
		}
	}
	return newChildren(server, limits, childOptions{
		Version:  h.opt.Version,
		Log:      h.log,
		Notified: census.Notified,
		Doubt:    census.Doubt,
		Started: func(again bool) {
			if again {
				h.metrics.childRestart(server.Name)
			}
			note(audit.Event{Kind: audit.Lifecycle, Reason: "server_started"})
		},
		Ended: func(cause error, stderr []byte) {
			e := audit.Event{Kind: audit.Lifecycle, Reason: "server_stopped"}
			if cause != nil {
				e.Reason = "server_exited: " + cause.Error()
			}
			if len(stderr) > 0 {
				e.Detail = append(jsonrpc.AppendString([]byte(`{"stderr":`), stderr), '}')
			}
			note(e)
		},
		Stray: func(m *jsonrpc.Message, reason string) {
			note(audit.Event{Kind: audit.Anomaly, RequestID: m.ID.Token(), Method: m.Method, Reason: reason, Outcome: "dropped"})
		},
		Refused: func(method string) {
			note(audit.Event{Kind: audit.Decision, Method: method, Decision: "deny", Rule: "isolation",
				Reason: "the server is shared by all clients, so none of them can be asked", Outcome: "denied"})
		},
	})
}

// serves reports whether the backend is what a new configuration needs.
func (b *backend) serves(server Server, cfg Config) bool {
	return reflect.DeepEqual(b.cfg, withoutPolicy(server)) && b.limits == cfg.Limits && reflect.DeepEqual(b.inspection, cfg.Inspection)
}

func withoutPolicy(s Server) Server {
	s.Policy = policy.Config{}
	return s
}

func (b *backend) close() {
	b.prober.close()
	b.houses.close()
	b.opener.close()
}

// A remote opens sessions at a Streamable HTTP server over one pool of connections.
type remote struct {
	pool   *streamable.Pool
	health checkup
}

func newRemote(pool *streamable.Pool, version string) *remote {
	r := &remote{pool: pool}
	r.health = askOverNetwork(func() (transport.Upstream, error) { return r.open(openKey{}) }, version)
	return r
}

func (r *remote) open(openKey) (transport.Upstream, error) { return streamable.NewClient(r.pool), nil }

func (r *remote) check(ctx context.Context) (string, error) { return r.health(ctx) }

func (r *remote) close() { _ = r.pool.Close() }
