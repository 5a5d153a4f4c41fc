package hub

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rohitgs28/mcpx/hub/dashboard"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// When the whole store is checked. That takes some 10 s for a million events, on one core.
const (
	checkAfter    = 2 * time.Minute // of the hub's start
	checkEvery    = 24 * time.Hour
	checkPatience = 15 * time.Minute
	shownProblems = 200
)

// A chainCheck is what the last check of the whole store said.
type chainCheck struct {
	mu       sync.Mutex
	at       time.Time            // guarded by mu; zero: there was none
	problems []store.ChainProblem // guarded by mu
}

func (c *chainCheck) last() (at time.Time, problems []store.ChainProblem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at, c.problems
}

// run checks the whole store once in a while, until ctx ends.
func (d *dashboardSource) runChecks(ctx context.Context) {
	timer := time.NewTimer(checkAfter)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := d.verify(ctx); err != nil && ctx.Err() == nil {
			d.fleet.log.Warn().Err(err).Msg("the events of the store could not be checked: it is tried again tomorrow")
		}
		timer.Reset(checkEvery)
	}
}

// verify checks the whole store: whether its events are still what they were when they came.
func (d *dashboardSource) verify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	problems, events, err := d.store.Verify(ctx)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	d.check.mu.Lock()
	d.check.at, d.check.problems = now, problems
	d.check.mu.Unlock()
	d.fleet.log.Debug().Int64("events", events).Int("problems", len(problems)).Msg("the store was checked")
	if len(problems) == 0 {
		return nil
	}
	p := &problems[0]
	d.fleet.log.Error().Int("problems", len(problems)).Str("client", p.Principal).Str("chain", p.Chain).Uint64("seq", p.Seq).Str("detail", p.Detail).
		Msg("events in the store are no longer what they were when they came")
	return d.fleet.record("", &caller{Token: store.Token{Name: p.Principal}}, &audit.Event{
		Kind: audit.Anomaly, Reason: "store_changed",
		Detail: problemDetail(p.Chain, p.Seq, d.fleet.host, fmt.Sprintf("%s (problems: %d)", p.Detail, len(problems))),
	})
}

// Chains are those with problems first, then those that something came for last.
func (d *dashboardSource) Chains(ctx context.Context) (dashboard.Chains, error) {
	all, err := d.allWrappers(ctx)
	if err != nil {
		return dashboard.Chains{}, err
	}
	problems, err := d.store.Problems(ctx, shownProblems)
	if err != nil {
		return dashboard.Chains{}, fmt.Errorf("list problems: %w", err)
	}
	at, found := d.check.last()
	c := dashboard.Chains{Checked: at, Intact: !at.IsZero() && len(found) == 0}
	now := make(map[[2]string]int64)
	for _, p := range found {
		now[[2]string{p.Principal, p.Chain}]++
		if len(c.Problems) < shownProblems {
			c.Problems = append(c.Problems, problemOf(p, at))
		}
	}
	for _, p := range problems {
		c.Problems = append(c.Problems, problemOf(p, p.At))
	}
	for i := range all.Chains {
		c.Chains = append(c.Chains, chainOf(&all.Chains[i], now))
	}
	slices.SortStableFunc(c.Chains, func(a, b dashboard.Chain) int {
		return cmp.Or(compareFlags(b.Problems > 0, a.Problems > 0), b.Last.Compare(a.Last))
	})
	return c, nil
}

func chainOf(c *uplink.Chain, found map[[2]string]int64) dashboard.Chain {
	return dashboard.Chain{
		Principal: c.Principal, Chain: c.Chain, Seq: c.Seq, Events: c.Events, Last: c.Last,
		Problems: c.Problems + found[[2]string{c.Principal, c.Chain}],
	}
}

func problemOf(p store.ChainProblem, at time.Time) dashboard.Problem {
	return dashboard.Problem{Principal: p.Principal, Chain: p.Chain, Reason: p.Reason, Detail: p.Detail, Seq: p.Seq, At: at}
}
