package wrap

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// The waits between attempts to reach a hub.
const (
	firstWait = 500 * time.Millisecond
	maxWait   = 30 * time.Second
)

// A backoff says how long to wait after each of a series of failures: twice as long each time, less up to a half, so that
// many wrappers do not come back at once.
type backoff struct{ last time.Duration }

// next is the wait after err, which may ask for more (uplink.StatusError does).
func (b *backoff) next(err error) time.Duration {
	b.last = min(max(2*b.last, firstWait), maxWait)
	wait := b.last/2 + rand.N(b.last/2) //nolint:gosec // nothing secret
	var asks interface{ RetryAfter() time.Duration }
	if errors.As(err, &asks) {
		wait = max(wait, min(asks.RetryAfter(), 2*maxWait))
	}
	return wait
}

func (b *backoff) reset() { b.last = 0 }

// pause waits, and reports whether ctx has not ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
