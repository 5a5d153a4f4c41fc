package hub

import (
	"fmt"
	"slices"

	"github.com/rohitgs28/mcpx/hub/auth"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport"
)

// A route is one server as one configuration has it. It never changes; what outlives configurations is the backend.
type route struct {
	cfg      Server
	backend  *backend
	breaker  *breaker                  // nil: none
	engine   *policy.Engine            // for everybody but
	engines  map[string]*policy.Engine // these clients
	limiter  *policy.Limiter
	auth     *auth.Authenticator
	guarding policy.GuardOptions // what the guards of all its links share
	limits   Limits
	metrics  *metrics
	tracer   func(policy.LinkInfo) policy.Tracer // nil: none
}

// newRoute compiles the rules of a server: further ones bind everybody.
func newRoute(cfg Server, clients map[string]map[string]policy.Override, further []policy.Layer) (*route, error) {
	engine, err := policy.Compile(cfg.Policy, further...)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w", cfg.Name, err)
	}
	r := &route{cfg: cfg, engine: engine, engines: make(map[string]*policy.Engine)}
	for client, servers := range clients {
		override, ok := servers[cfg.Name]
		if !ok {
			continue
		}
		layer := cfg.Policy.Override("client "+client, override)
		if r.engines[client], err = policy.Compile(cfg.Policy, append(slices.Clone(further), layer)...); err != nil {
			return nil, fmt.Errorf("client %q, server %q: %w", client, cfg.Name, err)
		}
	}
	return r, nil
}

// engineFor returns the rules for a principal.
func (r *route) engineFor(client string) *policy.Engine {
	if e, ok := r.engines[client]; ok {
		return e
	}
	return r.engine
}

// guard returns the guard of a new link for a principal. handshaken: the link begins inside a legacy session.
func (r *route) guard(key openKey, handshaken bool) (*policy.Guard, error) {
	opt, client := r.guarding, key.principal
	opt.Client, opt.Engine, opt.Limit, opt.Handshaken = client, r.engineFor(client), r.limiter, handshaken
	opt.Watch = r.metrics.observe(r.cfg.Name, client)
	if r.tracer != nil {
		opt.Tracer = r.tracer(policy.LinkInfo{
			Server: r.cfg.Name, Client: client, SessionID: key.session,
			Inbound: policy.Peer{Transport: "tcp", Protocol: "http"}, Outbound: policy.PeerAt(r.cfg.URL),
		})
	}
	return policy.NewGuard(opt)
}

// refuse records a request that never became a message that a guard could judge.
func (r *route) refuse(client, reason string) error {
	link := r.guarding.Log.Link(audit.LinkInfo{Server: r.cfg.Name, Client: client})
	link.Append(&audit.Event{Kind: audit.Anomaly, Decision: "deny", Rule: "http", Reason: reason, Outcome: "dropped"})
	return r.guarding.Log.Commit()
}

// link opens a link of a principal over an upstream of its own.
func (r *route) link(key openKey, handshaken bool) (*policy.Guard, *transport.Link, error) {
	guard, err := r.guard(key, handshaken)
	if err != nil {
		return nil, nil, err
	}
	up, err := r.backend.open(key)
	if err != nil {
		return nil, nil, err
	}
	return guard, transport.NewLink(guard, newTraced(newGuarded(up, r.breaker), guard, r.tracer != nil)), nil
}

// house returns a link of a principal over the session that the gateway has opened by itself.
func (r *route) house(principal string) (*transport.Link, error) {
	guard, err := r.guard(openKey{principal: principal}, true)
	if err != nil {
		return nil, err
	}
	return transport.NewLink(guard, newTraced(newGuarded(r.backend.houses.of(principal), r.breaker), guard, r.tracer != nil)), nil
}
