package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rohitgs28/mcpx/integrity/audit"
)

// measureMemory looks at the private memory of a wrapper: with nothing to do, and while it sends what another one, which has
// died, left behind, with calls going on.
func measureMemory(ctx context.Context, p plan) ([]row, error) {
	h, err := newHome()
	if err != nil {
		return nil, err
	}
	defer h.remove()
	hub, err := startHub(ctx, p.mcpx, h)
	if err != nil {
		return nil, err
	}
	defer hub.stop()
	idle, _, err := open(ctx, h, wrapped(p.mcpx)...)
	if err != nil {
		return nil, err
	}
	defer idle.close()
	if _, err := hub.settled(ctx); err != nil {
		return nil, err
	}
	quiet, err := private(idle.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	if err := idle.close(); err != nil {
		return nil, err
	}

	left, err := leave(h, p.backlog)
	if err != nil {
		return nil, err
	}
	before, err := hub.settled(ctx)
	if err != nil {
		return nil, err
	}
	s, _, err := open(ctx, h, wrapped(p.mcpx)...)
	if err != nil {
		return nil, err
	}
	defer s.close()
	began := time.Now()
	peak, err := s.peak(func() error {
		for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			f, err := hub.client.Fleet(ctx)
			if err != nil || f.Events >= before+left {
				return err
			}
			if _, err := s.call(); err != nil {
				return err
			}
		}
		return fmt.Errorf("the hub has not got %d events within two minutes", left)
	})
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	const most = 16_000_000
	return []row{
		{what: "wrapper with hub, idle: private memory", value: megabytes(quiet), target: "below 16 MB", missed: quiet >= most},
		{what: fmt.Sprintf("wrapper that sends a backlog of %s: peak private memory", megabytes(p.backlog)), value: megabytes(peak),
			target: "below 16 MB", missed: peak >= most},
		{what: "the same: events a second", value: fmt.Sprintf("%.0f (%d in %.1f s)", float64(left)/took.Seconds(), left, took.Seconds())},
	}, nil
}

// peak runs f and returns the most private memory that was seen meanwhile.
func (s *session) peak(f func() error) (most int64, err error) {
	done := make(chan struct{})
	var failed error
	var watch sync.WaitGroup
	watch.Go(func() {
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
				now, err := private(s.cmd.Process.Pid)
				if err != nil {
					failed = err
				}
				most = max(most, now)
			}
		}
	})
	err = f()
	close(done)
	watch.Wait()
	if err == nil {
		err = failed
	}
	return most, err
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// leave writes a log as a wrapper does that works for the hub of this machine, and returns how many events are in it.
func leave(h *home, size int64) (events int64, err error) {
	folder := filepath.Join(h.state(), "audit")
	log, err := audit.Open(audit.Options{
		DefaultDir: folder, StateDir: filepath.Join(h.state(), "heads"), Source: "wrap", Version: "bench", Hub: audit.LocalHub, Stderr: os.Stderr,
	})
	if err != nil {
		return 0, err
	}
	link := log.Link(audit.LinkInfo{Server: "bench", Client: "anonymous"})
	link.SetPeers([]byte(`{"name":"claude-desktop","version":"1.2.3"}`), []byte(`{"name":"secure-filesystem-server","version":"0.2.0"}`), "legacy")
	line := int64(0) // bytes of one, about
	for events = 1; line == 0 || events*line < size; events += 2 {
		id := fmt.Append(nil, events)
		link.Append(&audit.Event{Kind: audit.Decision, RequestID: id, Method: "tools/call", Target: fmt.Appendf(nil, "read_file_%d", events%40),
			Decision: "allow", Rule: "allow_tools: read_*", BytesIn: 180, Args: fmt.Appendf(nil, `{"path":"/data/some/folder/file%d.txt"}`, events)})
		link.Append(&audit.Event{Kind: audit.Outcome, RequestID: id, Method: "tools/call", Target: fmt.Appendf(nil, "read_file_%d", events%40),
			Outcome: "ok", Latency: time.Duration(events%9000) * time.Microsecond, BytesOut: 4096})
		if err := log.Commit(); err != nil {
			return 0, err
		}
		if line == 0 && events > 2000 {
			written, err := sizeOf(folder)
			if err != nil {
				return 0, err
			}
			line = written / events
		}
	}
	return events, log.Close()
}

func sizeOf(folder string) (size int64, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.jsonl"))
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return 0, err
		}
		size += info.Size()
	}
	return size, err
}
