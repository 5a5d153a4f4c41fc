package hub

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The store rests while there are many requests, in proportion to its work, and at once no more when there are few.
func TestTheStoreGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var served atomic.Uint64
		rest := givesWay(&served)
		for _, step := range []struct {
			requests   uint64 // in a second
			took, want time.Duration
		}{
			{0, 20 * time.Millisecond, 0},
			{busyRate - 1, 20 * time.Millisecond, 0},
			{busyRate, 20 * time.Millisecond, 180 * time.Millisecond},
			{50 * busyRate, time.Minute, mostRest},
			{10, time.Minute, 0},
		} {
			<-time.After(time.Second)
			served.Add(step.requests)
			if got := rest(step.took); got != step.want {
				t.Errorf("%d requests in a second, a batch of %s: it rests for %s, not %s", step.requests, step.took, got, step.want)
			}
		}
	})
}
