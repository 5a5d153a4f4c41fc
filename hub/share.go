package hub

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	defaultRequestTimeout = time.Minute
	mostTimeouts          = 20               // a request that shows signs of life may take so many timeouts in all
	defaultInFlight       = 4096             // requests at one server
	mostQueued            = 64 << 20         // bytes that wait to be written to one server
	mostAbandoned         = 4096             // requests without an answer whose late answers are known as such
	bigMessage            = 64 << 10         // bytes from which a message is written where it lies
	writePatience         = 10 * time.Second // for a server to take what was begun to be written when nobody waits for it any more
)

// A mux lays the conversations of many clients over one connection to a server. Every request gets an id of the mux's
// own, and so do its progress token and its subscription; nothing else of a message is changed. So clients may use equal
// ids, none can name what is another's, and an answer finds its way back under the id that its client knows.
//
// It judges nothing: guards do.
type mux struct {
	conn    transport.Conn
	pieces  piecewise // conn, if it can write in pieces; else nil
	opt     muxOptions
	crowd   *audience
	parcels parcels
	rested  sync.Pool // *muxCall
	last    atomic.Int64
	ended   chan struct{} // closed when the server has ended
	all     sync.WaitGroup
	stopped sync.Once

	mu        sync.Mutex
	calls     map[int64]*muxCall       // in flight, by our id; whoever takes one out owes it a word on its end
	shares    map[string]int           // of calls, by principal; only where the server is shared
	abandoned map[int64]struct{}       // given up, not answered
	asked     map[jsonrpc.Key]question // what the server asked of clients and was not answered yet
	queue     []cargo                  // to be written
	queued    int                      // bytes of it
	cause     error                    // why the server has ended; nil: it has not
	wake      chan struct{}            // has room for one: there is something to write
}

// muxOptions say what kind of server it is, and who wants to know of it. Every hook may be nil; they are called from the
// goroutine that reads, and must not wait.
type muxOptions struct {
	Modern    bool          // revision 2026-07-28; else older ones
	Shared    bool          // by several principals: nothing of what it asks, logs or says unasked is for one of them
	Timeout   time.Duration // without a sign of life, per request; 0: a minute
	MaxFlight int           // requests at a time, half of them at most one known principal's where it is shared; 0: 4096

	Notified func(method string)                     // a list has changed, whether or not anyone listens
	Stray    func(m *jsonrpc.Message, reason string) // a message that belongs to nobody was dropped; m is valid until it returns
	Refused  func(method string)                     // the server asked something that nobody may be asked
}

// piecewise is a Conn that can write one message in pieces.
type piecewise interface{ WritePieces(pieces [][]byte) error }

// newMux takes over a connection. What the server says unasked goes to the audience.
func newMux(conn transport.Conn, crowd *audience, opt muxOptions) *mux {
	if opt.Timeout <= 0 {
		opt.Timeout = defaultRequestTimeout
	}
	if opt.MaxFlight <= 0 {
		opt.MaxFlight = defaultInFlight
	}
	m := &mux{
		conn: conn, opt: opt, crowd: crowd,
		ended:     make(chan struct{}),
		calls:     make(map[int64]*muxCall),
		shares:    make(map[string]int),
		abandoned: make(map[int64]struct{}),
		asked:     make(map[jsonrpc.Key]question),
		wake:      make(chan struct{}, 1),
	}
	m.pieces, _ = conn.(piecewise)
	m.all.Go(m.read)
	m.all.Go(m.write)
	return m
}

// stop ends the connection; it may take as long as a server is given to leave.
func (m *mux) stop() { m.stopped.Do(func() { _ = m.conn.Close() }) }

// close ends the connection and waits until nothing of it is left.
func (m *mux) close() {
	m.stop()
	m.all.Wait()
}

// A muxCall is one request of a client on its way. It belongs to the goroutine that made it, but for what is said to be
// guarded by mux.mu.
type muxCall struct {
	lane     *lane // nil: the request is our own
	id       int64
	digits   []byte // id as a token
	token    []byte // the client's id; a part of the request, so valid until the call returns
	progress []byte // the client's progress token, likewise; nil: none
	listen   bool   // it is a subscription, and has no time limit
	opening  bool   // it is initialize, which is never cancelled
	open     bool   // its end was neither received nor given up
	logs     bool   // it asks for log messages
	begun    time.Time
	life     time.Time     // last sign of life; guarded by mux.mu
	queue    []*parcel     // what has arrived before the answer; guarded by mux.mu until the end was sent
	weight   int           // bytes of queue; guarded by mux.mu
	ready    chan struct{} // has room for one: there is something in queue
	end      chan ending   // has room for the one that comes
	written  chan struct{} // closed when the request's own memory is not needed any more; nil: it never was
	timer    *time.Timer
}

