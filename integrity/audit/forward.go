package audit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A forwarder is one run of Forward or Drain.
type forwarder struct {
	o     *Outbox
	opt   ForwardOptions
	lines *lineReader
	buf   []byte // the lines of a batch

	rescan time.Time // when chains of the dead are looked for again
	more   bool      // there are more of them than were claimed
	looked time.Time // the folder's time of change at the last look
	lookEr bool      // a look failed, and that was told

	sent  time.Time     // when the hub took a batch last
	rest  time.Duration // for which the hub is to be left alone after this round
	pause time.Time     // until then the hub is left alone
	fails int           // of the hub, since it answered last
}

// run goes around among the chains, one batch of each at a time, and waits when there is nothing to send.
func (f *forwarder) run(ctx context.Context) {
	for ctx.Err() == nil {
		f.look()
		busy := false
		for _, c := range slices.Clone(f.o.chains) {
			if !f.resting(f.pause) && !f.resting(c.rest) && ctx.Err() == nil {
				busy = f.step(ctx, c) || busy
			}
		}
		if until := time.Now().Add(f.rest); until.After(f.pause) { // after a round, so that every chain has its turn
			f.pause = until
		}
		f.rest = 0
		if !busy {
			f.wait(ctx)
		}
	}
}

func (f *forwarder) resting(until time.Time) bool { return time.Now().Before(until) }

// tell is for trouble that stops nothing.
func (f *forwarder) tell(err error) { f.opt.OnError(err) }

// look finds what there is to forward, if something may have changed.
func (f *forwarder) look() {
	if f.resting(f.pause) {
		return
	}
	dir := f.o.files.path
	if f.o.own == "" {
		dir = filepath.Dir(dir)
	}
	changed := time.Time{}
	if info, err := os.Stat(dir); err == nil {
		changed = info.ModTime()
	}
	all := !f.resting(f.rescan) || f.more && len(f.o.chains) <= maxClaims
	if !all && changed.Equal(f.looked) && (f.o.has(f.o.own) || f.o.settled[f.o.own]) {
		return
	}
	more, err := f.o.look(all, f.tell)
	if err != nil && !f.lookEr {
		f.tell(fmt.Errorf("look for audit logs to forward: %w", err))
	}
	f.lookEr = err != nil
	f.looked = changed
	if all {
		f.rescan, f.more = time.Now().Add(rescanEvery), more
	}
}

// wait waits until there may be something to do.
func (f *forwarder) wait(ctx context.Context) {
	f.buf = nil // most of the time there is nothing to send
	if cap(f.lines.reuse) > page {
		f.lines.reuse = make([]byte, 0, page)
	}
	until, wrote := f.rescan, f.o.log.Wrote()
	if f.resting(f.pause) {
		until, wrote = f.pause, nil
	} else {
		for _, c := range f.o.chains {
			if f.resting(c.rest) && c.rest.Before(until) {
				until = c.rest
			}
		}
		if poll := time.Now().Add(pollEvery); f.o.own == "" && poll.Before(until) {
			until = poll
		}
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wrote:
		gather := time.NewTimer(max(gatherFor, time.Until(f.sent.Add(gatherBusy))))
		defer gather.Stop()
		select {
		case <-ctx.Done():
		case <-gather.C:
		}
	}
}

// drain sends our own chain until there is nothing left of it.
func (f *forwarder) drain(ctx context.Context) error {
	if _, err := f.o.look(false, f.tell); err != nil {
		return err
	}
	i := slices.IndexFunc(f.o.chains, func(c *outChain) bool { return c.own })
	if i < 0 {
		return nil // it is for another hub, or another process forwards the shared file
	}
	var trouble error
	f.opt.OnError = func(err error) { trouble = errors.Join(trouble, err) }
	c := f.o.chains[i]
	c.told = false
	for f.step(ctx, c) && trouble == nil {
	}
	if err := ctx.Err(); err != nil && c.unsent() {
		return fmt.Errorf("send the rest of the audit log: %w", err)
	}
	return trouble
}

// urgent reports whether so much of our own chain waits after a batch that the oldest of it might have to be dropped.
func (c *outChain) urgent(b *Batch) bool {
	last := c.o.log.last.Load()
	return c.own && last > b.Last && int64(last-b.Last)*int64(len(b.Lines)/b.Events) > c.o.files.maxPending()/4 //nolint:gosec // far less
}

// unsent reports whether our own chain has events that were not acknowledged.
func (c *outChain) unsent() bool { return c.o.log.last.Load() >= c.cur.need() }

