package transport

import (
	"context"
	"sync"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// maxPosted bounds what waits for a peer that does not read, in bytes. Past it the posting direction waits too.
const maxPosted = 1 << 20

// An outlet is the way to one peer. Two goroutines use it: the pump that forwards to this peer sends, and waits until the
// peer has taken everything; the pump that reads from this peer posts answers and goes on reading, because a peer may
// refuse to read before it has written all it wants. No lock is held during a write.
type outlet struct {
	conn      Conn
	finally   func() error  // called when deliver ends; nil: nothing
	delivered chan struct{} // closed when deliver has ended

	mu      sync.Mutex
	work    sync.Cond          // deliver waits for something to do; it is not woken by every send
	free    sync.Cond          // others wait for the peer to take what is before them
	queue   []*jsonrpc.Message // posted, in order; they own their memory
	queued  int                // bytes in queue
	writing bool               // somebody writes to conn
	closed  bool
	err     error // of the first failed write
}

func newOutlet(conn Conn, finally func() error) *outlet {
	o := &outlet{conn: conn, finally: finally, delivered: make(chan struct{})}
	o.work.L, o.free.L = &o.mu, &o.mu
	return o
}

// send writes msgs after everything that was posted before.
func (o *outlet) send(ctx context.Context, msgs []*jsonrpc.Message) error {
	if len(msgs) == 0 {
		return nil
	}
	o.mu.Lock()
	for (o.writing || len(o.queue) > 0) && o.err == nil && !o.closed {
		o.free.Wait()
	}
	return o.write(ctx, msgs)
}

// post queues copies of msgs.
func (o *outlet) post(msgs []*jsonrpc.Message) {
	if len(msgs) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.queued > maxPosted && o.err == nil && !o.closed {
		o.free.Wait()
	}
	for _, m := range msgs {
		o.queue = append(o.queue, m.Clone())
		o.queued += len(m.Raw)
	}
	o.work.Signal()
}

// deliver writes what is posted until the outlet is closed and everything is out, then tells the peer so if finally is set.
func (o *outlet) deliver(ctx context.Context) {
	defer close(o.delivered)
	for {
		o.mu.Lock()
		for (o.writing || len(o.queue) == 0 && !o.closed) && o.err == nil {
			o.work.Wait()
		}
		if len(o.queue) == 0 || o.err != nil {
			o.mu.Unlock()
			break
		}
		msgs := o.queue
		o.queue, o.queued = nil, 0
		_ = o.write(ctx, msgs) // kept in o.err
	}
	if o.finally != nil {
		_ = o.finally() // the peer may be gone
	}
}

// write is called with the lock held and returns without it.
func (o *outlet) write(ctx context.Context, msgs []*jsonrpc.Message) error {
	if o.err != nil {
		defer o.mu.Unlock()
		return o.err
	}
	o.writing = true
	o.mu.Unlock()
	err := o.conn.Write(ctx, msgs...)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = false
	if o.err == nil {
		o.err = err
	}
	if len(o.queue) > 0 || o.closed || o.err != nil {
		o.work.Signal()
	}
	o.free.Broadcast()
	return err
}

// close lets deliver end once everything posted, and these last messages, are written.
func (o *outlet) close(last ...*jsonrpc.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, last...)
	o.closed = true
	o.work.Signal()
	o.free.Broadcast()
}
