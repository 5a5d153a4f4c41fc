package hub

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// A fleet is the hub's end of package uplink: what wrappers and people ask for under /v1, and what the hub does for them by
// itself. Its methods may be called beside one another.
type fleet struct {
	hub     *Hub
	store   *store.Store
	key     ed25519.PrivateKey
	public  uplink.Key
	mark    string // of the key, in ETags
	host    string
	log     zerolog.Logger
	metrics *fleetMetrics
	calls   []call

	rulings atomic.Pointer[map[string]store.Ruling] // by server; never nil. It is replaced under ruling
	ruling  sync.Mutex                              // held while rulings are read from the store and put into effect

	numbering [64]sync.Mutex // by bundle; held while it gets its serial: that of a later configuration is higher
	seed      maphash.Seed   // of which of them
	changes   bell           // rings when a bundle may have changed

	batches  *slots
	streams  *slots
	beats    pace
	views    pace    // of definitions
	problems pace    // that were recorded
	chains   novelty // of events
	names    novelty // of servers that bundles were asked for

	outbox *audit.Outbox // of the hub's own log; nil: it leaves no files
	seen   newlySeen     // of the gateway's own servers
}

// Limits of what those with a hub token may have the hub do.
const (
	maxBatches      = 32 // taken at the same time
	maxBatchShare   = 12 // of one principal
	maxStreams      = 10_000
	maxStreamShare  = 1000
	maxBeats        = 1200   // a minute
	maxViews        = 600    // a minute
	maxProblems     = 1000   // an hour; what is more is counted but not recorded one by one
	maxNewChains    = 20_000 // an hour
	maxNewNames     = 1000   // an hour
	storePatience   = 10 * time.Second
	rulingsEvery    = 2 * time.Second // another process may have changed them
	forwardPatience = 2 * time.Second // for the last events of the hub's own log, at its end
	sightingsEvery  = 30 * time.Second
	maxRemembered   = 10_000 // definitions per server that need not be proposed again
)

// newFleet returns the fleet of a hub with a store, nil without one.
func newFleet(ctx context.Context, h *Hub) (*fleet, error) {
	if h.opt.Store == nil {
		if h.opt.Local != nil {
			return nil, errors.New("a hub without a store has nothing for its own user")
		}
		return nil, nil
	}
	if len(h.opt.Key) != ed25519.PrivateKeySize {
		return nil, errors.New("a hub with a store needs a key to sign with")
	}
	h.metrics.addFleet()
	f := &fleet{
		hub: h, store: h.opt.Store, key: h.opt.Key, public: uplink.PublicKey(h.opt.Key), log: h.log, metrics: h.metrics.fleet,
		calls: calls(), seed: maphash.MakeSeed(),
		batches: newSlots(maxBatches, maxBatchShare), streams: newSlots(maxStreams, maxStreamShare),
		beats: pace{most: maxBeats, per: time.Minute}, views: pace{most: maxViews, per: time.Minute},
		problems: pace{most: maxProblems, per: time.Hour},
		chains:   novelty{most: maxNewChains, per: time.Hour}, names: novelty{most: maxNewNames, per: time.Hour},
		seen: newNewlySeen(),
	}
	f.mark = hex.EncodeToString(f.public[:4])
	f.host, _ = os.Hostname() // "" will do
	f.metrics.countStreams(f.streams.count)
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	rulings, err := f.store.Rulings(ctx)
	if err != nil { // what was revoked must not be open meanwhile
		return nil, fmt.Errorf("read what was approved and revoked: %w", err)
	}
	f.rulings.Store(&rulings)
	if f.outbox, err = h.opt.Record.Outbox(audit.LocalHub); err != nil {
		return nil, fmt.Errorf("send the hub's own audit log to its store: %w", err)
	}
	f.metrics.countWaiting(f.outbox.Pending)
	return f, nil
}

// run does what the fleet does by itself until the hub stops.
func (f *fleet) run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { f.watchRulings(ctx) })
	all.Go(func() { f.propose(ctx) })
	all.Go(func() { f.forward(ctx) })
	all.Wait()
}

// finish stores what the end of the hub has added to its own log.
func (f *fleet) finish() {
	if f.outbox == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), forwardPatience)
	defer cancel()
	if err := f.outbox.Drain(ctx, f.forwarding()); err != nil {
		f.log.Warn().Err(err).Uint64("events", f.outbox.Pending()).Msg("the last events of the hub's own log are not in its store yet: its next start brings them")
	}
	if err := f.outbox.Close(); err != nil {
		f.log.Warn().Err(err).Msg("the cursors of the audit log cannot be closed")
	}
}
