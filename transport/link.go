package transport

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// ownTimeout bounds a request that the inspector makes by itself: it serves every client, so it does not end with one.
const ownTimeout = 30 * time.Second

// ErrUnanswered is what Exchange returns where the inspector lets no answer through at all.
var ErrUnanswered = errors.New("the request has no answer")

// ErrResumable is what deliver returns, or why the context of Exchange ends, where the client is gone but may ask for the rest
// elsewhere: the server is let go, for it gives one stream to one connection only, the request stays open, and
// Listen brings its answer.
var ErrResumable = errors.New("the client may resume")

// A Link is what Relay is to two pipes, for a client that comes in single messages (HTTP POSTs): it joins them to an
// Upstream under one Inspector. Its methods may be called beside one another.
type Link struct {
	in Inspector
	up Upstream

	// Held while a message of that side is judged and recorded, never while one is sent; client may be locked under server.
	client, server sync.Mutex

	mu    sync.Mutex
	aside map[jsonrpc.Key]*aside // by request that the inspector holds back; guarded by mu
}

// An aside is what the inspector releases of a request that it held back, while it judges a message of another exchange.
type aside struct {
	ready              chan struct{} // closed when there is something
	toServer, toClient *jsonrpc.Message
}

// NewLink returns the link of one session, or of a single POST.
func NewLink(in Inspector, up Upstream) *Link { return &Link{in: in, up: up} }

// Exchange takes one message of the client to its end. Everything that follows for the client is handed to deliver, on the
// caller's goroutine, the answer to m last. It returns what deliver returned, or ErrUnanswered; whatever else goes wrong
// is an answer.
func (l *Link) Exchange(ctx context.Context, m *jsonrpc.Message, deliver Yield) error {
	x := exchange{link: l, id: m.ID, request: m.Kind == jsonrpc.Request, deliver: deliver}
	defer x.beside.Wait() // who called may use the message's memory again when we return
	l.client.Lock()
	l.in.FromClient(m, &x.out)
	l.in.Commit(&x.out)
	if x.isHeld() {
		x.held = l.asideOf(x.id.Key()) // before a cancellation can be judged, which looks for it
		defer l.forget(x.id.Key(), x.held)
	}
	l.client.Unlock()
	if m.Method == "notifications/cancelled" {
		l.giveUp(m)
	}
	if len(m.Raw) > bigMessage { // what is left to do for it takes long, so it is done beside the call
		for _, work := range x.out.After {
			x.beside.Go(work)
		}
		x.out.After = nil
	}
	if err := x.release(ctx, Arrival{}); err != nil {
		return err
	}
	if err := x.ask(ctx); err != nil {
		return err
	}
	switch {
	case !x.request || x.answered:
		return nil
	case x.held == nil:
		return ErrUnanswered
	}
	return x.wait(ctx)
}

// isHeld reports whether the inspector released neither the request nor an answer to it.
func (x *exchange) isHeld() bool {
	key := x.id.Key()
	return x.request &&
		!slices.ContainsFunc(x.out.ToServer, func(m *jsonrpc.Message) bool { return m.Kind == jsonrpc.Request && m.ID.Key() == key }) &&
		!slices.ContainsFunc(x.out.ToClient, func(m *jsonrpc.Message) bool { return isAnswer(m) && m.ID.Key() == key })
}

// Listen hands over what the server says unasked until the context ends, see [Upstream].
func (l *Link) Listen(ctx context.Context, after string, deliver Yield) error {
	x := exchange{link: l, deliver: deliver}
	return l.up.Listen(ctx, after, func(a Arrival) error {
		if err := x.arrive(ctx, a); err != nil {
			return err
		}
		return x.ask(ctx) // what the inspector wants to know because of it
	})
}

