package main

import (
	"context"
	"fmt"
	"time"
)

// measureLatency compares calls through a wrapper that has a hub with calls through one that has none. One call is under way
// at a time; the two take turns within each round, and what the hub still gets from the one is over before the other's turn.
func measureLatency(ctx context.Context, p plan) (rows []row, err error) {
	end, err := awake(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	for _, pace := range []struct {
		name  string
		every time.Duration
	}{
		{"200 calls a second", 5 * time.Millisecond},
		{"one call after the other", 0},
	} {
		got, err := latencyAt(ctx, p, pace.name, pace.every)
		if err != nil {
			return nil, err
		}
		rows = append(rows, got...)
	}
	return rows, nil
}

func latencyAt(ctx context.Context, p plan, name string, every time.Duration) ([]row, error) {
	alone, err := newHome()
	if err != nil {
		return nil, err
	}
	defer alone.remove()
	team, err := newHome()
	if err != nil {
		return nil, err
	}
	defer team.remove()
	hub, err := startHub(ctx, p.mcpx, team)
	if err != nil {
		return nil, err
	}
	defer hub.stop()
	a, _, err := open(ctx, alone, wrapped(p.mcpx)...)
	if err != nil {
		return nil, err
	}
	defer a.close()
	b, _, err := open(ctx, team, wrapped(p.mcpx)...)
	if err != nil {
		return nil, err
	}
	defer b.close()
	var ratios50, ratios99 []float64
	var without, with []time.Duration
	calls := int64(0)
	for i := range p.rounds {
		var of [2]turn
		for j := range 2 {
			if _, err := hub.settled(ctx); err != nil {
				return nil, err
			}
			who := (i + j) % 2 // who is first changes
			if of[who], err = [2]*session{a, b}[who].turn(p.round, every); err != nil {
				return nil, err
			}
		}
		calls += of[1].calls
		ratios50 = append(ratios50, float64(of[1].p50)/float64(of[0].p50))
		ratios99 = append(ratios99, float64(of[1].p99)/float64(of[0].p99))
		without, with = append(without, of[0].p50), append(with, of[1].p50)
	}
	events, err := hub.settled(ctx)
	if err != nil {
		return nil, err
	}
	if events < 2*calls {
		return nil, fmt.Errorf("the hub has %d events of %d calls", events, calls)
	}
	low, middle, high := quantile(ratios50, 0.25), quantile(ratios50, 0.5), quantile(ratios50, 0.75)
	return []row{
		{what: "call, " + name + ": p50 without hub", value: micros(quantile(without, 0.5))},
		{what: "call, " + name + ": p50 with hub", value: micros(quantile(with, 0.5))},
		{what: "call, " + name + ": ratio of p50", value: fmt.Sprintf("%.3f (middle half of %d rounds: %.3f to %.3f)", middle, p.rounds, low, high),
			target: "at most 1.05", missed: middle > 1.05},
		{what: "call, " + name + ": ratio of p99", value: fmt.Sprintf("%.2f", quantile(ratios99, 0.5))},
	}, nil
}

// A turn is what came of the calls of one session for a while.
type turn struct {
	calls    int64 // with those that were not measured
	p50, p99 time.Duration
}

// turn makes calls for a while, one each interval. The first half of that time again comes before and is not measured, so that
// events are under way to the hub from the beginning.
func (s *session) turn(lasts, every time.Duration) (t turn, err error) {
	var took []time.Duration
	began := time.Now()
	for next := began; time.Since(began) < lasts+lasts/2; {
		if every > 0 {
			next = next.Add(every)
			time.Sleep(time.Until(next))
		}
		d, err := s.call()
		if err != nil {
			return t, err
		}
		t.calls++
		if time.Since(began) > lasts/2 {
			took = append(took, d)
		}
	}
	t.p50, t.p99 = quantile(took, 0.5), quantile(took, 0.99)
	return t, nil
}

func micros(d time.Duration) string { return fmt.Sprintf("%.1f µs", float64(d)/1e3) }
