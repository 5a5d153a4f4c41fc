package main

import (
	"context"
	"fmt"
	"time"
)

// measureIdle counts how often wrappers that have nothing to do are put on a CPU all the same. They idle side by side.
func measureIdle(ctx context.Context, p plan) ([]row, error) {
	type idler struct {
		name  string
		mcpx  string
		hub   bool
		pid   int
		cpu   time.Duration
		times int64
	}
	idlers := []*idler{{name: "without hub", mcpx: p.mcpx}, {name: "with hub", mcpx: p.mcpx, hub: true}}
	if p.before != "" {
		idlers = append(idlers, &idler{name: "older mcpx", mcpx: p.before})
	}
	for _, i := range idlers {
		h, err := newHome()
		if err != nil {
			return nil, err
		}
		defer h.remove()
		if i.hub {
			hub, err := startHub(ctx, p.mcpx, h)
			if err != nil {
				return nil, err
			}
			defer hub.stop()
		}
		s, _, err := open(ctx, h, wrapped(i.mcpx)...)
		if err != nil {
			return nil, err
		}
		defer s.close()
		if _, err := s.call(); err != nil {
			return nil, err
		}
		i.pid = s.cmd.Process.Pid
	}
	time.Sleep(p.idle / 4) // what follows a start is over
	var err error
	for _, i := range idlers {
		if i.cpu, i.times, err = ran(i.pid); err != nil {
			return nil, err
		}
	}
	time.Sleep(p.idle)
	var rows []row
	for _, i := range idlers {
		cpu, times, err := ran(i.pid)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{what: "idle wrapper, " + i.name + ": wakeups a second",
			value: fmt.Sprintf("%.2f (%.3f ms of CPU a second)", float64(times-i.times)/p.idle.Seconds(), (cpu-i.cpu).Seconds()*1e3/p.idle.Seconds())})
	}
	return rows, nil
}