// principal is who has sent the call, "" where that is not known, or for a request of our own.
func (c *muxCall) principal() string {
	if c.lane == nil {
		return ""
	}
	return c.lane.principal
}

// An ending is an answer, or why there is none.
type ending struct {
	answer *parcel
	err    error
}

// call is [transport.Upstream]'s Call for the client of a lane.
func (m *mux) call(ctx context.Context, l *lane, request *jsonrpc.Message, yield transport.Yield) error {
	return m.callIf(ctx, l, request, yield, nil)
}

// callIf is call with a last look: allowed is asked when nothing can come between it and the request any more. Where it
// says no the request is not sent, and the error is errWithheld.
func (m *mux) callIf(ctx context.Context, l *lane, request *jsonrpc.Message, yield transport.Yield, allowed func() bool) error {
	c := m.newCall(l, request)
	defer m.rest(c)
	if err := m.begin(c, request, allowed); err != nil {
		return err
	}
	c.open = true
	defer m.leave(c)
	var late <-chan time.Time
	if !c.listen && l != nil {
		c.timer.Reset(m.opt.Timeout)
		late = c.timer.C
	}
	for {
		select {
		case e := <-c.end:
			c.open = false
			return m.finish(c, e, yield)
		case <-c.ready:
			if err := m.hand(c, yield); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			if left := m.left(c); left > 0 {
				c.timer.Reset(left)
				continue
			}
			return &transport.Failure{Cause: transport.TimedOut}
		}
	}
}

var (
	errWithheld  = errors.New("the request need not be sent")
	errCancelled = context.Canceled // what ends a call that its client has cancelled
	errFull      = &transport.Failure{Cause: transport.Overloaded, Err: transport.Unsent{Err: errors.New("too much is in flight at the server")}}
	errShare     = &transport.Failure{Cause: transport.Overloaded, Err: transport.Unsent{Err: errors.New("too much of this client is in flight at the server")}}
	errGone      = &transport.Failure{Cause: transport.SessionGone}
)

func (m *mux) newCall(l *lane, request *jsonrpc.Message) *muxCall {
	c, _ := m.rested.Get().(*muxCall)
	if c == nil {
		c = &muxCall{ready: make(chan struct{}, 1), end: make(chan ending, 1), timer: time.NewTimer(time.Hour)}
		c.timer.Stop()
	}
	c.lane, c.id, c.token = l, m.last.Add(1), request.ID.Token()
	c.digits = strconv.AppendInt(c.digits[:0], c.id, 10)
	c.progress = request.Field(jsonrpc.MetaProgress)
	c.listen = request.Method == "subscriptions/listen"
	c.opening = request.Method == "initialize"
	c.logs = request.Field(jsonrpc.MetaLogLevel) != nil
	c.begun = time.Now()
	c.life = c.begun
	return c
}

// rest keeps the memory of a call that has ended.
func (m *mux) rest(c *muxCall) {
	c.timer.Stop()
	for _, p := range c.queue {
		m.parcels.give(p)
	}
	clear(c.queue)
	select {
	case <-c.ready:
	default:
	}
	*c = muxCall{queue: c.queue[:0], digits: c.digits, ready: c.ready, end: c.end, timer: c.timer}
	m.rested.Put(c)
}

