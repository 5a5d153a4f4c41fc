package hub

import (
	"context"
	"sync"
	"time"
)

// A memo keeps answers that many ask for, for a moment: one asks the store, and the others wait for what it gets. It is safe for
// concurrent use.
type memo[K comparable, V any] struct {
	keep     time.Duration // how old an answer may be
	patience time.Duration // for making one, whoever waits

	mu      sync.Mutex
	answers map[K]*memoAnswer[V] // guarded by mu
}

// maxMemo is how many answers a memo keeps.
const maxMemo = 64

type memoAnswer[V any] struct {
	done  chan struct{} // closed once the rest is set
	at    time.Time
	value V
	err   error
}

// old reports whether an answer is there, and is not to be given any more.
func (a *memoAnswer[V]) old(now time.Time, keep time.Duration) bool {
	select {
	case <-a.done:
		return a.err != nil || now.Sub(a.at) >= keep
	default:
		return false
	}
}

// get returns the answer for a key. ask makes it; it outlives who asked first, as others may wait for it.
func (m *memo[K, V]) get(ctx context.Context, key K, ask func(context.Context) (V, error)) (V, error) {
	m.mu.Lock()
	a, known := m.answers[key]
	if known && a.old(time.Now(), m.keep) {
		known = false
	}
	if !known {
		if m.answers == nil || len(m.answers) >= maxMemo {
			m.answers = make(map[K]*memoAnswer[V])
		}
		a = &memoAnswer[V]{done: make(chan struct{})}
		m.answers[key] = a
	}
	m.mu.Unlock()
	if !known {
		work, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.patience)
		defer cancel()
		defer close(a.done)
		a.value, a.err = ask(work)
		a.at = time.Now()
		return a.value, a.err
	}
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

// forget has the next who asks get a new answer.
func (m *memo[K, V]) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers = nil
}
