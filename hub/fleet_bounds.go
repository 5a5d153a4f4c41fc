package hub

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// A bell wakes everybody who waits for the next ring. The zero bell is ready; it is safe for concurrent use.
type bell struct {
	mu   sync.Mutex
	rung chan struct{} // closed at the next ring; nil: nobody waits; guarded by mu
}

// next returns a channel that is closed at the next ring. Who looks at what the bell is about takes it before.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}

// Slots bound what is under way at a time, of all and of each principal. They are safe for concurrent use.
type slots struct {
	total, share int
	freed        bell

	mu    sync.Mutex
	used  int            // guarded by mu
	users map[string]int // by principal; guarded by mu
}

func newSlots(total, share int) *slots {
	return &slots{total: total, share: share, users: make(map[string]int)}
}

// take takes a slot if there is one. Who has it gives it back.
func (s *slots) take(who string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used >= s.total || s.users[who] >= s.share {
		return false
	}
	s.used++
	s.users[who]++
	return true
}

// wait takes a slot, and waits for one until ctx ends.
func (s *slots) wait(ctx context.Context, who string) bool {
	for {
		freed := s.freed.next()
		if s.take(who) {
			return true
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return false
		}
	}
}

func (s *slots) give(who string) {
	s.mu.Lock()
	s.used--
	if s.users[who]--; s.users[who] <= 0 {
		delete(s.users, who)
	}
	s.mu.Unlock()
	s.freed.ring()
}

func (s *slots) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// A pace bounds how often each principal may do something, in windows of time. It is safe for concurrent use.
type pace struct {
	most int
	per  time.Duration

	mu    sync.Mutex
	since time.Time      // guarded by mu
	done  map[string]int // by principal; guarded by mu
}

// step counts one more and returns how many that makes in this window.
func (p *pace) step(who string, now time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil || now.Sub(p.since) >= p.per || now.Before(p.since) {
		p.since, p.done = now, make(map[string]int)
	}
	p.done[who]++
	return p.done[who]
}

// allow counts one more and reports whether that is not too many.
func (p *pace) allow(who string, now time.Time) bool { return p.step(who, now) <= p.most }

// A novelty bounds how many different things each principal may name, in windows of time. It is safe for concurrent use.
type novelty struct {
	most int
	per  time.Duration

	mu    sync.Mutex
	since time.Time                      // guarded by mu
	seed  maphash.Seed                   // guarded by mu
	named map[string]map[uint64]struct{} // hashes of what was named, by principal; guarded by mu
}

// allow reports whether a principal may name this: it did so before, or has not named too much.
func (n *novelty) allow(who, what string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.named == nil || now.Sub(n.since) >= n.per || now.Before(n.since) {
		n.since, n.seed, n.named = now, maphash.MakeSeed(), make(map[string]map[uint64]struct{})
	}
	own := n.named[who]
	if own == nil {
		own = make(map[uint64]struct{})
		n.named[who] = own
	}
	hash := maphash.String(n.seed, what)
	if _, known := own[hash]; known {
		return true
	}
	if len(own) >= n.most {
		return false
	}
	own[hash] = struct{}{}
	return true
}
