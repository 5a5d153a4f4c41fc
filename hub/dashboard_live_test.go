package hub

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rohitgs28/mcpx/hub/dashboard"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// A feed is a store to which events come.
type feed struct {
	polls  atomic.Int64
	broken atomic.Bool

	mu   sync.Mutex
	last int64 // guarded by mu
}

func (f *feed) add(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last += n
}

func (f *feed) arrived(_ context.Context, after int64, limit int) (events []store.Event, last int64, err error) {
	f.polls.Add(1)
	if f.broken.Load() {
		return nil, 0, errors.New("the store is busy")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := f.last; id > after && len(events) < limit; id-- {
		events = append(events, store.Event{Record: &audit.Record{Seq: uint64(id)}})
	}
	return events, f.last, nil
}

// watchLive runs a live over a feed in a bubble of time.
func watchLive(t *testing.T, f *feed, test func(t *testing.T, l *live)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newLive(f.arrived, func(context.Context) (int, int64, error) { f.mu.Lock(); defer f.mu.Unlock(); return 3, f.last, nil })
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { l.run(ctx) })
		test(t, l)
		cancel()
		running.Wait()
	})
}

// A watcher notes what it is told.
type watcher struct {
	mu    sync.Mutex
	ticks []dashboard.Tick // guarded by mu
	leave context.CancelFunc
	left  chan struct{}
}

func (l *live) newWatcher(t *testing.T) *watcher {
	ctx, cancel := context.WithCancel(t.Context())
	w := &watcher{leave: cancel, left: make(chan struct{})}
	go func() {
		defer close(w.left)
		_ = l.watch(ctx, func(tick dashboard.Tick) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.ticks = append(w.ticks, tick)
			return nil
		})
	}()
	return w
}

func (w *watcher) told() []dashboard.Tick {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.ticks)
}

func (w *watcher) end() { w.leave(); <-w.left }

func TestStoreIsAskedOnceForAllWhoWatchAndNotForNobody(t *testing.T) {
	f := new(feed)
	watchLive(t, f, func(t *testing.T, l *live) {
		<-time.After(time.Hour)
		if n := f.polls.Load(); n != 0 {
			t.Errorf("%d polls for nobody", n)
		}
		var all []*watcher
		for range 100 {
			all = append(all, l.newWatcher(t))
		}
		<-time.After(time.Millisecond)
		late := l.newWatcher(t)
		<-time.After(time.Millisecond)
		if told := late.told(); len(told) != 1 || told[0].Alive != 3 {
			t.Errorf("who comes later is not told at once how things are: %+v", told)
		}
		all = append(all, late)
		<-time.After(10 * time.Second)
		if n := f.polls.Load(); n > 42 {
			t.Errorf("%d polls in 10 s", n)
		}
		for _, w := range all {
			w.end()
		}
		<-time.After(time.Second)
		before := f.polls.Load()
		<-time.After(time.Hour)
		if f.polls.Load() != before {
			t.Error("it is polled when all have left")
		}
		again := l.newWatcher(t)
		<-time.After(time.Second)
		if f.polls.Load() == before {
			t.Error("who comes later is told nothing")
		}
		again.end()
	})
}

func TestTicksTellAllThatArrives(t *testing.T) {
	f := &feed{last: 1000}
	watchLive(t, f, func(t *testing.T, l *live) {
		w := l.newWatcher(t)
		<-time.After(time.Second)
		if first := w.told(); len(first) != 1 || len(first[0].Events) != 0 || first[0].Total != 1000 || first[0].Alive != 3 {
			t.Errorf("it begins with %+v", first)
		}
		sent := int64(0)
		for i := range 40 { // 500 events in a tenth of a second
			f.add(500)
			sent += 500
			f.broken.Store(i%7 == 3)
			<-time.After(100 * time.Millisecond)
		}
		f.broken.Store(false)
		<-time.After(time.Second)
		told, ticks := int64(0), w.told()
		for i, tick := range ticks {
			told += tick.Missed + int64(len(tick.Events))
			if len(tick.Events) > liveEvents || tick.Dropped || i > 0 && tick.PerSec == ticks[i-1].PerSec && len(tick.Events) == 0 {
				t.Errorf("tick %d: %d events, %+v", i, len(tick.Events), tick.PerSec)
			}
		}
		if told != sent {
			t.Errorf("told of %d events, and there were %d", told, sent)
		}
		if fastest := slices.MaxFunc(ticks, func(a, b dashboard.Tick) int { return int(a.PerSec - b.PerSec) }); math.Abs(fastest.PerSec-2700) > 700 { // on its way to 5000
			t.Errorf("the rate comes to %.0f a second within 4 s", fastest.PerSec)
		}
		<-time.After(2 * time.Minute)
		if last := w.told(); last[len(last)-1].PerSec != 0 {
			t.Errorf("when nothing comes any more the rate is %f", last[len(last)-1].PerSec)
		}
		calm := len(w.told())
		<-time.After(time.Minute)
		if n := len(w.told()) - calm; n != 4 {
			t.Errorf("in a minute without news it is called %d times", n)
		}
		w.end()
	})
}

// Who does not read holds up nobody, and its call ends with its context.
func TestWhoDoesNotReadHoldsUpNobody(t *testing.T) {
	f := new(feed)
	watchLive(t, f, func(t *testing.T, l *live) {
		release := make(chan struct{})
		stuck := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			stuck <- l.watch(ctx, func(dashboard.Tick) error { <-release; return errors.New("gone") })
		}()
		w := l.newWatcher(t)
		<-time.After(time.Second)
		for range 100 {
			f.add(1000)
			<-time.After(livePoll)
		}
		<-time.After(livePoll)
		told := int64(0)
		for _, tick := range w.told() {
			told += tick.Missed + int64(len(tick.Events))
		}
		if n := len(w.told()); told != 100_000 || n < 50 {
			t.Errorf("beside one who does not read, another is told of %d events of 100,000 in %d ticks", told, n)
		}
		close(release)
		if err := <-stuck; err == nil {
			t.Error("a tick that fails does not end it")
		}
		cancel()
		w.end()
		if l.watched() {
			t.Error("somebody is left")
		}
	})
}
