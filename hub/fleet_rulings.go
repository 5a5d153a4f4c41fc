package hub

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/policy"
)

// revokedLabel is the label of the layer of rules that denies what was revoked.
const revokedLabel = "revoked"

// watchRulings finds out what another process has changed.
func (f *fleet) watchRulings(ctx context.Context) {
	ticker := time.NewTicker(rulingsEvery)
	defer ticker.Stop()
	ill := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := f.refresh(ctx)
		if err != nil && !ill && ctx.Err() == nil {
			f.log.Error().Err(err).Msg("what was approved and revoked cannot be read: what was known stays in effect")
		}
		ill = err != nil
	}
}

// refresh puts into effect what was approved and revoked, everywhere, if that has changed.
func (f *fleet) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	f.ruling.Lock()
	defer f.ruling.Unlock()
	now, err := f.store.Rulings(ctx)
	if err != nil {
		return err
	}
	before := f.rulings.Load()
	if reflect.DeepEqual(now, *before) {
		return nil
	}
	f.rulings.Store(&now)
	if err := f.hub.rebuild(); err != nil {
		f.rulings.Store(before) // so that it is tried again
		return err
	}
	return nil
}

// rebuild makes the state of the same configuration anew, for other rulings.
func (h *Hub) rebuild() error {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	if h.ctx.Err() != nil {
		return errors.New("the gateway has stopped")
	}
	old := h.state.Load()
	next, err := h.build(old.cfg, old)
	if err != nil {
		return fmt.Errorf("apply what was approved and revoked: %w", err)
	}
	h.use(next)
	h.rule(old, next)
	return nil
}

// revokedLayers returns the rules that deny what was revoked.
func revokedLayers(revoked []uplink.Revocation) []policy.Layer {
	if len(revoked) == 0 {
		return nil
	}
	names := make([]string, len(revoked))
	for i, r := range revoked {
		names[i] = policy.Literal(r.Tool)
	}
	return []policy.Layer{{Label: revokedLabel, Config: policy.Config{DenyTools: names}}}
}

// approve has the gateway's own guards go by what was approved for a server.
func (b *backend) approve(r store.Ruling) {
	if b.pins == nil {
		return
	}
	var approved []integrity.Approved
	for _, p := range r.Pins {
		if kind, err := integrity.ParseKind(p.Kind); err == nil {
			approved = append(approved, integrity.Approved{Target: integrity.Target{Kind: kind, Name: p.Name}, Digest: p.Digest})
		}
	}
	if b.pins.SetApproved(approved) {
		b.census.Doubt()
	}
}