// Tell hands over what the inspector says unasked until the context ends or deliver fails.
func (l *Link) Tell(ctx context.Context, deliver Yield) {
	unasked(ctx, l.in, nil, func(out *jsonrpc.Outbox) error {
		l.in.Commit(out)
		for _, m := range out.ToClient {
			if err := deliver(Arrival{Message: m}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Close ends the session at the server.
func (l *Link) Close() error { return l.up.Close() }

// bigMessage is the size, in bytes, from which a message's after-work is worth a goroutine.
const bigMessage = 64 << 10

// An exchange is one message of the client on its way, or what the server says unasked. It belongs to one goroutine.
type exchange struct {
	link     *Link
	id       jsonrpc.ID // of the client's request; zero: none
	request  bool
	deliver  Yield
	out      jsonrpc.Outbox
	requests []*jsonrpc.Message // released to the server and not sent yet
	held     *aside             // the client's request was held back; nil: it was not
	answered bool               // the client's request was answered
	beside   sync.WaitGroup     // after-work on its way
}

// release delivers and sends what the inspector has released because of an arrival. Requests are left to ask.
func (x *exchange) release(ctx context.Context, of Arrival) error {
	for i, m := range x.out.ToClient {
		a := Arrival{Message: m, Failure: of.Failure}
		if i == 0 {
			a = of
			a.Message = m
		}
		x.answered = x.answered || isAnswer(m) && m.ID.Key() == x.id.Key()
		if err := x.deliver(a); err != nil {
			return err
		}
	}
	for _, m := range x.out.ToServer {
		if m.Kind == jsonrpc.Request {
			x.requests = append(x.requests, m)
		} else {
			_ = x.link.up.Send(ctx, m) // it has no answer, so nobody waits to be told
		}
	}
	for _, work := range x.out.After {
		work()
	}
	x.out.Reset()
	return nil
}

// ask sends the requests that were released, one after the other: what the inspector wants to know first, then the
// client's.
func (x *exchange) ask(ctx context.Context) error {
	for len(x.requests) > 0 {
		m := x.requests[0]
		x.requests = x.requests[1:]
		if err := x.call(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// call sends a request and takes all that comes back.
func (x *exchange) call(ctx context.Context, m *jsonrpc.Message) error {
	asking := ctx
	if m.Own {
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), ownTimeout)
		defer cancel()
		asking = own
	} else if x.held != nil && m.ID.Key() == x.id.Key() {
		x.link.forget(m.ID.Key(), x.held)
		x.held = nil // no more: whoever sees its answer delivers it, and if it has none there is nothing to wait for
	}
	var undelivered error
	err := x.link.up.Call(asking, m, func(a Arrival) error {
		if m.Own { // the client has no stream of its to resume
			if a.EventID, a.Retry = "", 0; a.Message == nil {
				return nil
			}
		}
		undelivered = x.arrive(ctx, a)
		return undelivered
	})
	if err == nil || errors.Is(undelivered, ErrResumable) {
		return undelivered
	}
	if !m.Own && errors.Is(context.Cause(ctx), ErrResumable) {
		return ErrResumable
	}
	x.lost(m.ID, err)
	if undelivered != nil {
		x.out.Reset()
		return undelivered
	}
	var failure *Failure
	if !errors.As(err, &failure) {
		failure = &Failure{Cause: Unreachable, Err: err}
	}
	return x.release(ctx, Arrival{Failure: failure})
}

func (x *exchange) lost(id jsonrpc.ID, cause error) {
	x.link.server.Lock()
	defer x.link.server.Unlock()
	x.link.in.Lost(id, cause, &x.out)
	x.link.in.Commit(&x.out)
	x.handOver()
}

// arrive takes what the server says.
func (x *exchange) arrive(ctx context.Context, a Arrival) error {
	if a.Message == nil {
		return x.deliver(a)
	}
	x.link.server.Lock()
	x.link.in.FromServer(a.Message, &x.out)
	x.link.in.Commit(&x.out)
	x.handOver()
	x.link.server.Unlock()
	return x.release(ctx, a)
}

// handOver gives away what the inspector released of requests that it held back for other exchanges. The link's server
// lock is held: so nothing is handed over to an exchange that has given up before.
func (x *exchange) handOver() {
	key := x.id.Key()
	x.out.ToClient = slices.DeleteFunc(x.out.ToClient, func(m *jsonrpc.Message) bool {
		return isAnswer(m) && !m.ID.IsZero() && !(x.request && m.ID.Key() == key) && x.link.handOver(m.ID.Key(), nil, m)
	})
	x.out.ToServer = slices.DeleteFunc(x.out.ToServer, func(m *jsonrpc.Message) bool {
		return m.Kind == jsonrpc.Request && !m.Own && !(x.request && m.ID.Key() == key) && x.link.handOver(m.ID.Key(), m, nil)
	})
}

func isAnswer(m *jsonrpc.Message) bool { return m.Kind == jsonrpc.Result || m.Kind == jsonrpc.Error }

// wait is for a request that the inspector held back: another exchange finds out what becomes of it.
func (x *exchange) wait(ctx context.Context) error {
	held := x.held
	select {
	case <-held.ready:
	case <-ctx.Done():
		x.lost(x.id, ctx.Err())
		x.link.forget(x.id.Key(), held)
		return x.release(ctx, Arrival{})
	}
	x.link.forget(x.id.Key(), held) // at once: when it was answered the client may use the id again
	x.link.mu.Lock()
	if held.toServer != nil {
		x.out.ToServer = append(x.out.ToServer, held.toServer)
	}
	if held.toClient != nil {
		x.out.ToClient = append(x.out.ToClient, held.toClient)
	}
	x.link.mu.Unlock()
	if err := x.release(ctx, Arrival{}); err != nil {
		return err
	}
	if err := x.ask(ctx); err != nil {
		return err
	}
	if !x.answered {
		return ErrUnanswered
	}
	return nil
}

// handOver gives what was released of a request to the exchange that waits, or will wait, for it. It reports whether there
// is one.
func (l *Link) handOver(key jsonrpc.Key, toServer, toClient *jsonrpc.Message) bool {
	l.client.Lock() // a request that was just held back is in the table when this is let go
	defer l.client.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.aside[key]
	if held == nil {
		return false
	}
	select {
	case <-held.ready:
	default:
		held.toServer, held.toClient = toServer, toClient
		close(held.ready)
	}
	return true
}

// giveUp ends the wait for a request that was cancelled while it was held back: it will have no answer.
func (l *Link) giveUp(m *jsonrpc.Message) {
	if id, ok := jsonrpc.ParseID(m.Field(jsonrpc.RequestID)); ok {
		l.handOver(id.Key(), nil, nil)
	}
}

func (l *Link) asideOf(key jsonrpc.Key) *aside {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.aside == nil {
		l.aside = make(map[jsonrpc.Key]*aside)
	}
	held := &aside{ready: make(chan struct{})}
	l.aside[key] = held // the inspector holds back no two requests of one id
	return held
}

func (l *Link) forget(key jsonrpc.Key, held *aside) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.aside[key] == held {
		delete(l.aside, key)
	}
}
