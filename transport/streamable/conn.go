package streamable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	maxQueued   = 64  // messages of the client that wait to be sent
	maxArrived  = 16  // messages of the server that wait to be read
	maxInFlight = 256 // requests at once

	lastSends   = time.Second     // what was written before Close may still be sent for this long
	cancelGrace = 5 * time.Second // for the answer to a request that was cancelled
)

// A Conn makes a transport.Conn of a Client, for a client that speaks over a pipe: each request is a Call of its own, and what
// comes back is read in the order in which it comes. Where a Call fails, Read returns an error answer in its place.
//
// What is no request is sent one after the other, in its order, before anything that was written later. So is initialize.
type Conn struct {
	client   *Client
	life     context.Context // of everything under way
	end      context.CancelCauseFunc
	queue    chan *jsonrpc.Message
	arrivals chan arrival
	closing  chan struct{}
	once     sync.Once
	sender   sync.WaitGroup // dispatch
	work     sync.WaitGroup // calls, and the stream of what the server says unasked
	params   ParamHeaders
	failed   func(error)

	mu        sync.Mutex
	inFlight  map[jsonrpc.Key]*flight // guarded by mu
	listening bool                    // only dispatch uses it
}

var _ transport.Conn = (*Conn)(nil)

// A flight is a request that has no answer yet.
type flight struct {
	key    jsonrpc.Key
	cancel context.CancelFunc
	modern bool
	sent   chan struct{} // closed when the request has left, or never will
}

// An arrival is a message for Read.
type arrival struct {
	msg  *jsonrpc.Message
	ends *flight // whose answer it is; nil: it is none
}

// NewConn returns a connection that owns the client: Close closes it. failed is told why a message was not delivered or not
// answered, by several goroutines at once; nil: nobody is told.
func NewConn(client *Client, failed func(error)) *Conn {
	if failed == nil {
		failed = func(error) {}
	}
	life, end := context.WithCancelCause(context.Background())
	c := &Conn{
		client: client, failed: failed, life: life, end: end, closing: make(chan struct{}),
		queue: make(chan *jsonrpc.Message, maxQueued), arrivals: make(chan arrival, maxArrived),
		inFlight: make(map[jsonrpc.Key]*flight),
	}
	c.sender.Go(c.dispatch)
	return c
}

// Read implements transport.Conn. After Close it returns io.EOF; when the server has forgotten the session it returns that
// Failure: a session cannot be begun again behind the client's back.
func (c *Conn) Read(ctx context.Context, dst []jsonrpc.Message) (int, error) {
	if len(dst) == 0 {
		return 0, nil
	}
	n := c.arrived(dst)
	if n > 0 {
		return n, nil
	}
	select {
	case a := <-c.arrivals:
		dst[0] = c.take(a)
		return 1 + c.arrived(dst[1:]), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-c.life.Done():
	}
	if n = c.arrived(dst); n > 0 {
		return n, nil
	}
	return 0, context.Cause(c.life)
}

// arrived takes what is there.
func (c *Conn) arrived(dst []jsonrpc.Message) int {
	for n := range dst {
		select {
		case a := <-c.arrivals:
			dst[n] = c.take(a)
		default:
			return n
		}
	}
	return len(dst)
}

// take ends the flight of a request whose answer is read: its reader may use the id, and the place, again at once.
func (c *Conn) take(a arrival) jsonrpc.Message {
	if a.ends != nil {
		c.land(a.ends)
	}
	return *a.msg
}

// Write implements transport.Conn. It returns when the messages are queued.
func (c *Conn) Write(ctx context.Context, msgs ...*jsonrpc.Message) error {
	for _, m := range msgs {
		select {
		case c.queue <- m.Clone():
		case <-ctx.Done():
			return ctx.Err()
		case <-c.closing:
			return errClosed
		case <-c.life.Done():
			return context.Cause(c.life)
		}
	}
	return nil
}

// CloseWrite implements transport.Conn. HTTP has no way to say it.
func (c *Conn) CloseWrite() error { return nil }

// Close implements transport.Conn. What was written is sent, for a bounded time; what is under way ends.
func (c *Conn) Close() error {
	var err error
	c.once.Do(func() {
		close(c.closing)
		impatience := time.AfterFunc(lastSends, func() { c.end(io.EOF) })
		c.sender.Wait()
		impatience.Stop()
		c.end(io.EOF)
		err = c.client.Close()
		c.work.Wait()
	})
	return err
}

// dispatch sends what is written.
func (c *Conn) dispatch() {
	for {
		select {
		case m := <-c.queue:
			c.dispose(m)
			continue
		case <-c.life.Done():
			return
		case <-c.closing:
		}
		for {
			select {
			case m := <-c.queue:
				if m.Kind != jsonrpc.Request { // nobody would read the answer
					c.dispose(m)
				}
			default:
				return
			}
		}
	}
}

