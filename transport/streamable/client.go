package streamable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// farewell is how long a server may take to be told that a session is over. Clients that end a wrapper do not wait long.
const farewell = time.Second

// A Client is a transport.Upstream: one server as one session sees it, or any number of requests that stand alone. The
// session begins with the answer to initialize. While it is idle it has neither connection nor goroutine.
//
// A request that names its revision in _meta is sent as revision 2026-07-28 wants it, any other as the revisions before.
type Client struct {
	pool    *Pool
	session atomic.Pointer[session] // nil: none yet
	life    context.Context         // ends with Close
	end     context.CancelFunc

	mu     sync.Mutex
	wires  *wire // in use, the first of them; guarded by mu
	closed bool  // guarded by mu
}

var _ transport.Upstream = (*Client)(nil)

// NewClient returns a client that speaks over the pool's connections.
func NewClient(pool *Pool) *Client {
	life, end := context.WithCancel(context.Background())
	return &Client{pool: pool, life: life, end: end}
}

// SessionID returns the id that the server gave the session, "" for none. It must not leave this program.
func (c *Client) SessionID() string {
	if s := c.session.Load(); s != nil {
		return s.id
	}
	return ""
}

// Call implements transport.Upstream. When the context ends, the connection is closed: to a modern server that is the
// cancellation, a legacy one goes on until notifications/cancelled.
//
// A stream of a legacy server that breaks before the answer is resumed, if its events have ids.
func (c *Client) Call(ctx context.Context, request *jsonrpc.Message, yield transport.Yield) error {
	return c.call(ctx, request, nil, yield)
}

func (c *Client) call(ctx context.Context, request *jsonrpc.Message, sent func(), yield transport.Yield) error {
	x := c.newExchange()
	defer x.end()
	x.sent = sent
	err := x.post(ctx, request)
	if err == nil {
		err = x.roundTrip(ctx, request.Raw, c.pool.opt.Timeout)
	}
	if err == nil {
		err = x.answer(ctx, request, yield)
	}
	return x.verdict(ctx, err)
}

// Send implements transport.Upstream.
func (c *Client) Send(ctx context.Context, m *jsonrpc.Message) error {
	x := c.newExchange()
	defer x.end()
	err := x.post(ctx, m)
	if err == nil {
		err = x.roundTrip(ctx, m.Raw, c.pool.opt.Timeout)
	}
	if err == nil {
		err = x.refusal()
	}
	x.drain()
	return x.verdict(ctx, err)
}

// Listen implements transport.Upstream. The stream may be silent for any time; TCP notices a server that has gone.
func (c *Client) Listen(ctx context.Context, after string, yield transport.Yield) error {
	x := c.newExchange()
	defer x.end()
	x.bare(c.pool.origin.get, after)
	err := x.roundTrip(ctx, nil, c.pool.opt.Timeout)
	if err == nil && x.in.head.status == 405 {
		x.drain()
		return transport.ErrNoStream
	}
	if err == nil {
		err = x.unasked(yield)
	}
	return x.verdict(ctx, err)
}

// unasked hands over the events of a stream that belongs to no request.
func (x *exchange) unasked(yield transport.Yield) error {
	if err := x.refusal(); err != nil {
		return err
	}
	if err := x.eventStream(); err != nil {
		return err
	}
	x.wire.start(0)
	s := &stream{x: x, yield: yield}
	if err := x.deliver(yield, transport.Arrival{}); err != nil { // see transport.Upstream
		return err
	}
	for {
		m, err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.deliver(m); err != nil {
			return err
		}
	}
}

// Close implements transport.Upstream: what is under way ends with the Failure SessionGone, then the server is told.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.end()
	for w := c.wires; w != nil; w = w.next {
		w.abort()
	}
	c.mu.Unlock()
	s := c.session.Load()
	if s == nil || s.id == "" {
		return nil
	}
	return c.pool.drop(s)
}

// deafFor is how long a server is told of no ended session that has let one good-bye pass without an answer: who ends a thousand
// sessions would wait for each of them.
const deafFor = 30 * time.Second

var errDeaf = errors.New("the server did not answer when it was told of the end of another session")

// drop tells the server that a session is over. A server need not take that (405), and may have known it (404).
func (p *Pool) drop(s *session) error {
	if time.Now().UnixNano() < p.deaf.Load() {
		return errDeaf
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	c := NewClient(p)
	defer c.end()
	c.session.Store(s)
	x := c.newExchange()
	defer x.end()
	x.bare(p.origin.drop, "")
	err := x.roundTrip(ctx, nil, farewell)
	if err == nil && x.in.head.status != 404 && x.in.head.status != 405 {
		err = x.refusal()
	}
	x.drain()
	if err = x.verdict(ctx, err); err != nil {
		if failure, ok := errors.AsType[*transport.Failure](err); ctx.Err() != nil || ok && failure.Timeout() {
			p.deaf.Store(time.Now().Add(deafFor).UnixNano())
		}
		return fmt.Errorf("end the session at the server: %w", err)
	}
	return nil
}
