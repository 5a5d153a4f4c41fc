package hub

import (
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport"
)

const (
	// maxSessions bounds the legacy sessions of all clients together.
	maxSessions = 100_000
	// maxShare bounds those of one known principal, so that none can take all.
	maxShare = maxSessions / 4
	// sessionIdle is how long a session without a request or an open stream is kept.
	sessionIdle = time.Hour
)

var errTooManySessions = errors.New("too many sessions are open")

// A session is a legacy client's (Streamable HTTP up to 2025-11-25, "Session Management"). Its id is ours; that of the server's session
// never leaves the gateway. It belongs to the principal that opened it: to any other it does not exist.
type session struct {
	id        string
	server    string
	principal string
	guard     *policy.Guard
	link      *transport.Link
	backend   *backend
	used      atomic.Int64 // Unix seconds of the last request
	streams   atomic.Int32 // requests and streams under way
}

// enter and leave bracket a request of the session.
func (s *session) enter() { s.streams.Add(1) }

func (s *session) leave() {
	s.used.Store(time.Now().Unix())
	s.streams.Add(-1)
}

func (s *session) idle(now time.Time) bool {
	return s.streams.Load() == 0 && now.Unix()-s.used.Load() > int64(sessionIdle/time.Second)
}

// sessions are those that are open. They are safe for concurrent use.
type sessions struct {
	mu     sync.Mutex
	byID   map[string]*session // guarded by mu
	shares map[string]int      // how many of them are each principal's; guarded by mu
}

func newSessions() *sessions {
	return &sessions{byID: make(map[string]*session), shares: make(map[string]int)}
}

func newSessionID() string { return rand.Text() } // 130 bits, letters and digits

func (t *sessions) add(s *session) error {
	s.used.Store(time.Now().Unix())
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.byID) >= maxSessions || s.principal != "" && t.shares[s.principal] >= maxShare {
		return errTooManySessions
	}
	t.byID[s.id] = s
	t.shares[s.principal]++
	return nil
}

// find returns the session of that id if it belongs to the principal and the server.
func (t *sessions) find(id, server, principal string) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byID[id]
	if s == nil || s.server != server || s.principal != principal {
		return nil
	}
	return s
}

func (t *sessions) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID)
}

// end closes a session; it reports whether it was open.
func (t *sessions) end(s *session) bool {
	t.mu.Lock()
	open := t.byID[s.id] == s
	if open {
		t.remove(s)
	}
	t.mu.Unlock()
	if open {
		_ = s.link.Close() // the server may be gone
	}
	return open
}

// endWhere closes the sessions that a function picks, a few at a time: each is told to its server.
func (t *sessions) endWhere(pick func(*session) bool) { endAll(t.take(pick)) }

// take takes the sessions out that a function picks: clients find them no more, and what is under way in them goes on.
func (t *sessions) take(pick func(*session) bool) []*session {
	t.mu.Lock()
	defer t.mu.Unlock()
	var picked []*session
	for _, s := range t.byID {
		if pick(s) {
			t.remove(s)
			picked = append(picked, s)
		}
	}
	return picked
}

// remove is called with the lock held.
func (t *sessions) remove(s *session) {
	delete(t.byID, s.id)
	if t.shares[s.principal]--; t.shares[s.principal] <= 0 {
		delete(t.shares, s.principal)
	}
}

// endAll closes sessions that were taken out.
func endAll(all []*session) {
	var closing sync.WaitGroup
	slots := make(chan struct{}, 16)
	for _, s := range all {
		slots <- struct{}{}
		closing.Go(func() {
			defer func() { <-slots }()
			_ = s.link.Close() // the server may be gone
		})
	}
	closing.Wait()
}

// each calls do for every session.
func (t *sessions) each(do func(*session)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.byID {
		do(s)
	}
}