func (c *Conn) dispose(m *jsonrpc.Message) {
	switch {
	case m.Kind == jsonrpc.Request:
		c.begin(m)
		return
	case m.Method == "notifications/cancelled" && c.cancel(m):
		return
	}
	err := c.client.Send(c.life, m)
	if err != nil && c.life.Err() == nil {
		c.failed(fmt.Errorf("send %s: %w", m.Kind, err))
	}
	if c.sessionLost(err) {
		return
	}
	if m.Method == "notifications/initialized" && err == nil && !c.listening {
		c.listening = true
		c.work.Go(c.listen)
	}
}

// sessionLost ends the connection if err says that the session is gone.
func (c *Conn) sessionLost(err error) bool {
	failure, ok := errors.AsType[*transport.Failure](err)
	if !ok || failure.Cause != transport.SessionGone {
		return false
	}
	c.end(failure)
	return true
}

// begin starts the call of a request.
func (c *Conn) begin(request *jsonrpc.Message) {
	ctx, cancel := context.WithCancel(c.life)
	_, modern := request.Text(jsonrpc.MetaVersion)
	f := &flight{key: request.ID.Key(), cancel: cancel, modern: modern, sent: make(chan struct{})}
	c.mu.Lock()
	crowded := len(c.inFlight) >= maxInFlight || c.inFlight[f.key] != nil
	if !crowded {
		c.inFlight[f.key] = f
	}
	c.mu.Unlock()
	if crowded { // not to wait: the answers to what the server asks would wait too
		cancel()
		c.fail(request.ID, nil, &transport.Failure{Cause: transport.Overloaded, Err: transport.Unsent{Err: errors.New("too many requests at once")}})
		return
	}
	fly := func() {
		c.call(ctx, request, f)
		c.land(f)
		cancel()
	}
	if request.Method == "initialize" && !modern { // what was written after it belongs to the session that its answer begins
		fly()
		return
	}
	c.work.Go(fly)
}

// land takes a request out of what is in flight, unless its place is another's already.
func (c *Conn) land(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inFlight[f.key] == f {
		delete(c.inFlight, f.key)
	}
}

func (c *Conn) call(ctx context.Context, request *jsonrpc.Message, f *flight) {
	sent := sync.OnceFunc(func() { close(f.sent) })
	defer sent()
	if f.modern && request.Method == "tools/call" {
		ctx = WithParams(ctx, c.params.of(request))
	}
	err := c.client.call(ctx, request, sent, func(a transport.Arrival) error {
		if f.modern && request.Method == "tools/list" && a.Message != nil && a.Message.Kind == jsonrpc.Result {
			a.Message = c.params.Learn(a.Message)
		}
		return c.arrive(a, f)
	})
	if err == nil || ctx.Err() != nil {
		return
	}
	c.failed(fmt.Errorf("call %.64s: %w", request.Method, err))
	c.fail(request.ID, f, err)
	c.sessionLost(err)
}

// arrive queues for Read what came, for the request in flight or (f is nil) for none.
func (c *Conn) arrive(a transport.Arrival, f *flight) error {
	if a.Message == nil {
		return nil
	}
	if a.Message.Kind != jsonrpc.Result && a.Message.Kind != jsonrpc.Error {
		f = nil
	}
	select {
	case c.arrivals <- arrival{a.Message.Clone(), f}:
		return nil
	case <-c.life.Done():
		return context.Cause(c.life)
	}
}

// fail answers a request in the server's place.
func (c *Conn) fail(id jsonrpc.ID, f *flight, err error) {
	text := "server failed"
	if failure, ok := errors.AsType[*transport.Failure](err); ok {
		text = failure.Public()
	}
	if _, ok := errors.AsType[transport.Unsent](err); ok {
		text += "; the request was not executed"
	} else {
		text += "; the request may have been executed"
	}
	_ = c.arrive(transport.Arrival{Message: jsonrpc.NewError(id, jsonrpc.InternalError, text, nil)}, f) // fails at the end only
}

// cancel gives up the request that m cancels. It reports whether the server has been told by that: one that knows no
// sessions takes the end of the connection for it (2026-07-28, "Cancellation"). A legacy server is told by m, but not
// before the request has left, and should not answer then; so the wait for an answer is short.
func (c *Conn) cancel(m *jsonrpc.Message) bool {
	id, ok := jsonrpc.ParseID(m.Field(jsonrpc.RequestID))
	if !ok {
		return false
	}
	c.mu.Lock()
	f := c.inFlight[id.Key()]
	c.mu.Unlock()
	if f == nil {
		return false
	}
	if f.modern {
		f.cancel()
		return true
	}
	<-f.sent // or the call has ended, which it does in bounded time
	time.AfterFunc(cancelGrace, f.cancel)
	return false
}
