package hub

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/rohitgs28/mcpx/hub/dashboard"
	"github.com/rohitgs28/mcpx/hub/store"
)

const (
	livePoll      = 250 * time.Millisecond
	livePatience  = 2 * time.Second  // for the store, at each poll
	liveSilence   = 15 * time.Second // after which a viewer hears that there is nothing
	liveCalm      = time.Second      // between ticks that only say that the rate falls
	liveEvents    = 40               // of a tick
	liveSmoothing = 5 * time.Second  // of the rate
	countEvery    = 5 * time.Second
	rateOfNothing = 0.05 // events a second
)

// A live tells viewers what arrives. One poll serves them all, and while nobody watches there is none. A viewer that does not read
// holds nobody up, and costs one tick of memory. It is safe for concurrent use.
type live struct {
	arrived func(ctx context.Context, after int64, limit int) ([]store.Event, int64, error) // see [store.Store.Arrived]
	count   func(context.Context) (wrappers int, events int64, err error)
	wake    chan struct{} // has room for one: somebody watches

	mu      sync.Mutex
	viewers map[*liveViewer]struct{} // guarded by mu
	said    *dashboard.Tick          // last, without its events; nil: nobody watched; guarded by mu
}

// A liveViewer is one who watches.
type liveViewer struct {
	ready chan struct{} // has room for one: there is something to take

	mu      sync.Mutex
	pending *dashboard.Tick // guarded by mu; nil: nothing
}

func newLive(
	arrived func(context.Context, int64, int) ([]store.Event, int64, error), count func(context.Context) (int, int64, error),
) *live {
	return &live{arrived: arrived, count: count, wake: make(chan struct{}, 1), viewers: make(map[*liveViewer]struct{})}
}

// Live is watch.
func (d *dashboardSource) Live(ctx context.Context, tick func(dashboard.Tick) error) error {
	return d.live.watch(ctx, tick)
}

// watch calls tick with what arrives, until ctx ends or tick fails.
func (l *live) watch(ctx context.Context, tick func(dashboard.Tick) error) error {
	v := &liveViewer{ready: make(chan struct{}, 1)}
	l.join(v)
	defer l.leave(v)
	silence := time.NewTimer(liveSilence)
	defer silence.Stop()
	var said dashboard.Tick // last
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-v.ready:
			said = v.take()
		case <-silence.C:
			said = dashboard.Tick{PerSec: said.PerSec, Total: said.Total, Alive: said.Alive}
		}
		if err := tick(said); err != nil {
			return err
		}
		silence.Reset(liveSilence)
	}
}

func (l *live) join(v *liveViewer) {
	l.mu.Lock()
	l.viewers[v] = struct{}{}
	if l.said != nil {
		v.offer(*l.said)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *live) leave(v *liveViewer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.viewers, v)
	if len(l.viewers) == 0 {
		l.said = nil
	}
}

func (l *live) watched() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.viewers) > 0
}

// tell gives all viewers a tick. They share its events, which nobody changes.
func (l *live) tell(t dashboard.Tick) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for v := range l.viewers {
		v.offer(t)
	}
	if len(l.viewers) > 0 {
		l.said = &dashboard.Tick{PerSec: t.PerSec, Total: t.Total, Alive: t.Alive}
	}
}

// offer gives a viewer a tick, joined with the one that it has not taken.
func (v *liveViewer) offer(t dashboard.Tick) {
	v.mu.Lock()
	if p := v.pending; p != nil {
		events := make([]dashboard.Event, 0, min(len(t.Events)+len(p.Events), liveEvents))
		events = append(events, t.Events...)
		kept := min(len(p.Events), liveEvents-len(events))
		events = append(events, p.Events[:kept]...)
		fallen := len(p.Events) - kept
		t.Events = events
		t.Missed += p.Missed + int64(fallen)
		t.Dropped = p.Dropped || fallen > 0
	}
	v.pending = &t
	v.mu.Unlock()
	select {
	case v.ready <- struct{}{}:
	default:
	}
}

func (v *liveViewer) take() dashboard.Tick {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.pending == nil {
		return dashboard.Tick{}
	}
	t := *v.pending
	v.pending = nil
	return t
}

// run polls the store while somebody watches, until ctx ends.
func (l *live) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			l.poll(ctx)
		}
	}
}

// A poll is what one run of polls knows.
type poll struct {
	last    int64 // id of the last event that was told; below 0: not known yet
	at      time.Time
	rate    float64 // events a second, lately
	counted time.Time
	total   int64
	alive   int
	told    time.Time
	saidFor float64 // the rate that was told last
}

// poll returns when nobody watches any more.
func (l *live) poll(ctx context.Context) {
	p := poll{last: -1}
	ticker := time.NewTicker(livePoll)
	defer ticker.Stop()
	for l.watched() {
		if t, ok := l.look(ctx, &p, time.Now()); ok {
			l.tell(t)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look asks the store what is new, and reports whether that is worth a tick. What the store cannot say now is told by a later tick.
func (l *live) look(ctx context.Context, p *poll, now time.Time) (t dashboard.Tick, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, livePatience)
	defer cancel()
	if now.Sub(p.counted) >= countEvery {
		if alive, total, err := l.count(ctx); err == nil {
			p.alive, p.total, p.counted = alive, total, now
		}
	}
	if p.last < 0 {
		_, last, err := l.arrived(ctx, 0, 1)
		if err != nil {
			return t, false
		}
		p.last, p.at, p.told = last, now, now
		return dashboard.Tick{Total: p.total, Alive: p.alive}, true
	}
	events, last, err := l.arrived(ctx, p.last, liveEvents)
	if err != nil {
		return t, false
	}
	arrived := max(last-p.last, int64(len(events)))
	since := now.Sub(p.at)
	p.last, p.at = last, now
	p.total += arrived
	if since > 0 {
		weight := 1 - math.Exp(-since.Seconds()/liveSmoothing.Seconds())
		p.rate += weight * (float64(arrived)/since.Seconds() - p.rate)
	}
	if p.rate < rateOfNothing && arrived == 0 {
		p.rate = 0
	}
	if arrived == 0 && (p.rate == p.saidFor || now.Sub(p.told) < liveCalm) {
		return t, false
	}
	p.told, p.saidFor = now, p.rate
	return dashboard.Tick{
		Events: eventsOf(events), Missed: arrived - int64(len(events)), PerSec: p.rate, Total: p.total, Alive: p.alive,
	}, true
}
