package hub

import (
	"context"
	"sync/atomic"
)

// A usage counts what is under way in something that is to be closed when nothing is any more. It is safe for concurrent use.
type usage struct {
	count atomic.Int64
	over  atomic.Bool
	quiet chan struct{} // has room for one: nothing is under way
}

func newUsage() *usage { return &usage{quiet: make(chan struct{}, 1)} }

// enter reports whether there is still entry. Who has entered leaves.
func (u *usage) enter() bool {
	u.count.Add(1)
	if u.over.Load() {
		u.leave()
		return false
	}
	return true
}

func (u *usage) leave() {
	if u.count.Add(-1) > 0 {
		return
	}
	select {
	case u.quiet <- struct{}{}:
	default:
	}
}

// finish ends the entry and waits until everybody has left, or ctx ends.
func (u *usage) finish(ctx context.Context) {
	u.over.Store(true)
	for u.count.Load() > 0 {
		select {
		case <-u.quiet:
		case <-ctx.Done():
			return
		}
	}
}
