package audit

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A hub that wants to rest is left alone for so long after each round, in which every chain has its turn, and gets all in the end.
func TestHubThatRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(t)
		dead := openLog(t, opts)
		appendEvents(t, dead, "of the dead")
		abandonAll(t, dead)
		h := newFakeHub(t)
		l := openLog(t, opts)
		k := l.Link(LinkInfo{})
		for range 3*maxBatchEvents + 1 {
			k.Append(&Event{Kind: Decision})
		}
		commit(t, l)
		h.before = func(Batch) error { <-time.After(time.Second); return nil }
		var busy atomic.Bool
		busy.Store(true)
		_, stop := forward(t, l, LocalHub, ForwardOptions{Send: h.send, OnError: opts.OnError, Rest: func(took time.Duration) time.Duration {
			if took != time.Second {
				t.Errorf("a batch is said to have taken %s", took)
			}
			if busy.Load() {
				return 9 * time.Second
			}
			return 0
		}})
		pass(10 * time.Second)
		if batches, chains := h.taken(); batches != 2 || chains != 2 {
			t.Fatalf("%d batches of %d chains in the first round, want one of each of 2", batches, chains)
		}
		pass(5 * time.Second) // it owes the time of both
		if batches, _ := h.taken(); batches != 2 {
			t.Errorf("%d batches while the hub rests", batches)
		}
		pass(8 * time.Second)
		if batches, _ := h.taken(); batches < 3 {
			t.Error("nothing comes after the rest")
		}
		busy.Store(false)
		pass(15 * time.Second)
		stop()
		wantSent(t, opts, h)
	})
}

// A rest is no reason to ask earlier than a hub in trouble has said.
func TestRestDoesNotShortenAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(t)
		for _, name := range []string{"one", "two"} {
			dead := openLog(t, opts)
			appendEvents(t, dead, name)
			abandonAll(t, dead)
		}
		h := newFakeHub(t)
		l := openLog(t, opts)
		h.before = func(Batch) error {
			if h.batches == 2 {
				return &hubError{after: time.Minute}
			}
			return nil
		}
		_, stop := forward(t, l, LocalHub, ForwardOptions{Send: h.send, Rest: func(time.Duration) time.Duration { return time.Second }})
		pass(50 * time.Second)
		if batches, _ := h.taken(); batches != 2 {
			t.Errorf("%d batches within the minute that the hub asked for after the second", batches)
		}
		pass(time.Minute)
		stop()
		wantSent(t, opts, h)
	})
}

// Before anything might be dropped nobody is asked for patience.
func TestNoRestWhereMuchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(t)
		opts.MaxPending = 512 << 10
		h := newFakeHub(t)
		l := openLog(t, opts)
		k := l.Link(LinkInfo{})
		for range 3000 {
			k.Append(&Event{Kind: Decision, Method: "tools/call", Target: []byte("read_text_file"), Decision: "allow"})
		}
		commit(t, l)
		o, stop := forward(t, l, LocalHub, ForwardOptions{Send: h.send, OnError: opts.OnError, Rest: func(time.Duration) time.Duration { return time.Hour }})
		pass(time.Second)
		if left, most := o.Pending(), uint64(1000); left == 0 || left > most {
			t.Errorf("%d events wait, want some and at most %d", left, most)
		}
		pass(time.Hour)
		stop()
		wantSent(t, opts, h)
	})
}

func (h *fakeHub) taken() (batches, chains int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.batches, len(h.chains)
}
