package streamable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/sse"
)

const (
	keptText = 4 << 20 // bytes of a buffer for long messages that is kept for the next, until the garbage collector comes

	// What is left of a response that nobody waits for any more is worth this much, against a new connection.
	drainTime = 5 * time.Millisecond
	drainSize = 16 << 10 // bytes
)

// An exchange is one request and what comes back. It belongs to one goroutine and is used again for other sessions.
type exchange struct {
	pool    *Pool
	client  *Client
	wire    *wire       // nil: none at the moment
	unhook  func() bool // stops watching the context; nil: it is not watched
	in      inbound
	out     []byte   // head of the request, and its body if that is short
	session *session // that the request named; nil: none
	modern  bool     // the request stands alone

	scanner jsonrpc.Scanner
	message jsonrpc.Message
	events  sse.Reader
	refused error  // of yield
	sent    func() // called when the server has the request, or the network; nil: nobody wants to know

	longEvent bool // events has grown to more than what is kept
}

func (c *Client) newExchange() *exchange {
	x, ok := c.pool.exchanges.Get().(*exchange)
	if !ok {
		x = &exchange{pool: c.pool}
		x.scanner.MaxDepth = c.pool.opt.MaxDepth
	}
	x.client = c
	return x
}

// end gives everything back.
func (x *exchange) end() {
	x.hangUp()
	x.client, x.session, x.refused, x.sent = nil, nil, nil, nil
	x.message = jsonrpc.Message{}
	x.events.Reset(nil, 0)
	if x.longEvent {
		x.events, x.longEvent = sse.Reader{}, false
	}
	if cap(x.in.text) > keptText {
		x.in.text = nil
	}
	if cap(x.out) > 2*copyLimit {
		x.out = nil
	}
	x.pool.exchanges.Put(x)
}

// roundTrip sends the request whose head is in out and reads the head of the response; limit is the time that may pass
// without a byte.
//
// A server may close an idle connection at any moment. A request is sent a second time only if the first was surely not
// executed: if the connection was seen to be closed, or took not a byte. When it took the request and ends without an
// answer, nobody knows (RFC 9112 section 9.3.1), and what MCP requests do cannot be undone: that is a Failure.
func (x *exchange) roundTrip(ctx context.Context, body []byte, limit time.Duration) error {
	if err := ctx.Err(); err != nil {
		return transport.Unsent{Err: err}
	}
	for fresh := false; ; fresh = true {
		var w *wire
		if !fresh {
			w = x.pool.take()
		}
		reused := w != nil
		if !reused {
			var err error
			if w, err = x.pool.dial(ctx, x.client.life); err != nil {
				return err
			}
		}
		if err := x.connect(ctx, w); err != nil {
			return err
		}
		w.start(limit)
		sent, grown, err := w.send(x.out, body)
		x.out = grown[:len(x.out)]
		if err == nil {
			if x.sent != nil {
				x.sent()
			}
			return x.in.readHead()
		}
		if reused && sent == 0 && ctx.Err() == nil {
			x.hangUp()
			continue
		}
		return x.earlyAnswer(err)
	}
}

// earlyAnswer is for a server that did not read the whole request: its reason may have come all the same.
func (x *exchange) earlyAnswer(cause error) error {
	const patience = 250 * time.Millisecond
	x.wire.within(patience)
	if x.in.readHead() != nil || x.in.head.status < 400 {
		return cause
	}
	x.in.head.last = true
	return nil
}

// connect makes w the exchange's, and has it closed when ctx ends or the client is closed.
func (x *exchange) connect(ctx context.Context, w *wire) error {
	c := x.client
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		w.abort()
		return transport.Unsent{Err: errClosed}
	}
	w.next = c.wires
	if w.next != nil {
		w.next.prev = w
	}
	c.wires = w
	c.mu.Unlock()
	x.wire = w
	x.in.reset(w.conn)
	if ctx.Done() != nil {
		x.unhook = context.AfterFunc(ctx, w.abort)
	}
	return nil
}

// hangUp gives the connection back, or closes it where the response was not read to its end.
func (x *exchange) hangUp() {
	w := x.wire
	if w == nil {
		return
	}
	untouched := x.unhook == nil || x.unhook()
	x.wire, x.unhook = nil, nil
	c := x.client
	c.mu.Lock()
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		c.wires = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	untouched = untouched && !c.closed
	c.mu.Unlock()
	if untouched && x.in.reusable() {
		x.pool.put(w)
	} else {
		w.abort()
	}
}

// drain reads what is left of the response, if that is little and comes at once, so that the connection can be used again.
func (x *exchange) drain() {
	if x.wire == nil || x.in.done || x.in.head.last {
		return
	}
	x.wire.within(drainTime)
	for budget := drainSize; budget > 0; {
		n, err := x.in.skip(budget)
		if err != nil {
			return
		}
		budget -= n
	}
}

// deliver hands over an arrival and remembers if nobody wanted it.
func (x *exchange) deliver(yield transport.Yield, a transport.Arrival) error {
	x.refused = yield(a)
	return x.refused
}

var errClosed = errors.New("the session was closed here")

// verdict makes a result of what went wrong: what yield said, the end of the context, or a Failure.
func (x *exchange) verdict(ctx context.Context, err error) error {
	var failure *transport.Failure
	switch {
	case err == nil:
		return nil
	case x.refused != nil:
		return x.refused
	case ctx.Err() != nil:
		return ctx.Err()
	case x.client.life.Err() != nil:
		return &transport.Failure{Cause: transport.SessionGone, Err: errClosed}
	case errors.As(err, &failure):
		return failure
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &transport.Failure{Cause: transport.TimedOut, Err: fmt.Errorf("nothing came for %v, or no answer in %d times that (request_timeout)", x.pool.opt.Timeout, mostTimeouts)}
	case errors.Is(err, io.EOF):
		err = errors.New("the connection was closed in place of an answer")
	}
	cause := transport.Unreachable
	var bad malformed
	if errors.As(err, &bad) || errors.Is(err, errTooLong) || errors.Is(err, sse.ErrTooLong) {
		cause = transport.BadAnswer
	}
	return &transport.Failure{Cause: cause, Err: err}
}