// step sends the next batch of a chain. It reports whether that went well, so that more may follow.
func (f *forwarder) step(ctx context.Context, c *outChain) bool {
	b, next, err := c.fill(f)
	if err != nil {
		f.trouble(c, fmt.Errorf("forward the audit log: %w", err))
		return false
	}
	if b.Events == 0 {
		if !c.own && c.instance != "" {
			f.o.release(c)
			return f.more // there is room for others
		}
		return false
	}
	limited, cancel := context.WithTimeout(ctx, sendTimeout)
	began := time.Now()
	acked, err := f.opt.Send(limited, b)
	cancel()
	var behind BehindError
	var permanent interface{ Permanent() bool }
	switch {
	case err == nil:
		f.hubAnswered()
		f.sent = time.Now()
		if !c.urgent(&b) {
			f.rest += f.opt.Rest(f.sent.Sub(began))
		}
		return f.acknowledged(c, &b, next, acked)
	case ctx.Err() != nil:
		return false
	case errors.As(err, &behind):
		f.hubAnswered()
		return f.behind(c, &b, next, behind)
	case errors.As(err, &permanent) && permanent.Permanent():
		f.hubAnswered()
		f.refused(c, &b, next, err)
	default:
		f.unreachable(err)
	}
	return false
}

func (f *forwarder) hubAnswered() { f.fails, f.pause = 0, time.Time{} }

// unreachable lets the hub alone for a while.
func (f *forwarder) unreachable(err error) {
	if f.fails++; f.fails == 1 {
		f.tell(fmt.Errorf("send the audit log to the hub: %w", err))
	}
	wait := backoff(f.fails)
	var after interface{ RetryAfter() time.Duration }
	if errors.As(err, &after) {
		wait = max(wait, min(after.RetryAfter(), maxRetryAfter))
	}
	f.pause = time.Now().Add(wait)
}

// backoff is how long to wait after a number of failures: any time up to a limit that doubles.
func backoff(fails int) time.Duration {
	limit := maxBackoff
	if shift := fails - 1; shift < 7 {
		limit = min(limit, minBackoff<<shift)
	}
	return rand.N(limit) + time.Millisecond //nolint:gosec // nothing secret
}

// trouble lets one chain alone for a while.
func (f *forwarder) trouble(c *outChain, err error) {
	c.fails++
	c.rest = time.Now().Add(backoff(c.fails))
	if !c.told {
		c.told = true
		f.tell(err)
	}
}

// acknowledged notes what the hub has. It reports whether the chain went on.
func (f *forwarder) acknowledged(c *outChain, b *Batch, next position, acked uint64) bool {
	if acked < b.First {
		return f.notTaken(c, b, acked)
	}
	c.cur.sum = next.sum
	c.cur.acked, c.pos = b.Last, &next
	if acked < b.Last {
		c.cur.acked, c.pos, c.cur.sum = acked, nil, [len(next.sum)]byte{}
	}
	c.cur.end, c.cur.size = 0, 0
	c.fails, c.refused, c.rest = 0, 0, time.Time{}
	c.told = c.told && (acked < b.Last || c.limit > 0) // the trouble is over with a batch that nothing was wrong with
	if c.limit *= 2; c.limit >= maxBatchEvents {
		c.limit = 0
	}
	if err := c.save(); err != nil {
		f.trouble(c, err) // the hub has the events, so the chain goes on all the same
	}
	f.opt.OnSent()
	return true
}

// notTaken handles an acknowledgement that ends before the batch: a hub that has less than it once said gets that again.
func (f *forwarder) notTaken(c *outChain, b *Batch, acked uint64) bool {
	if acked >= c.cur.acked {
		f.trouble(c, fmt.Errorf("send the audit log to the hub: it took no event from %d on of chain %s, and gave no reason", b.First, b.Chain))
		return false
	}
	if err := c.rewind(acked); err != nil {
		f.tell(err)
	}
	c.fails++
	c.rest = time.Now().Add(backoff(c.fails)) // a hub that changes its mind for ever must not keep us busy
	return false
}

// behind goes on from where the hub says that it is.
func (f *forwarder) behind(c *outChain, b *Batch, next position, err BehindError) bool {
	acked := err.AckedUpTo()
	if acked < b.First {
		return f.notTaken(c, b, acked)
	}
	return f.acknowledged(c, b, next, acked)
}

// refused looks for the event that the hub does not take, and leaves it out if it is refused alone, and again a while later.
func (f *forwarder) refused(c *outChain, b *Batch, next position, err error) {
	switch {
	case b.Events > 1:
		f.trouble(c, fmt.Errorf("send the audit log to the hub: it refused %s of chain %s: %w", counted(b.Events), b.Chain, err))
		c.limit, c.rest = b.Events/2, time.Now().Add(backoff(1))
	case c.refused != b.First:
		c.refused, c.rest = b.First, time.Now().Add(maxBackoff)
	default:
		f.tell(fmt.Errorf("send the audit log to the hub: event %d of chain %s is left out, it was refused for good: %w", b.First, b.Chain, err))
		c.cur.skip, c.pos = b.First, &next
		if err := c.save(); err != nil {
			f.tell(err)
		}
	}
}
