package hub

import (
	"time"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// tell is [transport.Upstream]'s Send for the client of a lane: it passes on what is for the server, and leaves out what
// speaks of other clients' requests, or is said once for all clients.
func (m *mux) tell(l *lane, msg *jsonrpc.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cause != nil {
		return unreachable(m.cause)
	}
	switch msg.Kind {
	case jsonrpc.Result, jsonrpc.Error:
		if !m.reacts(l, msg) {
			return nil
		}
	case jsonrpc.Notification:
		switch msg.Method {
		case "notifications/cancelled":
			m.cancel(l, msg)
			return nil
		case "notifications/initialized": // said after the one handshake, see keeper
			return nil
		case "notifications/roots/list_changed":
			if m.opt.Shared { // whose no server was told that there are
				return nil
			}
		case "notifications/progress":
			if !m.asksOf(l) {
				return nil
			}
		}
	default:
		return nil
	}
	if m.queued > mostQueued {
		return errFull
	}
	m.push(cargo{parcel: m.parcels.edit(msg)})
	return nil
}

// reacts reports whether an answer is one of that client to a question of the server. The server may go on then with what
// waited for it. m.mu is held.
func (m *mux) reacts(l *lane, answer *jsonrpc.Message) bool {
	key := answer.ID.Key()
	if q, known := m.asked[key]; !known || q.of != l {
		return false
	}
	delete(m.asked, key)
	now := time.Now()
	for _, c := range m.calls {
		if c.lane == l {
			c.life = now
		}
	}
	return true
}

// asksOf reports whether the server waits for an answer of that client. m.mu is held.
func (m *mux) asksOf(l *lane) bool {
	for _, q := range m.asked {
		if q.of == l {
			return true
		}
	}
	return false
}

// cancel tells the server, under its own id, that a client has given up a request of its own. The call ends at once: a
// server does not answer what was cancelled. m.mu is held.
func (m *mux) cancel(l *lane, msg *jsonrpc.Message) {
	id, ok := jsonrpc.ParseID(msg.Field(jsonrpc.RequestID))
	if !ok {
		return
	}
	key := id.Key()
	for _, c := range m.calls {
		if c.lane != l || c.opening || keyOf(c.token) != key {
			continue
		}
		m.remove(c)
		if !m.unqueue(c) {
			m.forget(c.id)
			m.push(cargo{parcel: m.parcels.edit(msg, msg.Edit(jsonrpc.RequestID, c.digits))})
		}
		c.end <- ending{err: errCancelled}
		return
	}
}

func keyOf(token []byte) jsonrpc.Key {
	id, _ := jsonrpc.ParseID(token)
	return id.Key()
}

// drop ends what is under way for a client that has gone.
func (m *mux) drop(l *lane) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.calls {
		if c.lane == l {
			m.remove(c)
			m.abandon(c, "the client has gone")
			c.end <- ending{err: errGone}
		}
	}
	for key, q := range m.asked {
		if q.of == l {
			delete(m.asked, key)
			m.push(cargo{parcel: own(jsonrpc.NewError(q.id, jsonrpc.InternalError, "the client has gone", nil))})
		}
	}
	for _, uri := range m.crowd.leave(l) {
		m.request("resources/unsubscribe", uri)
	}
}

// post queues a message of our own.
func (m *mux) post(msg *jsonrpc.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cause == nil {
		m.push(cargo{parcel: own(msg)})
	}
}
