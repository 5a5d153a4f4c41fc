package main

import (
	"context"
	"fmt"
	"time"
)

// measureStart compares how long it takes from the start of a process to its first answer.
func measureStart(ctx context.Context, p plan) ([]row, error) {
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
	kinds := []struct {
		name string
		home *home
		argv []string
	}{
		{"without mcpx", alone, direct()},
		{"without hub", alone, wrapped(p.mcpx)},
		{"with hub", team, wrapped(p.mcpx)},
	}
	if p.before != "" {
		older, err := newHome()
		if err != nil {
			return nil, err
		}
		defer older.remove()
		kinds = append(kinds, struct {
			name string
			home *home
			argv []string
		}{"older mcpx", older, wrapped(p.before)})
	}
	took := make([][]time.Duration, len(kinds))
	for range p.starts {
		for i, kind := range kinds {
			s, first, err := open(ctx, kind.home, kind.argv...)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", kind.name, err)
			}
			if err := s.close(); err != nil {
				return nil, fmt.Errorf("%s: %w", kind.name, err)
			}
			took[i] = append(took[i], first)
		}
	}
	var rows []row
	for i, kind := range kinds {
		rows = append(rows, row{what: "start to first answer, " + kind.name + ": median",
			value: fmt.Sprintf("%.2f ms", quantile(took[i], 0.5).Seconds()*1e3)})
	}
	return rows, nil
}
