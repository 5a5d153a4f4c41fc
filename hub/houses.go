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

// maxHouses bounds the principals for whom the gateway keeps a session of its own.
const maxHouses = 256

// houses are sessions that the gateway has opened by itself, one for each principal, for legacy messages that belong to no
// session. They are safe for concurrent use.
type houses struct {
	open func(openKey) (transport.Upstream, error)

	mu  sync.Mutex
	all map[string]*house // by principal; guarded by mu
}

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
		h = &house{open: func() (transport.Upstream, error) { return t.open(openKey{principal: principal}) }}
		t.all[principal] = h
	}
	return h
}

// evict ends any one of them: it will be opened again. t.mu is held.
func (t *houses) evict() {
	for principal, h := range t.all {
		delete(t.all, principal)
		go h.leave() // who is in it fails with it
		return
	}
}

// houseIdle is how long a session of our own is kept without a request: behind it may be a child that nobody needs.
const houseIdle = 10 * time.Minute

// sweep ends those that were not used for a while.
func (t *houses) sweep(now time.Time) {
	t.mu.Lock()
	var idle []*house
	for principal, h := range t.all {
		if h.idle(now) {
			delete(t.all, principal)
			idle = append(idle, h)
		}
	}
	t.mu.Unlock()
	for _, h := range idle {
		h.leave()
	}
}

func (t *houses) close() {
	t.mu.Lock()
	all := t.all
	t.all = nil
	t.mu.Unlock()
	for _, h := range all {
		h.leave()
	}
}

// A house is an upstream that has shaken hands already. Its clients do not know of each other, so their ids, which may be the
// same, are replaced by its own.
type house struct {
	open func() (transport.Upstream, error)

	mu   sync.Mutex
	up   transport.Upstream // nil before the handshake; guarded by mu
	last uint64             // id given out; guarded by mu
	busy int                // calls under way; guarded by mu
	used time.Time          // when the last one ended; guarded by mu
}

func (h *house) idle(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.busy == 0 && !h.used.IsZero() && now.Sub(h.used) > houseIdle
}

// begin and end bracket a request.
func (h *house) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy++
}

func (h *house) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy--
	h.used = time.Now()
}

// Call implements [transport.Upstream]. A session that the server has forgotten is opened again: it did not run the request.
func (h *house) Call(ctx context.Context, m *jsonrpc.Message, yield transport.Yield) error {
	h.begin()
	defer h.end()
	for again := false; ; again = true {
		up, id, err := h.enter(ctx)
		if err != nil {
			return err
		}
		err = callAs(ctx, up, m, id, yield)
		if failure := new(transport.Failure); !again && errors.As(err, &failure) && failure.Cause == transport.SessionGone {
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
	if h.up == nil {
		up, err := h.open()
		if err != nil {
			return nil, 0, &transport.Failure{Cause: transport.Unreachable, Err: err}
		}
		if err := shakeHands(ctx, up); err != nil {
			_ = up.Close()
			return nil, 0, err
		}
		h.up = up
	}
	h.last++
	return h.up, h.last, nil
}

var (
	handshake = []byte(`{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"mcpx","version":"1"}}`)

	errNoHandshake = errors.New("the server refused initialize")
)

// shakeHands opens a legacy session on our own behalf (2025-11-25, "Lifecycle").
func shakeHands(ctx context.Context, up transport.Upstream) error {
	agreed := false
	err := up.Call(ctx, jsonrpc.NewRequest(jsonrpc.StringID("mcpx"), "initialize", handshake), func(a transport.Arrival) error {
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

func (h *house) forget(up transport.Upstream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.up == up {
		h.up = nil
		go func() { _ = up.Close() }() // it says so to a server that has forgotten us
	}
}

// Send implements [transport.Upstream].
func (h *house) Send(ctx context.Context, m *jsonrpc.Message) error {
	up, _, err := h.enter(ctx)
	if err != nil {
		return err
	}
	return up.Send(ctx, m)
}

// Listen implements [transport.Upstream]: nobody listens to a session that is everybody's.
func (h *house) Listen(context.Context, string, transport.Yield) error { return transport.ErrNoStream }

// Close implements [transport.Upstream]. A house outlives the links that use it.
func (h *house) Close() error { return nil }

func (h *house) leave() {
	h.mu.Lock()
	up := h.up
	h.up = nil
	h.mu.Unlock()
	if up != nil {
		_ = up.Close() // the server may be gone
	}
}
