package hub

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// maxHouses is how many principals the gateway keeps a session of its own for, beyond those with a request under way.
const maxHouses = 256

// houseIdle is how long a session of our own is kept without a request: behind it may be a child that nobody needs.
const houseIdle = 10 * time.Minute

// houses are sessions that the gateway has opened by itself, one for each principal, for legacy messages that belong to no
// session. They are safe for concurrent use.
type houses struct {
	open    func(openKey) (transport.Upstream, error)
	version string // ours, for servers that ask who we are

	leaving sync.WaitGroup // the ends of sessions, which are told to the server

	mu     sync.Mutex
	all    map[string]*house // by principal; guarded by mu
	closed bool              // guarded by mu
}

// of returns the house of a principal for one message. Who has it leaves it with done.
func (t *houses) of(principal string) *house {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.all[principal]
	if h == nil {
		if len(t.all) >= maxHouses {
			t.evict()
		}
		if t.all == nil {
			t.all = make(map[string]*house)
		}
		h = &house{of: t, principal: principal, left: t.closed}
		if !t.closed {
			t.all[principal] = h
		}
	}
	h.visit()
	return h
}

// evict ends the one that nobody has used for longest. Where all are in use there will be one more. t.mu is held.
func (t *houses) evict() {
	var longest *house
	var since time.Time
	for _, h := range t.all {
		if empty, at := h.emptySince(); empty && (longest == nil || at.Before(since)) {
			longest, since = h, at
		}
	}
	if longest != nil {
		delete(t.all, longest.principal)
		t.leaving.Go(longest.leave)
	}
}

// sweep ends those that were not used for a while.
func (t *houses) sweep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for principal, h := range t.all {
		if empty, since := h.emptySince(); empty && now.Sub(since) > houseIdle {
			delete(t.all, principal)
			t.leaving.Go(h.leave)
		}
	}
}

// close ends all. What is under way in them fails.
func (t *houses) close() {
	t.mu.Lock()
	if !t.closed {
		for _, h := range t.all {
			t.leaving.Go(h.leave)
		}
	}
	t.all, t.closed = nil, true
	t.mu.Unlock()
	t.leaving.Wait()
}

// A house is an upstream that has shaken hands already. Its clients do not know of each other, so their ids, which may be the
// same, are replaced by its own.
type house struct {
	of        *houses
	principal string

	mu      sync.Mutex         // never held while the server is waited for; houses.mu may be held before it
	up      transport.Upstream // nil: nobody has shaken hands; guarded by mu
	opening *opening           // a handshake under way; guarded by mu
	left    bool               // nothing is sent any more; guarded by mu
	last    uint64             // id given out; guarded by mu
	inside  int                // messages under way; guarded by mu
	used    time.Time          // when the last one began or ended; guarded by mu
}

// An opening is a handshake. Who comes meanwhile waits for it, and for no second one if it fails.
type opening struct {
	done chan struct{} // closed when the rest is there
	up   transport.Upstream
	err  error
}

// visit and done bracket a message.
func (h *house) visit() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.inside++
	h.used = time.Now()
}

func (h *house) done() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.inside--
	h.used = time.Now()
}

func (h *house) emptySince() (empty bool, since time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.inside == 0, h.used
}

// Call implements [transport.Upstream]. Where the server says that it has forgotten the session (a status), it did not run the
// request, so a new one is opened. A session that we have ended ourselves may have run it.
func (h *house) Call(ctx context.Context, m *jsonrpc.Message, yield transport.Yield) error {
	for again := false; ; again = true {
		up, id, err := h.enter(ctx)
		if err != nil {
			return err
		}
		err = callAs(ctx, up, m, id, yield)
		failure := new(transport.Failure)
		if !again && errors.As(err, &failure) && failure.Cause == transport.SessionGone && failure.Status != 0 {
			h.forget(up)
			continue
		}
		return err
	}
}

