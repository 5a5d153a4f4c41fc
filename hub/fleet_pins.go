package hub

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// Limits of what is proposed and decided at once, in bytes or as counts.
const (
	maxSightings  = 5000
	maxDefinition = 256 << 10
	maxPinName    = 512
	maxWords      = 1 << 10 // of a reason
)

// serveSightings keeps what a wrapper has seen of a server.
func (f *fleet) serveSightings(w *recorder, r *http.Request, c *caller, named []string) error {
	if err := c.about(named[0]); err != nil {
		return err
	}
	if !f.views.allow(c.Name, time.Now()) {
		return tooMany("too many definitions were proposed within a minute")
	}
	var s uplink.Sightings
	if err := f.take(w, r, &s); err != nil {
		return err
	}
	if s.Server != named[0] {
		return badRequest("server is not the one that the path names")
	}
	if err := checkSightings(&s); err != nil {
		return err
	}
	if err := f.keepSightings(r.Context(), c, &s); err != nil {
		return err
	}
	return done(w)
}

// checkSightings refuses what a wrapper cannot have seen: a digest decides what is let through elsewhere, so it must be that of
// the definition that people look at.
func checkSightings(s *uplink.Sightings) error {
	if len(s.Items) > maxSightings || len(s.Host) > maxPresenceText || len(s.ServerInfo) > maxPresenceInfo {
		return badRequest("there are too many definitions, or host or server_info is too long")
	}
	for i, item := range s.Items {
		at := "items[" + strconv.Itoa(i) + "]: "
		kind, err := integrity.ParseKind(item.Kind)
		switch {
		case err != nil:
			return badRequest(at + "kind is tool, prompt or instructions")
		case len(item.Definition) > maxDefinition || len(item.Name) > maxPinName:
			return badRequest(at + "the definition or its name is too long")
		}
		digest, err := integrity.DigestOf(integrity.Target{Kind: kind, Name: item.Name}, item.Definition)
		if err != nil {
			return &refusal{status: http.StatusBadRequest, code: "invalid_request", message: at + "the definition cannot be read", cause: err}
		}
		if digest != item.Digest {
			return badRequest(at + "digest is not that of the definition")
		}
	}
	return nil
}

// keepSightings stores what somebody has seen. Where machines see different things at the same version of a server, that is
// recorded.
func (f *fleet) keepSightings(ctx context.Context, c *caller, s *uplink.Sightings) error {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	split, err := f.store.Propose(ctx, c.Name, *s)
	if err != nil {
		return stored(err, "")
	}
	for _, item := range split {
		detail := jsonrpc.AppendString([]byte(`{"host":`), s.Host)
		detail = jsonrpc.AppendString(append(detail, `,"digest":`...), item.Digest)
		if len(s.ServerInfo) > 0 {
			detail = append(append(detail, `,"server_info":`...), s.ServerInfo...)
		}
		f.metrics.splits.WithLabelValues(item.Kind).Inc()
		f.log.Warn().Str("server", s.Server).Str("kind", item.Kind).Str("name", item.Name).Str("client", c.Name).Str("host", s.Host).
			Msg("another definition of the same version of a server than others see")
		err = f.record(s.Server, c, &audit.Event{
			Kind: audit.Integrity, Reason: item.Kind + "_split_view", Target: []byte(item.Name), Detail: append(detail, '}'),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// record adds an event to the hub's own log.
func (f *fleet) record(server string, c *caller, events ...*audit.Event) error {
	link := f.hub.opt.Record.Link(audit.LinkInfo{Server: server, Client: c.Name})
	for _, e := range events {
		link.Append(e)
	}
	if err := f.hub.opt.Record.Commit(); err != nil {
		return unavailable("it was done, but the hub cannot record it", err)
	}
	return nil
}

// serveReview lists what was proposed for a server, or for all.
func (f *fleet) serveReview(w *recorder, r *http.Request, c *caller, named []string) error {
	if named[0] != "" {
		if err := c.about(named[0]); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), storePatience)
	defer cancel()
	all, err := f.store.Review(ctx, named[0])
	if err != nil {
		return stored(err, "nothing was proposed for this server")
	}
	shown := make([]uplink.Review, 0, len(all))
	for _, one := range all {
		if c.covers(one.Server) {
			shown = append(shown, one)
		}
	}
	return f.give(w, shown)
}

// serveApprove approves definitions of a server for all who use it.
func (f *fleet) serveApprove(w *recorder, r *http.Request, c *caller, named []string) error {
	server := named[0]
	if err := c.about(server); err != nil {
		return err
	}
	var a uplink.Approval
	if err := f.take(w, r, &a); err != nil {
		return err
	}
	if err := f.approve(r.Context(), server, c, a); err != nil {
		return err
	}
	return done(w)
}

// approve is what all ways to approve have in common.
func (f *fleet) approve(ctx context.Context, server string, c *caller, a uplink.Approval) error {
	if err := c.about(server); err != nil {
		return err
	}
	if err := checkApproval(&a); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	if err := f.store.Approve(ctx, server, c.Name, a); err != nil {
		return stored(err, "one of these definitions was never proposed for this server")
	}
	events := make([]*audit.Event, len(a.Items))
	for i, item := range a.Items {
		detail := jsonrpc.AppendString([]byte(`{"kind":`), item.Kind)
		detail = jsonrpc.AppendString(append(detail, `,"digest":`...), item.Digest)
		events[i] = &audit.Event{Kind: audit.Integrity, Reason: "pin_approved", Target: []byte(item.Name), Detail: append(detail, '}')}
	}
	return f.decide(server, c, events...)
}

// checkApproval refuses what cannot be meant.
func checkApproval(a *uplink.Approval) error {
	if len(a.Items) == 0 || len(a.Items) > maxSightings {
		return badRequest("items are missing, or too many")
	}
	named := make(map[[2]string]bool, len(a.Items))
	for i, item := range a.Items {
		at := "items[" + strconv.Itoa(i) + "]: "
		if _, err := integrity.ParseKind(item.Kind); err != nil || item.Digest == "" || len(item.Name) > maxPinName {
			return badRequest(at + "a kind, a name and a digest are needed")
		}
		if target := [2]string{item.Kind, item.Name}; named[target] {
			return badRequest(at + "this name is there twice: one definition can be approved")
		} else {
			named[target] = true
		}
	}
	return nil
}

// settle is decide for a request that has no answer.
func (f *fleet) settle(w *recorder, server string, c *caller, events ...*audit.Event) error {
	if err := f.decide(server, c, events...); err != nil {
		return err
	}
	return done(w)
}

// decide records a decision of an administrator and puts it into effect.
func (f *fleet) decide(server string, c *caller, events ...*audit.Event) error {
	effect := f.refresh(context.Background()) // also where it cannot be recorded, or the administrator has gone
	if err := f.record(server, c, events...); err != nil {
		return err
	}
	if effect != nil {
		return unavailable("it was kept, but is not in effect everywhere yet", effect)
	}
	for _, e := range events {
		f.log.Info().Str("server", server).Str("client", c.Name).Str("reason", e.Reason).Bytes("target", e.Target).Msg("an administrator has decided")
	}
	return nil
}
