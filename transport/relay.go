package transport

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	// DefaultDrain is how long answers may still come after the client has ended.
	DefaultDrain = 5 * time.Second

	// lastWords is how long a client may take to read what it is told when the server has ended, and before that to take
	// what the server had said until it was closed.
	lastWords = 800 * time.Millisecond

	// batch is how many messages are judged before they are released together: enough to share a write and a commit, few
	// enough that the peers work on the first while we judge the next. With 64 calls in flight, batches of 8 cost 13 % and
	// batches of 64 cost 4 %.
	batch = 32
)

// Relay pumps messages between the peers of one link, both directions at once, until the server has ended. Each message
// goes through in; messages that came together are recorded and released together.
//
// When the client ends (end of file, or it does not take its answers any more), the server is told so at once, answers to
// what is in flight are delivered for at most drain (0: DefaultDrain), then the server is closed. When ctx ends the
// server is closed at once. When the server ends first, Relay tells the client what in decides and returns. A Read or Write
// of the client that cannot be interrupted (a blocking pipe) is left behind and must be taken to end with the process.
//
// The error is nil after an orderly end of either side, otherwise what the server's Read returned, or that the client did not
// take what the server had said.
func Relay(ctx context.Context, client, server Conn, in Inspector, drain time.Duration) error {
	if drain <= 0 {
		drain = DefaultDrain
	}
	r := &relay{in: in, client: newOutlet(client, nil), server: newOutlet(server, server.CloseWrite),
		clientEnded: make(chan struct{}), serverEnded: make(chan struct{}), drained: make(chan struct{})}
	go r.client.deliver(ctx)
	go r.server.deliver(ctx)
	go r.fromClient(ctx)
	go r.fromServer(ctx)
	go unasked(ctx, in, r.serverEnded, func(out *jsonrpc.Outbox) error {
		in.Commit(out)
		r.client.post(out.ToClient)
		return nil
	})

	select {
	case <-r.serverEnded:
	case <-r.clientEnded:
		r.settle()
		r.drain(ctx, drain)
	case <-ctx.Done():
	}
	r.server.close()
	_ = server.Close() // how the server ended is what its last Read said
	cause := errNotTaken
	if within(lastWords, r.serverEnded) {
		cause = r.cause
	}
	return r.finish(cause)
}

// errNotTaken ends a link whose client reads nothing: the way to it is blocked, and what the server said last lies behind that.
var errNotTaken = errors.New("the client did not take what the server said")

// within waits for done, and reports whether it came in time.
func within(limit time.Duration, done <-chan struct{}) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	select {
	case <-done:
		return true
	case <-deadline.C:
		return false
	}
}

// drain waits until nothing is pending any more, the time is over, or there is no reason left to wait.
func (r *relay) drain(ctx context.Context, limit time.Duration) {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	select {
	case <-r.drained:
	case <-r.serverEnded:
	case <-deadline.C:
	case <-ctx.Done():
	}
}

type relay struct {
	in             Inspector
	client, server *outlet

	endClient   sync.Once
	clientEnded chan struct{} // closed when the client wrote its last message, or takes no more
	serverEnded chan struct{} // closed when the server's last message was read
	cause       error         // what ended the server; set before serverEnded is closed
	settled     sync.Once
	drained     chan struct{} // closed when the client has ended and nothing is pending
}

// fromClient ends when the client does, or when the server takes nothing any more.
func (r *relay) fromClient(ctx context.Context) {
	_ = pump(ctx, r.client.conn, r.in.FromClient, func(out *jsonrpc.Outbox) error {
		r.in.Commit(out)
		r.client.post(out.ToClient)
		return r.server.send(ctx, out.ToServer)
	}) // whatever ended it, the client's part is over
	r.endClient.Do(func() { close(r.clientEnded) })
}

// fromServer ends when the server does. A client that takes nothing any more does not end it: the server is still to be
// read, recorded and stopped in order.
func (r *relay) fromServer(ctx context.Context) {
	defer close(r.serverEnded)
	r.cause = pump(ctx, r.server.conn, r.in.FromServer, func(out *jsonrpc.Outbox) error {
		r.in.Commit(out)
		r.server.post(out.ToServer)
		if err := r.client.send(ctx, out.ToClient); err != nil {
			r.endClient.Do(func() { close(r.clientEnded) })
		}
		select {
		case <-r.clientEnded:
			r.settle()
		default:
		}
		return nil
	})
}

// unasked releases what in says although no message was judged, until over is closed (nil: never), ctx ends, or release fails.
func unasked(ctx context.Context, in Inspector, over <-chan struct{}, release func(*jsonrpc.Outbox) error) {
	var out jsonrpc.Outbox
	woken, done := in.Attend()
	defer done()
	for {
		select {
		case <-woken:
		case <-over:
			return
		case <-ctx.Done():
			return
		}
		in.Unasked(&out)
		if conclude(&out, release) != nil {
			return
		}
	}
}

func pump(ctx context.Context, from Conn, judge func(*jsonrpc.Message, *jsonrpc.Outbox), release func(*jsonrpc.Outbox) error) error {
	msgs := make([]jsonrpc.Message, batch)
	var out jsonrpc.Outbox
	for {
		n, err := from.Read(ctx, msgs)
		for i := range msgs[:n] {
			judge(&msgs[i], &out)
		}
		if n > 0 {
			if err := conclude(&out, release); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// conclude releases what was judged together, and does what is left to do for it.
func conclude(out *jsonrpc.Outbox, release func(*jsonrpc.Outbox) error) error {
	err := release(out)
	for _, work := range out.After {
		work()
	}
	out.Reset()
	return err
}

// settle looks at what is pending after the client's end. Nothing held back: the server is told that nothing more comes.
// Nothing unanswered: it may be closed.
func (r *relay) settle() {
	held, unanswered := r.in.Pending()
	if held == 0 {
		r.server.close()
	}
	if held+unanswered == 0 {
		r.settled.Do(func() { close(r.drained) })
	}
}

// finish tells the client, for a bounded time, what follows from the server's end.
func (r *relay) finish(cause error) error {
	var out jsonrpc.Outbox
	r.in.Ended(cause, &out)
	r.in.Commit(&out)
	r.server.close()
	r.client.close(out.ToClient...)
	within(lastWords, r.client.delivered)
	if errors.Is(cause, io.EOF) {
		return nil
	}
	return cause
}
