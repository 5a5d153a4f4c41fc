package hub

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	mostUnread        = 256     // messages that may wait for one stream
	unreadBytes       = 4 << 20 // and their size
	mostSubscriptions = 1024    // resources of one client
)

// An audience is who may be told what a server says unasked: the legacy sessions of one keeper. It outlives the server,
// which may be started again meanwhile.
type audience struct {
	mu       sync.Mutex
	sessions map[*lane]*seat
	wanted   map[string]map[*lane]struct{} // resources, and who is subscribed to them
}

// A seat is what an audience knows of a session. The audience's mutex guards it.
type seat struct {
	stream    *stream
	unread    []*jsonrpc.Message // for the next stream
	resources map[string]struct{}
}

// A stream is one Listen of a session.
type stream struct {
	unread []*jsonrpc.Message // guarded by the audience's mutex, as all below
	size   int
	end    error // why it is over; nil: it is not
	over   bool
	ready  chan struct{} // has room for one: something of the above has changed
}

func newAudience() *audience {
	return &audience{sessions: make(map[*lane]*seat), wanted: make(map[string]map[*lane]struct{})}
}

func (a *audience) join(l *lane) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions[l] = &seat{resources: make(map[string]struct{})}
}

// leave forgets a session and returns the resources that nobody is subscribed to any more.
func (a *audience) leave(l *lane) (unwanted []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[l]
	if s == nil {
		return nil
	}
	delete(a.sessions, l)
	s.stream.close(nil)
	for uri := range s.resources {
		delete(a.wanted[uri], l)
		if len(a.wanted[uri]) == 0 {
			delete(a.wanted, uri)
			unwanted = append(unwanted, uri)
		}
	}
	return unwanted
}

// listen is [transport.Upstream]'s Listen. A session has one stream: a new one ends the old, as a client opens it that
// knows that the old one is broken.
func (a *audience) listen(ctx context.Context, l *lane, yield transport.Yield) error {
	s := &stream{ready: make(chan struct{}, 1)}
	if !a.open(l, s) {
		return &transport.Failure{Cause: transport.SessionGone}
	}
	defer a.shut(l, s)
	if err := yield(transport.Arrival{}); err != nil { // the stream is open
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ready:
		}
		msgs, over, err := a.collect(s)
		for _, msg := range msgs {
			if err := yield(transport.Arrival{Message: msg}); err != nil {
				return err
			}
		}
		if over {
			return err
		}
	}
}

func (a *audience) open(l *lane, s *stream) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	seat := a.sessions[l]
	if seat == nil {
		return false
	}
	seat.stream.close(nil)
	seat.stream = s
	for _, msg := range seat.unread {
		s.put(msg)
	}
	seat.unread = nil
	return true
}

func (a *audience) shut(l *lane, s *stream) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.close(nil)
	if seat := a.sessions[l]; seat != nil && seat.stream == s {
		seat.stream = nil
		seat.unread = s.unread // what came while the client went, and was not handed over
	}
}

func (a *audience) collect(s *stream) (msgs []*jsonrpc.Message, over bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	msgs, s.unread, s.size = s.unread, nil, 0
	return msgs, s.over, s.end
}

// end ends all streams: the server is served no more.
func (a *audience) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, seat := range a.sessions {
		seat.stream.close(nil)
	}
}

// tell hands a message to every stream.
func (a *audience) tell(m *jsonrpc.Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var copied *jsonrpc.Message
	for _, seat := range a.sessions {
		if seat.stream != nil {
			if copied == nil {
				copied = m.Clone()
			}
			seat.stream.put(copied)
		}
	}
}

// tellSubscribers hands a message to the streams of those who are subscribed to a resource.
func (a *audience) tellSubscribers(uri string, m *jsonrpc.Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var copied *jsonrpc.Message
	for l := range a.wanted[uri] {
		if seat := a.sessions[l]; seat.stream != nil {
			if copied == nil {
				copied = m.Clone()
			}
			seat.stream.put(copied)
		}
	}
}

// listens reports whether the session has a stream.
func (a *audience) listens(l *lane) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	seat := a.sessions[l]
	return seat != nil && seat.stream != nil
}

// sole returns the one session that there is, nil if there are more or none.
func (a *audience) sole() *lane {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.sessions) != 1 {
		return nil
	}
	for l := range a.sessions {
		return l
	}
	return nil
}

// post hands a message to the stream of a session, or keeps it until there is one. It reports whether there was room.
func (a *audience) post(l *lane, m *jsonrpc.Message) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	seat := a.sessions[l]
	switch {
	case seat == nil:
		return false
	case seat.stream != nil:
		return seat.stream.put(m.Clone())
	case len(seat.unread) >= mostAsked:
		return false
	}
	seat.unread = append(seat.unread, m.Clone())
	return true
}

// put queues a message for the client, which is shared by all whom it goes to. A stream whose client does not keep up
// ends: it may come back and ask for what it missed. The audience's mutex is held.
func (s *stream) put(m *jsonrpc.Message) bool {
	if s.over {
		return false
	}
	if len(s.unread) >= mostUnread || s.size+len(m.Raw) > unreadBytes {
		s.close(&transport.Failure{Cause: transport.Overloaded, Err: errSlow})
		return false
	}
	s.unread = append(s.unread, m)
	s.size += len(m.Raw)
	s.wake()
	return true
}

func (s *stream) close(err error) {
	if s == nil || s.over {
		return
	}
	s.over, s.end = true, err
	s.wake()
}

func (s *stream) wake() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// subscribe notes that a session wants to know of a resource, and reports whether it may.
func (a *audience) subscribe(l *lane, uri string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	seat := a.sessions[l]
	if seat == nil { // a single request is answered by the server and has nobody to tell later
		return true
	}
	if _, already := seat.resources[uri]; !already && len(seat.resources) >= mostSubscriptions {
		return false
	}
	seat.resources[uri] = struct{}{}
	if a.wanted[uri] == nil {
		a.wanted[uri] = make(map[*lane]struct{})
	}
	a.wanted[uri][l] = struct{}{}
	return true
}

// unsubscribe takes that back, and reports whether nobody else wants to know of the resource.
func (a *audience) unsubscribe(l *lane, uri string) (unwanted bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if seat := a.sessions[l]; seat != nil {
		delete(seat.resources, uri)
	}
	delete(a.wanted[uri], l)
	if len(a.wanted[uri]) > 0 {
		return false
	}
	delete(a.wanted, uri)
	return true
}

// resources returns all that anyone is subscribed to.
func (a *audience) resources() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.wanted))
}
