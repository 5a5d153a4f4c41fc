package hub

import (
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	mostAsked   = 64      // requests of one server that clients have to answer
	mostReplies = 1 << 10 // messages that wait for a server which asks and does not read
)

// A question is a request of the server that was handed to a client.
type question struct {
	of *lane
	id jsonrpc.ID
}

// asks deals with a request of the server. It is handed to a client only where it can be no other's; its id stays as it
// is, since one server gives no id twice.
func (m *mux) asks(msg *jsonrpc.Message) {
	switch {
	case m.opt.Modern: // must not be, and must not be answered: servers of that revision make no requests
		m.stray(msg, "a request of a server that makes none")
	case msg.Method == "ping":
		m.reply(jsonrpc.NewResult(msg.ID, []byte(`{}`)))
	case m.opt.Shared || !m.ask(msg):
		if m.opt.Refused != nil {
			m.opt.Refused(msg.Method)
		}
		m.reply(jsonrpc.NewError(msg.ID, jsonrpc.MethodNotFound, "there is no client that could be asked", nil))
	}
}

// ask hands a request to the client that it must be for, and reports whether there is one. With one call in flight that
// is its client. With several of one client, or none and one client at all, it is that one. Nothing is guessed.
func (m *mux) ask(msg *jsonrpc.Message) bool {
	key := msg.ID.Key()
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, twice := m.asked[key]; twice || len(m.asked) >= mostAsked {
		return false
	}
	call, to := m.busy()
	switch {
	case call == nil && to == nil && len(m.calls) > 0:
		return false
	case call != nil && (len(m.calls) == 1 || !m.crowd.listens(to)):
		if !m.ahead(call, m.parcels.edit(msg)) {
			return false
		}
		m.asked[key] = question{to, msg.ID.Clone()}
		return true
	case to == nil:
		if to = m.crowd.sole(); to == nil {
			return false
		}
	}
	if !m.crowd.post(to, msg) {
		return false
	}
	m.asked[key] = question{to, msg.ID.Clone()}
	return true
}

// busy returns the client whose calls are all that is in flight, and the latest of them; nil if there is no such one.
// m.mu is held.
func (m *mux) busy() (latest *muxCall, of *lane) {
	for _, c := range m.calls {
		if c.lane == nil {
			continue
		}
		if of != nil && c.lane != of {
			return nil, nil
		}
		of = c.lane
		if latest == nil || c.id > latest.id {
			latest = c
		}
	}
	return latest, of
}

// withdrawn ends what the server has given up: a request to a client, or a subscription.
func (m *mux) withdrawn(msg *jsonrpc.Message) {
	id, ok := jsonrpc.ParseID(msg.Field(jsonrpc.RequestID))
	if !ok {
		return
	}
	key := id.Key()
	n, _ := key.Number()
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.calls[n]; m.opt.Modern && c != nil && c.listen {
		m.remove(c)
		m.forget(n) // its result may come behind
		c.end <- ending{err: unreachable(errSubscriptionEnded)}
		return
	}
	q, known := m.asked[key]
	if !known {
		return
	}
	delete(m.asked, key)
	if m.crowd.listens(q.of) {
		m.crowd.post(q.of, msg)
	} else if c, of := m.busy(); of == q.of {
		m.ahead(c, m.parcels.edit(msg))
	}
}

// reply answers the server itself.
func (m *mux) reply(answer *jsonrpc.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cause == nil && len(m.queue) < mostReplies {
		m.push(cargo{parcel: own(answer)})
	}
}
