package main

import (
	"context"
	"fmt"
	"time"
)

// measureLatency compares calls through a wrapper that has a hub with calls through one that has none. One call is under way
// at a time; they take turns within each round, and what the hub still gets from the one is over before the other's turn. A
// second wrapper without hub is the control: how far it is from the first says what a ratio means on this machine.
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
		{"1000 calls a second", time.Millisecond},
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
	control, _, err := open(ctx, alone, wrapped(p.mcpx)...)
	if err != nil {
		return nil, err
	}
	defer control.close()
	b, _, err := open(ctx, team, wrapped(p.mcpx)...)
	if err != nil {
		return nil, err
	}
	defer b.close()
	sessions := [3]*session{a, b, control}
	var ratios []float64 // of p50, by rounds
	var took [len(sessions)][]time.Duration
	made := int64(0)
	for i := range p.rounds {
		var middle [len(sessions)]float64
		for j := range sessions {
			if _, err := hub.settled(ctx); err != nil {
				return nil, err
			}
			who := (i + j) % len(sessions) // who is first changes
			t, err := sessions[who].turn(p.round, every)
			if err != nil {
				return nil, err
			}
			if sessions[who] == b {
				made += t.calls
			}
			took[who] = append(took[who], t.took...)
			middle[who] = float64(quantile(t.took, 0.5))
		}
		ratios = append(ratios, middle[1]/middle[0])
	}
	events, err := hub.settled(ctx)
	if err != nil {
		return nil, err
	}
	if events < 2*made {
		return nil, fmt.Errorf("the hub has %d events of %d calls", events, made)
	}
	without, with := quantile(took[0], 0.5), quantile(took[1], 0.5)
	ratio := float64(with) / float64(without)
	return []row{
		{what: "call, " + name + ": p50 without hub", value: micros(without)},
		{what: "call, " + name + ": p50 with hub", value: micros(with)},
		{what: "call, " + name + ": ratio of p50", value: fmt.Sprintf("%.3f (middle half of %d rounds: %.3f to %.3f)",
			ratio, p.rounds, quantile(ratios, 0.25), quantile(ratios, 0.75)), target: "at most 1.05", missed: ratio > 1.05},
		{what: "call, " + name + ": ratio of p50 of two wrappers without hub", value: fmt.Sprintf("%.3f", float64(quantile(took[2], 0.5))/float64(without))},
		{what: "call, " + name + ": p99 without hub", value: micros(quantile(took[0], 0.99))},
		{what: "call, " + name + ": p99 with hub", value: micros(quantile(took[1], 0.99))},
	}, nil
}

// A turn is what came of the calls of one session for a while.
type turn struct {
	calls int64 // with those that were not measured
	took  []time.Duration
}

// turn makes calls for a while, one each interval. The first half of that time again comes before and is not measured, so that
// events are under way to the hub from the beginning.
func (s *session) turn(lasts, every time.Duration) (t turn, err error) {
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
			t.took = append(t.took, d)
		}
	}
	return t, nil
}

func micros(d time.Duration) string { return fmt.Sprintf("%.1f µs", float64(d)/1e3) }
