package hub

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"sync"
	"time"
)

// How long somebody is let in, and how many are.
const (
	codeLife         = time.Minute
	maxCodes         = 100 // that nobody has used yet
	adminIdle        = 12 * time.Hour
	adminLife        = 7 * 24 * time.Hour
	maxAdminSessions = 1000 // sessions
)

// newSecret returns 32 random bytes as text, and the hash that is kept of it.
func newSecret() (secret string, hash [sha256.Size]byte) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails, as its documentation says
	secret = base64.RawURLEncoding.EncodeToString(random[:])
	return secret, sha256.Sum256([]byte(secret))
}

// Codes are what logs somebody in once, within codeLife. They are safe for concurrent use.
type codes struct {
	mu   sync.Mutex
	open []code // the oldest first; guarded by mu
}

type code struct {
	hash   [sha256.Size]byte
	caller *caller
	until  time.Time
}

// create makes a code for a caller. Of too many the oldest is forgotten.
func (c *codes) create(who *caller, now time.Time) (text string, until time.Time) {
	text, hash := newSecret()
	until = now.Add(codeLife)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = slices.DeleteFunc(c.open, func(o code) bool { return !now.Before(o.until) })
	if len(c.open) >= maxCodes {
		c.open = slices.Delete(c.open, 0, 1)
	}
	c.open = append(c.open, code{hash, who, until})
	return text, until
}

// redeem returns whom a code is for, nil if it is not valid, and makes it invalid.
func (c *codes) redeem(text string, now time.Time) *caller {
	hash := sha256.Sum256([]byte(text))
	c.mu.Lock()
	defer c.mu.Unlock()
	found := -1
	for i := range c.open {
		if subtle.ConstantTimeCompare(c.open[i].hash[:], hash[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return nil
	}
	o := c.open[found]
	c.open = slices.Delete(c.open, found, found+1)
	if !now.Before(o.until) {
		return nil
	}
	return o.caller
}

// An adminSession is somebody who has logged in, on one browser.
type adminSession struct {
	caller *caller
	hash   [sha256.Size]byte
	began  time.Time
	over   chan struct{} // closed when it has ended
	used   time.Time     // guarded by adminSessions.mu
}

func (x *adminSession) expired(now time.Time) bool {
	return now.Sub(x.used) >= adminIdle || now.Sub(x.began) >= adminLife
}

// adminSessions are all of them. They live as long as the hub runs, and are found by the hash of their id, of which nobody who
// measures time learns the id. They are safe for concurrent use.
type adminSessions struct {
	mu   *sync.Mutex
	open map[[sha256.Size]byte]*adminSession // guarded by mu
}

func newAdminSessions() adminSessions {
	return adminSessions{mu: new(sync.Mutex), open: make(map[[sha256.Size]byte]*adminSession)}
}

// begin makes a session and returns its id. Of too many the one ends that was used the longest ago.
func (s *adminSessions) begin(who *caller, now time.Time) (id string, x *adminSession) {
	id, hash := newSecret()
	x = &adminSession{caller: who, hash: hash, began: now, used: now, over: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.open {
		if o.expired(now) {
			s.remove(o)
		}
	}
	if len(s.open) >= maxAdminSessions {
		var idle *adminSession
		for _, o := range s.open {
			if idle == nil || o.used.Before(idle.used) {
				idle = o
			}
		}
		s.remove(idle)
	}
	s.open[hash] = x
	return id, x
}

// find returns the session of an id, nil if there is none any more.
func (s *adminSessions) find(id string, now time.Time) *adminSession {
	hash := sha256.Sum256([]byte(id))
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.open[hash]
	if x == nil || !s.touch(x, now) {
		return nil
	}
	return x
}

// use notes that a session is in use and reports whether it has not ended.
func (s *adminSessions) use(x *adminSession, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[x.hash] == x && s.touch(x, now)
}

// touch is called with the lock held.
func (s *adminSessions) touch(x *adminSession, now time.Time) bool {
	if x.expired(now) {
		s.remove(x)
		return false
	}
	x.used = now
	return true
}

// end ends a session, if it has not ended.
func (s *adminSessions) end(x *adminSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(x)
}

// remove is called with the lock held.
func (s *adminSessions) remove(x *adminSession) {
	if s.open[x.hash] == x {
		delete(s.open, x.hash)
		close(x.over)
	}
}
