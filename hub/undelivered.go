package hub

import (
	"sync"
	"time"
)

const (
	// bigWrite is the size, in bytes, from which a write is counted: of smaller ones the system takes most at once.
	bigWrite = 64 << 10
	// mostUndelivered bounds what clients have not taken yet, in bytes.
	mostUndelivered = 256 << 20
	// slowAfter is how long a client may take for one write while there is more than that.
	slowAfter = 2 * time.Second
)

// undelivered is what servers have answered and clients have not taken yet: it lies in memory for as long as they like, up to the
// patience that each of them is given. Where that becomes too much, those who are slow are cut off: first of the principal
// that has most. It is safe for concurrent use.
type undelivered struct {
	most int // bytes

	mu     sync.Mutex
	writes map[*bigDelivery]struct{} // guarded by mu
	bytes  int                       // of them; guarded by mu
	timer  *time.Timer               // until somebody counts as slow; nil: none is set; guarded by mu
}

// A bigDelivery is one write that is under way.
type bigDelivery struct {
	principal string
	size      int
	began     time.Time
	cut       func() // makes the write fail; it may be called beside it
}

func newUndelivered() *undelivered {
	return &undelivered{most: mostUndelivered, writes: make(map[*bigDelivery]struct{})}
}

// during runs a write of that size.
func (u *undelivered) during(principal string, size int, cut func(), write func() (int, error)) (int, error) {
	w := &bigDelivery{principal, size, time.Now(), cut}
	u.mu.Lock()
	u.writes[w] = struct{}{}
	u.bytes += size
	u.relieve()
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.remove(w)
	}()
	return write()
}

// remove is called with the lock held.
func (u *undelivered) remove(w *bigDelivery) {
	if _, there := u.writes[w]; there {
		delete(u.writes, w)
		u.bytes -= w.size
	}
}

// relieve cuts off who is slow until there is little enough, or looks again when somebody is. It is called with the lock held.
func (u *undelivered) relieve() {
	for u.bytes > u.most {
		w := u.slowest(time.Now().Add(-slowAfter))
		if w == nil {
			u.lookAgain()
			return
		}
		w.cut()
		u.remove(w)
	}
}

// slowest returns the longest of the principal that has most, among the writes that began before then; nil: none. It is called
// with the lock held.
func (u *undelivered) slowest(before time.Time) (slowest *bigDelivery) {
	shares := make(map[string]int)
	for w := range u.writes {
		if !w.began.After(before) {
			shares[w.principal] += w.size
		}
	}
	for w := range u.writes {
		switch {
		case w.began.After(before):
		case slowest == nil, shares[w.principal] > shares[slowest.principal],
			shares[w.principal] == shares[slowest.principal] && w.began.Before(slowest.began):
			slowest = w
		}
	}
	return slowest
}

// lookAgain is called with the lock held.
func (u *undelivered) lookAgain() {
	if u.timer != nil {
		return
	}
	u.timer = time.AfterFunc(slowAfter, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.timer = nil
		u.relieve()
	})
}