// callAs makes a call under another id.
func callAs(ctx context.Context, up transport.Upstream, m *jsonrpc.Message, id uint64, yield transport.Yield) error {
	var renamed jsonrpc.Message
	m.EditInto(&renamed, nil, m.EditID(strconv.AppendUint(nil, id, 10)))
	var buf []byte
	return up.Call(ctx, &renamed, func(a transport.Arrival) error {
		if a.Message == nil || a.Message.Kind != jsonrpc.Result && a.Message.Kind != jsonrpc.Error {
			return yield(a)
		}
		var answer jsonrpc.Message
		buf = a.Message.EditInto(&answer, buf[:0], a.Message.EditID(m.ID.Token()))
		a.Message = &answer
		return yield(a)
	})
}

// enter returns the session, which it opens if there is none, and a fresh id in it.
func (h *house) enter(ctx context.Context) (transport.Upstream, uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.up == nil && !h.left {
		if o := h.opening; o != nil {
			h.mu.Unlock()
			err := o.wait(ctx)
			h.mu.Lock()
			if err != nil {
				return nil, 0, err
			}
			continue
		}
		if err := h.begin(ctx); err != nil {
			return nil, 0, err
		}
	}
	if h.left {
		return nil, 0, &transport.Failure{Cause: transport.SessionGone}
	}
	h.last++
	return h.up, h.last, nil
}

func (o *opening) wait(ctx context.Context) error {
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin shakes hands. h.mu is held, and let go for the time.
func (h *house) begin(ctx context.Context) error {
	o := &opening{done: make(chan struct{})}
	h.opening = o
	h.mu.Unlock()
	o.up, o.err = h.of.shakeHands(ctx, h.principal)
	h.mu.Lock()
	h.opening = nil
	close(o.done)
	switch {
	case o.err != nil:
	case h.left:
		h.of.end(o.up)
	default:
		h.up = o.up
	}
	return o.err
}

// shakeHands opens a session for a principal.
func (t *houses) shakeHands(ctx context.Context, principal string) (transport.Upstream, error) {
	up, err := t.open(openKey{principal: principal})
	if err != nil {
		return nil, &transport.Failure{Cause: transport.Unreachable, Err: err}
	}
	if err := shakeHands(ctx, up, t.version); err != nil {
		_ = up.Close()
		return nil, err
	}
	return up, nil
}

// end tells a server in the background that a session is over.
func (t *houses) end(up transport.Upstream) { t.leaving.Go(func() { _ = up.Close() }) }

var errNoHandshake = errors.New("the server refused initialize")

// shakeHands opens a legacy session on our own behalf (2025-11-25, "Lifecycle").
func shakeHands(ctx context.Context, up transport.Upstream, version string) error {
	agreed := false
	err := up.Call(ctx, jsonrpc.NewRequest(jsonrpc.StringID("mcpx"), "initialize", greeting("mcpx", version)), func(a transport.Arrival) error {
		agreed = agreed || a.Message != nil && a.Message.Kind == jsonrpc.Result
		return nil
	})
	if err != nil {
		return err
	}
	if !agreed {
		return &transport.Failure{Cause: transport.Refused, Err: errNoHandshake}
	}
	return up.Send(ctx, jsonrpc.NewRequest(jsonrpc.ID{}, "notifications/initialized", nil))
}

// forget drops a session that the server does not know any more. It is not closed: others may wait in it for what the server
// has begun.
func (h *house) forget(up transport.Upstream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.up == up {
		h.up = nil
	}
}

// Send implements [transport.Upstream]. A cancellation is left out: the id in it is the client's own, and the server knows
// another request by it.
func (h *house) Send(ctx context.Context, m *jsonrpc.Message) error {
	if m.Method == "notifications/cancelled" {
		return nil
	}
	up, _, err := h.enter(ctx)
	if err != nil {
		return err
	}
	return up.Send(ctx, m)
}

// Listen implements [transport.Upstream]: nobody listens to a session that is everybody's.
func (h *house) Listen(context.Context, string, transport.Yield) error { return transport.ErrNoStream }

// Close implements [transport.Upstream] for the link of one message. A house outlives it.
func (h *house) Close() error {
	h.done()
	return nil
}

// leave ends the session for good.
func (h *house) leave() {
	h.mu.Lock()
	up := h.up
	h.up, h.left = nil, true
	h.mu.Unlock()
	if up != nil {
		_ = up.Close() // the server may be gone
	}
}
