package hub

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/hub/auth"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// Options are what a Hub works with beside its configuration.
type Options struct {
	Log     zerolog.Logger
	Record  *audit.Log                                          // required; closed by the caller after Serve has returned
	Pins    func(server string) (*integrity.Pins, error)        // nil pins: tool integrity is off; a nil func: off for all
	Version string                                              // of mcpx
	Tracer  func(policy.LinkInfo) policy.Tracer                 // of each link to a server; nil, or if it gives nil: nobody traces
	Started func(addr string)                                   // is told the address once the hub listens; nil: nobody
	Listen  func(network, address string) (net.Listener, error) // nil: net.Listen

	Store *store.Store       // of what wrappers send and are told; closed by the caller after Serve has returned. Nil: there is no /v1
	Key   ed25519.PrivateKey // that bundles are signed with; required with Store

	// Local is where the user that the hub runs as reaches it, apart from everybody else: /v1, as an administrator, and /metrics.
	// It is closed when Serve returns. Nil: nowhere.
	Local      net.Listener
	LocalToken string // that requests to Local must carry; "": who reaches it is that user

	// The dashboard is served where Config.Admin says, with a Store only.
	ListenAdmin func(network, address string) (net.Listener, error) // nil: net.Listen. It may return nil: then there is no dashboard
	Dashboard   func(url string)                                    // is told where the dashboard is, before Started; nil: nobody
}

// A Hub is one gateway. Its methods may be called beside one another.
type Hub struct {
	opt         Options
	log         zerolog.Logger
	ctx         context.Context // ends when the hub stops serving
	stop        context.CancelFunc
	metrics     *metrics
	sessions    *sessions
	listens     *sessions     // subscriptions of revision 2026-07-28, which has no sessions but requests without an end
	usage       *usage        // requests under way
	undelivered *undelivered  // answers on their way to clients
	served      atomic.Uint64 // requests ever
	state       atomic.Pointer[state]
	streams     context.Context // ends when streams without an end have to
	endAll      context.CancelFunc
	draining    atomic.Bool
	certs       *certificates // nil without TLS
	fleet       *fleet        // nil without a store
	admin       *admin        // nil without a dashboard

	reloading sync.Mutex // one at a time
	retiring  sync.WaitGroup
}

// A state is what one configuration makes of the hub. Requests take the one that they find when they begin.
type state struct {
	cfg     Config
	routes  map[string]*route
	auth    *auth.Authenticator
	limiter *policy.Limiter // nil: no limit
	door    *door
	about   http.Handler // RFC 9728 metadata
	health  []patient

	rulings   map[string]store.Ruling // what was approved and revoked, by server
	documents documents               // bundles that were signed
}

// How long the hub waits for what it does not control.
const (
	headPatience  = 10 * time.Second // for a request's headers
	bodyPatience  = 30 * time.Second // for its body
	idlePatience  = 2 * time.Minute  // for the next request on a connection
	drainPatience = 15 * time.Second // for what is in flight when the hub, or a server of it, stops
	leavePatience = 5 * time.Second  // for requests to notice that everything behind them has been closed
	keysPatience  = 3 * time.Second  // for the keys of a new issuer, at a reload
	maxHeader     = 32 << 10         // bytes of a request's headers
)

// New returns a hub that is ready to serve cfg. It starts no server yet.
func New(ctx context.Context, cfg Config, opt Options) (*Hub, error) {
	if opt.Record == nil {
		return nil, errors.New("a hub needs an audit log")
	}
	h := &Hub{opt: opt, log: opt.Log, metrics: newMetrics(opt.Version), sessions: newSessions(), listens: newSessions(), usage: newUsage(), undelivered: newUndelivered()}
	h.ctx, h.stop = context.WithCancel(context.WithoutCancel(ctx))
	h.streams, h.endAll = context.WithCancel(h.ctx)
	h.metrics.countSessions(h.sessions.count)
	h.metrics.watchRecord(opt.Record.Failing)
	if cfg.TLS != (TLS{}) {
		var err error
		if h.certs, err = newCertificates(cfg.TLS, h.log); err != nil {
			return nil, err
		}
	}
	var err error
	if h.fleet, err = newFleet(ctx, h); err != nil {
		h.stop()
		return nil, err
	}
	next, err := h.build(cfg, nil)
	if err == nil && h.fleet != nil && cfg.Admin.Listen != "" {
		h.admin, err = newAdmin(h, h.fleet, cfg.Admin)
	}
	if err != nil {
		h.stop()
		if h.fleet != nil {
			_ = h.fleet.outbox.Close() // nothing was sent
		}
		return nil, err
	}
	h.use(next)
	return h, nil
}

func (h *Hub) use(s *state) {
	breakers := make(map[string]*breaker, len(s.routes))
	for name, rt := range s.routes {
		breakers[name] = rt.breaker
	}
	h.metrics.setServers(breakers)
	if h.fleet == nil {
		h.state.Store(s)
		return
	}
	for name, rt := range s.routes {
		rt.backend.approve(s.rulings[name])
	}
	h.state.Store(s)
	h.fleet.changes.ring()
}

