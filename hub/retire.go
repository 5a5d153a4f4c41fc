package hub

import (
	"context"
	"maps"
	"reflect"
	"sync"

	"github.com/rohitgs28/mcpx/hub/auth"
)

// retire ends what the new configuration has no use for: at once what is not allowed any more, and when it is not in use any
// more, or after a bounded time, what is just not needed.
func (h *Hub) retire(old, next *state) {
	revoked := revokedBy(old.cfg.Auth, next.cfg.Auth)
	stale := func(s *session) bool { return !next.serves(s) }
	h.listens.endWhere(func(s *session) bool { return stale(s) || revoked(s.principal) })
	h.sessions.endWhere(func(s *session) bool { return revoked(s.principal) })
	leaving := h.sessions.take(stale)
	if old.auth != next.auth {
		old.auth.Close()
	}
	patience, cancel := context.WithTimeout(h.ctx, drainPatience)
	defer cancel()
	var all sync.WaitGroup
	for name, rt := range old.routes {
		if now := next.routes[name]; now == nil || now.backend != rt.backend {
			all.Go(func() { rt.backend.usage.finish(patience) })
		}
	}
	all.Wait()
	endAll(leaving)
	for name, rt := range old.routes {
		if now := next.routes[name]; now == nil || now.backend != rt.backend {
			all.Go(rt.backend.close)
		}
	}
	all.Wait()
}

// serves reports whether a session is at a server that this configuration has as well.
func (s *state) serves(x *session) bool {
	rt := s.routes[x.server]
	return rt != nil && rt.backend == x.backend
}

// revokedBy returns who has lost the credential that it came with. Who came with a token of an issuer is known to the issuer
// alone: where that changes, all have.
func revokedBy(old, next auth.Config) func(principal string) bool {
	if old.Enabled != next.Enabled || old.Type != next.Type || !reflect.DeepEqual(old.OAuth, next.OAuth) {
		return func(string) bool { return true }
	}
	if !old.Enabled || old.Type == auth.OAuth2 {
		return func(string) bool { return false }
	}
	before, now := tokens(old), tokens(next)
	if maps.Equal(before, now) {
		return func(string) bool { return false }
	}
	return func(principal string) bool {
		token, known := now[principal]
		return !known || token != before[principal]
	}
}

// tokens returns the static credentials by principal.
func tokens(cfg auth.Config) map[string]string {
	all := make(map[string]string, len(cfg.Clients)+1)
	for _, c := range cfg.Clients {
		all[c.Name] = c.Token
	}
	if cfg.Token != "" {
		all[auth.DefaultClient] = cfg.Token
	}
	return all
}
