package hub

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// serveIdentity says who the caller is to this hub.
func (f *fleet) serveIdentity(w *recorder, r *http.Request, c *caller, _ []string) error {
	return f.give(w, uplink.Identity{
		Version: f.hub.opt.Version, Key: f.public,
		Principal: c.Name, Admin: c.Admin, Servers: c.Servers, Expires: c.Expires, Dashboard: f.dashboardOf(r, c),
	})
}

// serveHeartbeat keeps that a wrapper is there. It speaks for its own principal, whatever it says.
func (f *fleet) serveHeartbeat(w *recorder, r *http.Request, c *caller, _ []string) error {
	now := time.Now()
	if !f.beats.allow(c.Name, now) {
		return tooMany("too many heartbeats")
	}
	var p uplink.Presence
	if err := f.take(w, r, &p); err != nil {
		return err
	}
	if problem := unfit(&p); problem != "" {
		return badRequest(problem)
	}
	if err := c.about(p.Server); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), storePatience)
	defer cancel()
	if err := f.store.Saw(ctx, c.Name, p); err != nil {
		return stored(err, "")
	}
	f.metrics.saw(c.Name, &p, now)
	return done(w)
}

// Limits of what a wrapper says of itself, in bytes or as counts.
const (
	maxPresenceText  = 256
	maxPresenceInfo  = 4 << 10
	maxPresenceNotes = 16
	maxPresenceNote  = 1 << 10
)

// unfit says what of a presence is not taken, "" for nothing.
func unfit(p *uplink.Presence) string {
	for _, text := range []string{p.Instance, p.Server, p.Version, p.Host, p.User} {
		if len(text) > maxPresenceText || !utf8.ValidString(text) {
			return "a text is too long, or no UTF-8"
		}
	}
	switch {
	case p.Instance == "":
		return "instance is missing"
	case !uplink.ValidServer(p.Server):
		return "server is not the name of one"
	case len(p.ClientInfo) > maxPresenceInfo || len(p.ServerInfo) > maxPresenceInfo:
		return "client_info or server_info is too long"
	case len(p.Problems) > maxPresenceNotes || slices.ContainsFunc(p.Problems, func(s string) bool { return len(s) > maxPresenceNote }):
		return "problems are too many or too long"
	}
	return ""
}

// serveWrappers lists the wrappers and chains of the caller's servers, or as many as an answer holds: chains with problems and what was
// heard of last come first. A chain is of no server: only who may look at all sees them.
func (f *fleet) serveWrappers(w *recorder, r *http.Request, c *caller, _ []string) error {
	ctx, cancel := context.WithTimeout(r.Context(), storePatience)
	defer cancel()
	all, err := f.store.Fleet(ctx)
	if err != nil {
		return stored(err, "")
	}
	all.Wrappers = slices.DeleteFunc(all.Wrappers, func(other uplink.Wrapper) bool { return !c.covers(other.Server) })
	if len(c.Servers) > 0 {
		all.Chains = []uplink.Chain{}
	}
	slices.SortStableFunc(all.Wrappers, func(a, b uplink.Wrapper) int {
		return cmp.Or(compareFlags(b.Alive, a.Alive), b.Seen.Compare(a.Seen))
	})
	slices.SortStableFunc(all.Chains, func(a, b uplink.Chain) int {
		return cmp.Or(compareFlags(b.Problems > 0, a.Problems > 0), b.Last.Compare(a.Last))
	})
	for {
		document, err := uplink.Encode(all)
		if err != nil {
			return err
		}
		if len(document) < uplink.MaxDocument {
			writeJSON(w, http.StatusOK, document)
			return nil
		}
		all.Wrappers, all.Chains = all.Wrappers[:len(all.Wrappers)/2], all.Chains[:len(all.Chains)/2]
	}
}

func compareFlags(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}
