package hub

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	readBatch  = 8
	mostAhead  = 64      // messages that may wait for the client of one call, ahead of its answer
	aheadBytes = 8 << 20 // and their size
)

// read hands out what the server says, until it ends.
func (m *mux) read() {
	msgs := make([]jsonrpc.Message, readBatch)
	for {
		n, err := m.conn.Read(context.Background(), msgs) // stop ends it
		for i := range msgs[:n] {
			m.arrive(&msgs[i])
		}
		if err != nil {
			m.fail(err)
			return
		}
	}
}

// fail ends everything that the server will not answer any more.
func (m *mux) fail(cause error) {
	m.mu.Lock()
	m.cause = cause
	for _, c := range m.calls {
		m.remove(c)
		c.end <- ending{err: unreachable(cause)}
	}
	clear(m.asked)
	m.mu.Unlock()
	close(m.ended)
	m.stop() // a server that says no more has ended, whatever it still does
}

func (m *mux) arrive(msg *jsonrpc.Message) {
	switch msg.Kind {
	case jsonrpc.Result, jsonrpc.Error:
		m.answered(msg)
	case jsonrpc.Request:
		m.asks(msg)
	case jsonrpc.Notification:
		m.notified(msg)
	default:
		m.faulty(msg)
	}
}

// take takes the call out that an answer belongs to. An answer that nobody waits for any more is nothing strange.
func (m *mux) take(msg *jsonrpc.Message) *muxCall {
	id, _ := msg.ID.Key().Number() // 0 is nobody's
	m.mu.Lock()
	c := m.calls[id]
	_, late := m.abandoned[id]
	if c != nil {
		m.remove(c)
	}
	delete(m.abandoned, id)
	m.mu.Unlock()
	if c == nil && !late {
		m.stray(msg, "an answer to a request that was not made, or was answered before")
	}
	return c
}

// stray tells of what was dropped. m.mu is not held: the record is written meanwhile.
func (m *mux) stray(msg *jsonrpc.Message, reason string) {
	if m.opt.Stray != nil {
		m.opt.Stray(msg, reason)
	}
}

// answered gives an answer back the client's id and hands it over. The copy is the only one that is made of it.
func (m *mux) answered(msg *jsonrpc.Message) {
	c := m.take(msg)
	if c == nil {
		return
	}
	edits := append(make([]jsonrpc.Edit, 0, 2), msg.EditID(c.token))
	if c.listen && msg.Field(jsonrpc.MetaSubscription) != nil {
		edits = append(edits, msg.Edit(jsonrpc.MetaSubscription, c.token))
	}
	c.end <- ending{answer: m.parcels.edit(msg, edits...)}
}

// faulty deals with what the scan refused: it is never handed on, and whoever waits for it is told.
func (m *mux) faulty(msg *jsonrpc.Message) {
	switch {
	case msg.ID.IsZero():
	case msg.Method != "":
		m.reply(jsonrpc.NewError(msg.ID, msg.Fault.Code, "message refused: "+msg.Fault.Reason, nil))
	default:
		c := m.take(msg)
		if c == nil {
			return
		}
		c.end <- ending{err: &transport.Failure{Cause: transport.BadAnswer, Err: msg.Fault}}
	}
	m.stray(msg, msg.Fault.Reason)
}

// notified sends a notification to those whom it is for, and to nobody else.
func (m *mux) notified(msg *jsonrpc.Message) {
	changed := strings.HasSuffix(msg.Method, "/list_changed")
	if changed && m.opt.Notified != nil {
		m.opt.Notified(msg.Method)
	}
	switch {
	case msg.Method == "notifications/progress":
		m.progressed(msg)
	case msg.Method == "notifications/cancelled":
		m.withdrawn(msg)
	case msg.Field(jsonrpc.MetaSubscription) != nil:
		m.published(msg)
	case m.opt.Modern:
		m.logged(msg)
	case changed:
		m.crowd.tell(msg)
	case msg.Method == "notifications/resources/updated":
		if uri, ok := msg.Text(jsonrpc.URI); ok {
			m.crowd.tellSubscribers(string(uri), msg)
		}
	case m.opt.Shared:
		m.stray(msg, "a notification for one client of a shared server")
	default:
		m.remark(msg)
	}
}

