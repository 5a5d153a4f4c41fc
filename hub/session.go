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
	mu   sync.Mutex
	byID map[string]*session // guarded by mu
}

func newSessions() *sessions { return &sessions{byID: make(map[string]*session)} }

func newSessionID() string { return rand.Text() } // 130 bits, letters and digits

func (t *sessions) add(s *session) error {
	s.used.Store(time.Now().Unix())
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.byID) >= maxSessions {
		return errTooManySessions
	}
	t.byID[s.id] = s
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
	delete(t.byID, s.id)
	t.mu.Unlock()
	if open {
		_ = s.link.Close() // the server may be gone
	}
	return open
}

// endWhere closes the sessions that a function picks, a few at a time: each is told to its server.
func (t *sessions) endWhere(pick func(*session) bool) {
	t.mu.Lock()
	var picked []*session
	for _, s := range t.byID {
		if pick(s) {
			picked = append(picked, s)
		}
	}
	t.mu.Unlock()
	var all sync.WaitGroup
	slots := make(chan struct{}, 16)
	for _, s := range picked {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			t.end(s)
		})
	}
	all.Wait()
}

// each calls do for every session.
func (t *sessions) each(do func(*session)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.byID {
		do(s)
	}
}
