package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const teamHub = "https://hub.example.com"

// A fakeHub takes batches as a hub does: in order, each event once.
type fakeHub struct {
	t testing.TB

	mu      sync.Mutex
	chains  map[string][]*Record
	hashes  map[string][32]byte // of the last line
	gaps    int
	batches int
	again   int                      // events that it had already
	before  func(Batch) error        // asked first
	after   func(uint64) uint64      // what it acknowledges in place of what it has
	took    func(chain string) error // asked at the end
}

func newFakeHub(t testing.TB) *fakeHub {
	return &fakeHub{t: t, chains: map[string][]*Record{}, hashes: map[string][32]byte{}}
}

// A hubError is what a Sender may return.
type hubError struct {
	permanent bool
	after     time.Duration
}

func (e *hubError) Error() string             { return fmt.Sprintf("hub error %+v", *e) }
func (e *hubError) Permanent() bool           { return e.permanent }
func (e *hubError) RetryAfter() time.Duration { return e.after }

type behindError uint64

func (e behindError) Error() string     { return "behind" }
func (e behindError) AckedUpTo() uint64 { return uint64(e) }

func (h *fakeHub) last(chain string) uint64 {
	if have := h.chains[chain]; len(have) > 0 {
		return have[len(have)-1].Seq
	}
	return 0
}

func (h *fakeHub) send(_ context.Context, b Batch) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.batches++
	if h.before != nil {
		if err := h.before(b); err != nil {
			return 0, err
		}
	}
	if !validChain(b.Chain) || !bytes.HasSuffix(b.Lines, []byte("\n")) || len(b.Lines) > maxLine+1 {
		h.t.Errorf("chain %q, %d bytes", b.Chain, len(b.Lines))
	}
	if last := h.last(b.Chain); b.First > last+1 {
		if !b.Gap {
			return 0, behindError(last)
		}
		h.gaps++
	}
	seq, n := b.First, 0
	for line := range bytes.Lines(b.Lines) {
		line = bytes.Clone(bytes.TrimSuffix(line, []byte("\n")))
		r, err := Parse(line)
		if err != nil || r.Seq != seq {
			h.t.Errorf("seq %d: got %+v, %v", seq, r, err)
			return 0, &hubError{permanent: true}
		}
		if seq > h.last(b.Chain) {
			if sum := h.hashes[b.Chain]; !b.Gap && r.Prev != fmt.Sprintf("%x", sum) {
				h.t.Errorf("chain %s: event %d does not continue the one before", b.Chain, seq)
			}
			h.chains[b.Chain] = append(h.chains[b.Chain], r)
			h.hashes[b.Chain] = Sum(line)
		} else {
			h.again++
		}
		seq, n = seq+1, n+1
	}
	if n != b.Events || seq != b.Last+1 {
		h.t.Errorf("batch of %d to %d with %d events holds %d to %d", b.First, b.Last, b.Events, b.First, seq-1)
	}
	acked := h.last(b.Chain)
	if h.after != nil {
		acked = h.after(acked)
	}
	if h.took != nil {
		return acked, h.took(b.Chain)
	}
	return acked, nil
}

func (h *fakeHub) events() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, have := range h.chains {
		n += len(have)
	}
	return n
}

func (h *fakeHub) targets() (targets []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, have := range h.chains {
		for _, r := range have {
			if r.Kind == Decision {
				targets = append(targets, r.Target)
			}
		}
	}
	slices.Sort(targets)
	return targets
}

// forward starts an outbox of l and returns a function that ends it and waits until it has ended.
func forward(t testing.TB, l *Log, hub string, opt ForwardOptions) (o *Outbox, stop func()) {
	t.Helper()
	o, err := l.Outbox(hub)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.Forward(ctx, opt) }()
	return o, sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-done, o.Close()); err != nil {
			t.Error(err)
		}
	})
}

// wantSent compares what the hub has with what is in the log.
func wantSent(t testing.TB, opts Options, h *fakeHub) {
	t.Helper()
	res := wantIntact(t, opts, -1)
	if got := h.events(); got != res.Events || got == 0 {
		t.Errorf("the hub has %d events, the log %d", got, res.Events)
	}
	if h.gaps > 0 {
		t.Errorf("%d gaps were declared", h.gaps)
	}
}

// pass lets time pass in a bubble, and what it set off be done.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