// begin queues the request.
func (m *mux) begin(c *muxCall, request *jsonrpc.Message, allowed func() bool) error {
	edits := append(make([]jsonrpc.Edit, 0, 2), request.EditID(c.digits))
	if c.progress != nil {
		edits = append(edits, request.Edit(jsonrpc.MetaProgress, c.digits))
	}
	load := cargo{id: c.id}
	if len(request.Raw) >= bigMessage && m.pieces != nil {
		load.pieces = request.AppendPieces(nil, edits...)
		load.written = make(chan struct{})
		c.written = load.written
	} else {
		load.parcel = m.parcels.edit(request, edits...)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var err error
	sharer := m.sharer(c)
	switch {
	case m.cause != nil:
		err = unreachable(m.cause)
	case len(m.calls) >= m.opt.MaxFlight || m.queued > mostQueued:
		err = errFull
	case sharer != "" && m.shares[sharer] >= max(1, m.opt.MaxFlight/2):
		err = errShare
	case allowed != nil && !allowed():
		err = errWithheld
	}
	if err != nil {
		c.written = nil
		if load.parcel != nil {
			m.parcels.give(load.parcel)
		}
		return err
	}
	m.calls[c.id] = c
	if sharer != "" {
		m.shares[sharer]++
	}
	m.push(load)
	return nil
}

// remove takes a call out. m.mu is held.
func (m *mux) remove(c *muxCall) {
	delete(m.calls, c.id)
	sharer := m.sharer(c)
	if n := m.shares[sharer]; n > 1 {
		m.shares[sharer] = n - 1
	} else {
		delete(m.shares, sharer)
	}
}

// sharer is whose call it is where clients share the server, "" where it is not known or nobody else is there.
func (m *mux) sharer(c *muxCall) string {
	if !m.opt.Shared {
		return ""
	}
	return c.principal()
}

func unreachable(cause error) error {
	return &transport.Failure{Cause: transport.Unreachable, Err: cause}
}

// hand yields what has arrived so far.
func (m *mux) hand(c *muxCall, yield transport.Yield) error {
	for {
		m.mu.Lock()
		if len(c.queue) == 0 {
			m.mu.Unlock()
			return nil
		}
		p := c.queue[0]
		c.queue[0] = nil
		c.queue = c.queue[1:]
		c.weight -= len(p.msg.Raw)
		m.mu.Unlock()
		err := yield(transport.Arrival{Message: &p.msg})
		m.parcels.give(p)
		if err != nil {
			return err
		}
	}
}

// finish yields what came before the end, and the answer. Nobody else knows of the call any more.
func (m *mux) finish(c *muxCall, e ending, yield transport.Yield) error {
	if e.answer != nil {
		defer m.parcels.give(e.answer)
	}
	if len(c.queue) > 0 {
		if err := m.hand(c, yield); err != nil {
			return err
		}
	}
	if e.answer == nil {
		return e.err
	}
	return yield(transport.Arrival{Message: &e.answer.msg})
}

// left says how long a call may still take; it is over at 0 or less. It has no time limit of its own while the client
// itself is asked something.
func (m *mux) left(c *muxCall) time.Duration {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	quiet := m.opt.Timeout - now.Sub(c.life)
	for _, q := range m.asked {
		if q.of == c.lane {
			quiet = m.opt.Timeout
		}
	}
	return min(quiet, mostTimeouts*m.opt.Timeout-now.Sub(c.begun))
}

// leave ends a call, whether or not its end has come, and waits until the writer needs its request no more.
func (m *mux) leave(c *muxCall) {
	if c.open {
		m.giveUp(c)
	}
	if c.written == nil {
		return
	}
	patience := time.NewTimer(writePatience)
	defer patience.Stop()
	select {
	case <-c.written:
	case <-patience.C: // a server that does not take the rest of a message is not worth keeping
		m.stop()
		<-c.written
	}
}

// giveUp ends a call that nobody waits for. The server is told, unless it never heard of it.
func (m *mux) giveUp(c *muxCall) {
	m.mu.Lock()
	if m.calls[c.id] != c { // its end is on its way
		m.mu.Unlock()
		if e := <-c.end; e.answer != nil {
			m.parcels.give(e.answer)
		}
		return
	}
	m.remove(c)
	m.abandon(c, "nobody waits for the answer any more")
	m.mu.Unlock()
}

// abandon tells the server that a call, which was taken out, needs no answer. m.mu is held.
func (m *mux) abandon(c *muxCall, reason string) {
	if m.cause != nil || m.unqueue(c) {
		return
	}
	m.forget(c.id)
	if c.opening { // it must not be cancelled (2025-11-25, basic/utilities/cancellation)
		return
	}
	params := strconv.AppendInt([]byte(`{"requestId":`), c.id, 10)
	params = append(jsonrpc.AppendString(append(params, `,"reason":`...), reason), '}')
	m.push(cargo{parcel: own(jsonrpc.NewRequest(jsonrpc.ID{}, "notifications/cancelled", params))})
}

// forget notes that an answer to our id may come and means nothing. m.mu is held.
func (m *mux) forget(id int64) {
	if len(m.abandoned) >= mostAbandoned {
		clear(m.abandoned)
	}
	m.abandoned[id] = struct{}{}
}