// Reload replaces the configuration. What is in flight ends under the old one; servers whose entry is unchanged keep their
// connections, children, breakers and pins; open sessions go by the new rules from their next message on. After an error the
// old configuration keeps serving.
func (h *Hub) Reload(cfg Config) (err error) {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	if h.ctx.Err() != nil {
		return errors.New("the gateway has stopped")
	}
	defer func() { h.metrics.reload(err == nil) }()
	old := h.state.Load()
	if cfg.Listen != old.cfg.Listen {
		return fmt.Errorf("listen: cannot change from %q to %q while the gateway runs: start it again", old.cfg.Listen, cfg.Listen)
	}
	if cfg.Admin != old.cfg.Admin {
		return errors.New("admin: the dashboard cannot move while the gateway runs: start it again")
	}
	if cfg.TLS != old.cfg.TLS {
		return errors.New("tls: other files cannot be named while the gateway runs: start it again (new content is read by itself)")
	}
	next, err := h.build(cfg, old)
	if err != nil {
		return err
	}
	if next.auth != old.auth {
		select { // or clients would be refused until its keys are there
		case <-next.auth.Settled():
		case <-time.After(keysPatience):
		}
	}
	if h.certs != nil {
		if err := h.certs.reload(); err != nil {
			h.log.Error().Err(err).Msg("the new certificate cannot be used: the old one stays")
		}
	}
	h.use(next)
	h.rule(old, next)
	h.retiring.Go(func() { h.retire(old, next) })
	return nil
}

// Refused counts a configuration that was so bad that nothing could be made of it for Reload.
func (h *Hub) Refused() { h.metrics.reload(false) }

// rule has the messages of all sessions judged by a new state. Clients of servers where that makes a difference are told to
// list again.
func (h *Hub) rule(old, next *state) {
	overrides := !reflect.DeepEqual(old.cfg.Clients, next.cfg.Clients)
	changed := make(map[string]bool)
	for name, rt := range next.routes {
		before := old.route(name)
		changed[name] = overrides || before == nil || !reflect.DeepEqual(before.cfg, rt.cfg) || !reflect.DeepEqual(old.rulings[name], next.rulings[name])
	}
	follow := func(s *session) {
		next.rule(s)
		if changed[s.server] {
			s.guard.Wake()
		}
	}
	h.sessions.each(follow)
	h.listens.each(follow)
}

// rule has the messages of a session judged by this configuration from now on.
func (s *state) rule(x *session) {
	if rt := s.routes[x.server]; rt != nil {
		x.guard.SetRules(rt.engineFor(x.principal), rt.limiter)
	}
}

// build makes the state of a configuration, and takes from the old one what has not changed.
func (h *Hub) build(cfg Config, old *state) (*state, error) {
	next := &state{cfg: cfg, routes: make(map[string]*route)}
	if h.fleet != nil {
		if err := checkPolicies(&cfg); err != nil {
			return nil, err
		}
		next.rulings = *h.fleet.rulings.Load()
	}
	var err error
	if old != nil && reflect.DeepEqual(old.cfg.Auth, cfg.Auth) {
		next.auth = old.auth
	} else if next.auth, err = auth.New(h.ctx, cfg.Auth, auth.Options{Log: h.log}); err != nil {
		return nil, err
	}
	if old != nil && old.cfg.RateLimit == cfg.RateLimit {
		next.limiter = old.limiter
	} else {
		next.limiter = policy.NewLimiter(cfg.RateLimit, nil)
	}
	var made []*backend
	for _, server := range cfg.Servers {
		rt, fresh, err := h.route(server, next, old)
		if err != nil {
			for _, b := range made {
				b.close()
			}
			if old == nil || next.auth != old.auth {
				next.auth.Close()
			}
			return nil, err
		}
		if fresh {
			made = append(made, rt.backend)
		}
		rt.limiter, rt.auth = next.limiter, next.auth
		next.routes[server.Name] = rt
	}
	next.door = newDoor(cfg.CORS, cfg.Auth.OAuth.Resource)
	next.about = next.auth.Metadata(func(name string) bool { return next.routes[name] != nil })
	for i := range cfg.Servers {
		server := &next.cfg.Servers[i]
		next.health = append(next.health, patient{server: server, prober: next.routes[server.Name].backend.prober})
	}
	return next, nil
}

// route is that of a server, nil if there is none, or no state.
func (s *state) route(name string) *route {
	if s == nil {
		return nil
	}
	return s.routes[name]
}

// route makes the route of one server for a state. fresh: its backend is new.
func (h *Hub) route(server Server, next, old *state) (rt *route, fresh bool, err error) {
	cfg := next.cfg
	if rt, err = newRoute(server, cfg.Clients, revokedLayers(next.rulings[server.Name].Revoked)); err != nil {
		return nil, false, err
	}
	rt.limits, rt.metrics, rt.tracer = cfg.Limits, h.metrics, h.opt.Tracer
	var former *breaker
	if before := old.route(server.Name); before != nil && before.backend.serves(server, cfg) {
		rt.backend, former = before.backend, before.breaker
	} else if rt.backend, err = h.newBackend(server, cfg); err != nil {
		return nil, false, err
	} else {
		fresh = true
	}
	if server.Command == "" || server.Isolation == Shared { // or one principal's child would close the door to all others'
		rt.breaker = newBreaker(server.Name, cfg.Breaker, h.metrics, former)
	}
	rt.guarding = policy.GuardOptions{
		Server: server.Name, Pins: rt.backend.pins, Log: h.opt.Record, Inspection: cfg.Inspection,
		MaxPages: cfg.Limits.MaxPages, Census: rt.backend.census,
	}
	return rt, fresh, nil
}