// progressed hands progress to the call that asked for it. It may be left out where the client is slow.
func (m *mux) progressed(msg *jsonrpc.Message) {
	id, _ := number(msg.Field(jsonrpc.ProgressToken))
	m.mu.Lock()
	c := m.calls[id]
	_, late := m.abandoned[id]
	found := c != nil && c.progress != nil
	if found {
		c.life = time.Now()
		m.ahead(c, m.parcels.edit(msg, msg.Edit(jsonrpc.ProgressToken, c.progress)))
	}
	m.mu.Unlock()
	if !found && !late {
		m.stray(msg, "progress of a request that is not in flight")
	}
}

var (
	errSlow              = errors.New("the client reads too slowly")
	errSubscriptionEnded = errors.New("the server has ended the subscription")
)

// published hands what was subscribed to over to its subscription (2026-07-28, basic/patterns/subscriptions). Nothing of it
// may be left out, so the subscription of a client that is too slow ends.
func (m *mux) published(msg *jsonrpc.Message) {
	id, _ := number(msg.Field(jsonrpc.MetaSubscription))
	m.mu.Lock()
	c := m.calls[id]
	_, late := m.abandoned[id]
	found := c != nil && c.listen
	if found && !m.ahead(c, m.parcels.edit(msg, msg.Edit(jsonrpc.MetaSubscription, c.token))) {
		m.remove(c)
		m.abandon(c, "the client reads too slowly")
		c.end <- ending{err: &transport.Failure{Cause: transport.Overloaded, Err: errSlow}}
	}
	m.mu.Unlock()
	if !found && !late {
		m.stray(msg, "a notification of a subscription that there is not")
	}
}

// logged hands a log message of a modern server to the call that asked for it, if it can be no other's: over a pipe it
// does not say whose it is.
func (m *mux) logged(msg *jsonrpc.Message) {
	m.mu.Lock()
	c := m.only()
	found := !m.opt.Shared && msg.Method == "notifications/message" && c != nil && c.logs
	if found {
		m.ahead(c, m.parcels.edit(msg))
	}
	m.mu.Unlock()
	if !found {
		m.stray(msg, "a notification that belongs to no request")
	}
}

// remark hands on what a legacy server says to the one client, or the clients of one principal, that it has.
func (m *mux) remark(msg *jsonrpc.Message) {
	m.mu.Lock()
	c := m.only()
	if c != nil {
		m.ahead(c, m.parcels.edit(msg))
	}
	m.mu.Unlock()
	if c == nil {
		m.crowd.tell(msg)
	}
}

// only returns the one request that is in flight, nil if there are others or none. m.mu is held.
func (m *mux) only() *muxCall {
	var found *muxCall
	for _, c := range m.calls {
		if c.listen {
			continue
		}
		if found != nil || c.lane == nil {
			return nil
		}
		found = c
	}
	return found
}

// ahead puts a message before the answer of a call, and reports whether there was room. m.mu is held.
func (m *mux) ahead(c *muxCall, p *parcel) bool {
	if len(c.queue) >= mostAhead || c.weight+len(p.msg.Raw) > aheadBytes {
		m.parcels.give(p)
		return false
	}
	c.queue = append(c.queue, p)
	c.weight += len(p.msg.Raw)
	select {
	case c.ready <- struct{}{}:
	default:
	}
	return true
}

// number reads a token that we made.
func number(token []byte) (int64, bool) {
	id, ok := jsonrpc.ParseID(token)
	if !ok {
		return 0, false
	}
	return id.Key().Number()
}
