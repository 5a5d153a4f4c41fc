package hub

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// forward brings the hub's own log, and what wrappers of this user left when they died, to the store.
func (f *fleet) forward(ctx context.Context) {
	if f.outbox == nil {
		return
	}
	if err := f.outbox.Forward(ctx, f.forwarding()); err != nil && ctx.Err() == nil {
		f.log.Error().Err(err).Msg("the hub's own log no longer goes to its store")
	}
}

func (f *fleet) forwarding() audit.ForwardOptions {
	return audit.ForwardOptions{
		Send: func(ctx context.Context, b audit.Batch) (uint64, error) {
			a, err := f.append(ctx, localCaller(), store.Batch{Chain: b.Chain, Lines: b.Lines, Gap: b.Gap})
			if err != nil {
				return 0, err
			}
			return a.Acked, nil
		},
		Rest:    givesWay(&f.hub.served),
		OnError: func(err error) { f.log.Warn().Err(err).Msg("events of this machine wait for the store") },
	}
}

// How the way of our own log into the store gives way to requests: to keep an event there costs as much as to serve a call.
const (
	busyRate = 1000        // requests a second from which it does
	busyRest = 9           // times as long as it has worked it rests then
	mostRest = time.Second // after one batch
)

// givesWay returns how long the store rests after a batch, by how many requests there were since the one before.
func givesWay(served *atomic.Uint64) func(took time.Duration) time.Duration {
	since, before := time.Now(), served.Load()
	return func(took time.Duration) time.Duration {
		now, n := time.Now(), served.Load()
		busy := float64(n-before) >= busyRate*now.Sub(since).Seconds()
		since, before = now, n
		if !busy {
			return 0
		}
		return min(busyRest*took, mostRest)
	}
}

// newlySeen are the servers of the gateway of which something was seen. It is safe for concurrent use.
type newlySeen struct {
	wake chan struct{} // has room for one

	mu      sync.Mutex
	servers map[string]bool // guarded by mu
}

func newNewlySeen() newlySeen {
	return newlySeen{wake: make(chan struct{}, 1), servers: make(map[string]bool)}
}

func (n *newlySeen) add(server string) {
	n.mu.Lock()
	n.servers[server] = true
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *newlySeen) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var names []string
	for name := range n.servers {
		names = append(names, name)
	}
	clear(n.servers)
	return names
}

// propose keeps in the store what the gateway's own guards see of its servers.
func (f *fleet) propose(ctx context.Context) {
	proposed := make(map[string]map[uplink.ApprovalItem]bool) // by server
	again := time.NewTicker(sightingsEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.seen.wake:
		case <-again.C:
		}
		for _, server := range f.seen.take() {
			if proposed[server] == nil || len(proposed[server]) > maxRemembered {
				proposed[server] = make(map[uplink.ApprovalItem]bool)
			}
			if err := f.proposeOf(ctx, server, proposed[server]); err != nil && ctx.Err() == nil {
				f.log.Warn().Err(err).Str("server", server).Msg("what a server offers is not proposed for approval yet")
				f.seen.put(server)
			}
		}
	}
}

// put is add without a wake: it is tried again in a while.
func (n *newlySeen) put(server string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers[server] = true
}

// proposeOf proposes what of a server was not proposed before.
func (f *fleet) proposeOf(ctx context.Context, server string, proposed map[uplink.ApprovalItem]bool) error {
	rt := f.hub.state.Load().routes[server]
	if rt == nil || rt.backend.pins == nil || !uplink.ValidServer(server) {
		return nil
	}
	s := uplink.Sightings{Server: server, ServerInfo: rt.backend.census.ServerInfo(), Host: f.host}
	if len(s.ServerInfo) > maxPresenceInfo {
		s.ServerInfo = nil
	}
	for _, seen := range rt.backend.pins.Sightings() {
		if fresh(seen) && !proposed[itemOf(seen)] && len(s.Items) < maxSightings {
			s.Items = append(s.Items, uplink.Sighting{
				Kind: seen.Kind.String(), Name: seen.Name, Digest: seen.Digest, Definition: seen.Definition,
			})
		}
	}
	if len(s.Items) == 0 {
		return nil
	}
	if err := f.keepSightings(ctx, localCaller(), &s); err != nil {
		return err
	}
	for _, item := range s.Items {
		proposed[uplink.ApprovalItem{Kind: item.Kind, Name: item.Name, Digest: item.Digest}] = true
	}
	return nil
}

func itemOf(s integrity.Sighting) uplink.ApprovalItem {
	return uplink.ApprovalItem{Kind: s.Kind.String(), Name: s.Name, Digest: s.Digest}
}

// fresh reports whether a definition can be proposed.
func fresh(s integrity.Sighting) bool {
	return len(s.Definition) > 0 && len(s.Definition) <= maxDefinition && len(s.Name) <= maxPinName
}
