package hub

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	firstPause = 500 * time.Millisecond // before a child that failed is started again; each time twice as long
	lastPause  = 30 * time.Second
	steady     = 30 * time.Second // for so long a child serves that its next failure counts as the first
	mostStrays = 64               // messages of one child that belong to nobody and are told of
)

var (
	errStopped = errors.New("the server is served no more")
	errIdle    = errors.New("nobody uses the server")
)

// A keeper keeps one child: it starts it when it is needed, shakes hands with it once for all its clients, starts it again
// when it fails, and stops it when nobody uses it.
type keeper struct {
	of      *children
	key     openKey
	shared  bool // by clients of several principals
	crowd   *audience
	current atomic.Pointer[mux] // the child that serves; nil: none
	begun   bool                // a child was started before; of the run goroutine alone
	crashed bool                // the last one ended by itself; of the run goroutine alone
	emptied chan struct{}       // has room for one: the last lane was closed, or the place is needed
	hurry   atomic.Bool         // the place is needed for another child, so this one does not wait to be used again

	mu       sync.Mutex
	running  bool          // the run goroutine is there
	wanted   bool          // somebody waits for a child
	changed  chan struct{} // closed, and made anew, when somebody who waits should look again
	lanes    int
	sessions int              // of the lanes, those of sessions
	empty    time.Time        // since when there are no lanes
	failures int              // in a row
	until    time.Time        // when the next start may be tried
	err      error            // why the last child failed; nil: it did not
	hello    []byte           // params of the first client's initialize, where there is but one principal; nil: we introduce ourselves
	intro    *jsonrpc.Message // the server's answer to initialize
	refusal  *jsonrpc.Message // or its refusal
}

func newKeeper(c *children, key openKey) *keeper {
	isolated := c.srv.Isolation == PerClient || c.srv.Isolation == PerSession
	return &keeper{of: c, key: key, shared: !isolated, crowd: newAudience(), emptied: make(chan struct{}, 1),
		changed: make(chan struct{}), empty: time.Now()}
}

func (k *keeper) open(principal string, session bool) *lane {
	l := &lane{keeper: k, principal: principal, session: session}
	if session {
		k.crowd.join(l)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lanes++
	k.hurry.Store(false)
	if session {
		k.sessions++
	}
	return l
}

func (k *keeper) left(l *lane) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lanes--
	if l.session {
		k.sessions--
	}
	if k.lanes > 0 {
		return
	}
	k.empty = time.Now()
	select {
	case k.emptied <- struct{}{}:
	default:
	}
}

func (k *keeper) doubt() {
	if k.of.opt.Doubt != nil {
		k.of.opt.Doubt()
	}
}

// unused reports whether nothing would be lost with the keeper.
func (k *keeper) unused() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.running && k.lanes == 0 && time.Now().After(k.until)
}

// emptySince reports whether nobody uses the child, and since when.
func (k *keeper) emptySince() (empty bool, since time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lanes == 0, k.empty
}

// giveWay has the child stopped if nobody uses it.
func (k *keeper) giveWay() {
	k.hurry.Store(true)
	select {
	case k.emptied <- struct{}{}:
	default:
	}
}

func (k *keeper) condition() (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.current.Load() != nil:
		return childRunning, nil
	case errors.Is(k.err, errRefused): // a client of the wrong era is no fault of the server
		return childIdle, nil
	case k.running && k.err != nil:
		return childRestarting, k.err
	case k.running:
		return childStarting, nil
	case k.err != nil && time.Since(k.until) < k.of.opt.Idle: // later it says nothing of how the server is now
		return childFailed, k.err
	}
	return childIdle, nil
}

// acquire returns the child that serves, and starts it if there is none.
func (k *keeper) acquire(ctx context.Context) (*mux, error) {
	for {
		if m := k.current.Load(); m != nil {
			return m, nil
		}
		changed, err := k.demand()
		if err != nil {
			return nil, err
		}
		if changed == nil {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// demand has a child started, unless one was tried just now and failed. It returns what to wait for, nil for nothing.
func (k *keeper) demand() (changed <-chan struct{}, err error) {
	k.of.mu.Lock() // so that none is started while all are waited for
	defer k.of.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.of.closed {
		return nil, unreachable(transport.Unsent{Err: errStopped})
	}
	if k.current.Load() != nil {
		return nil, nil //nolint:nilnil // there is one by now
	}
	if pause := time.Until(k.until); pause > 0 {
		failure := &transport.Failure{Cause: transport.Unreachable, RetryAfter: pause, Err: transport.Unsent{Err: k.err}}
		if known := (*transport.Failure)(nil); errors.As(k.err, &known) {
			failure.Cause = known.Cause
		}
		return nil, failure
	}
	k.wanted = true
	if !k.running {
		k.running = true
		k.of.all.Go(k.run)
	}
	return k.changed, nil
}
