package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"golang.org/x/sync/errgroup"
)

// measureIngest sends chains of events to a hub as several wrappers of a team do, each under a name of its own, and counts
// until the last is acknowledged: it is verified and on the disk then. What is sent was compressed before.
func measureIngest(ctx context.Context, p plan) ([]row, error) {
	h, err := newHome()
	if err != nil {
		return nil, err
	}
	defer h.remove()
	chains := make([]*chain, p.chains)
	for i := range chains {
		if chains[i], err = newChain(fmt.Sprintf("laptop-%d", i), int64(p.events/p.chains)*560); err != nil {
			return nil, err
		}
	}
	hub, err := startHub(ctx, p.mcpx, h)
	if err != nil {
		return nil, err
	}
	defer hub.stop()
	for _, c := range chains {
		if err := c.enrol(ctx, p.mcpx, h); err != nil {
			return nil, err
		}
	}
	pid := hub.cmd.Process.Pid
	cpu, _, err := ran(pid)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range chains {
		group.Go(func() error { return c.send(ctx, "http://"+hub.addr+uplink.PathEvents) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	took := time.Since(began)
	after, _, err := ran(pid)
	if err != nil {
		return nil, err
	}
	memory, err := private(pid)
	if err != nil {
		return nil, err
	}
	events, sent, shed := 0, int64(0), 0
	for _, c := range chains {
		events, sent, shed = events+c.events, sent+c.plain, shed+c.shed
	}
	rate := float64(events) / took.Seconds()
	return []row{
		{what: fmt.Sprintf("hub that takes %d events of %d wrappers: events a second", events, p.chains),
			value: fmt.Sprintf("%.0f (%.1f s)", rate, took.Seconds()), target: "at least 20000", missed: rate < 20_000},
		{what: "the same: its CPU for an event", value: fmt.Sprintf("%.1f µs (lines of %d bytes)", (after-cpu).Seconds()*1e6/float64(events), sent/int64(events))},
		{what: "the same: batches that it asked for again", value: fmt.Sprint(shed)},
		{what: "the same: its private memory afterwards", value: megabytes(memory)},
	}, nil
}

// A chain is what one wrapper sends.
type chain struct {
	name    string
	token   string
	batches []batch
	events  int
	plain   int64 // bytes
	shed    int   // answers that a batch should come again
}

type batch struct {
	body []byte // compressed
	last uint64
}

// newChain writes a log and cuts it into batches of the size that a wrapper sends.
func newChain(name string, size int64) (*chain, error) {
	h, err := newHome()
	if err != nil {
		return nil, err
	}
	defer h.remove()
	if _, err := leave(h, size); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(h.state(), "audit", "*.jsonl"))
	if err != nil || len(files) != 1 {
		return nil, errors.Join(fmt.Errorf("there are %d segments", len(files)), err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		return nil, err
	}
	c := &chain{name: name, plain: int64(len(data))}
	for len(data) > 0 {
		const most, mostLines = 256 << 10, 1000
		end, lines := 0, 0
		for line := range bytes.Lines(data) {
			if end > 0 && (end+len(line) > most || lines == mostLines) {
				break
			}
			end, lines = end+len(line), lines+1
		}
		var zipped bytes.Buffer
		w, err := gzip.NewWriterLevel(&zipped, gzip.BestSpeed)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(data[:end]); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		c.events += lines
		c.batches = append(c.batches, batch{zipped.Bytes(), uint64(c.events)})
		data = data[end:]
	}
	return c, nil
}

// enrol gets a token for the chain's owner.
func (c *chain) enrol(ctx context.Context, mcpx string, h *home) error {
	cmd := exec.CommandContext(ctx, mcpx, "hub", "token", "create", "--name", c.name)
	cmd.Env, cmd.Dir = h.env(), h.dir
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("make a token: %w", err)
	}
	c.token = strings.TrimSpace(string(out))
	return nil
}

// send sends all batches in order, each once the one before is acknowledged.
func (c *chain) send(ctx context.Context, url string) error {
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	for _, b := range c.batches {
		for {
			again, err := c.post(ctx, client, url, b)
			if err != nil {
				return err
			}
			if !again {
				break
			}
			c.shed++
			time.Sleep(50 * time.Millisecond)
		}
	}
	return nil
}

func (c *chain) post(ctx context.Context, client *http.Client, url string, b batch) (again bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(b.body))
	if err != nil {
		return false, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("Content-Encoding", "gzip")
	r.Header.Set(uplink.HeaderChain, c.name)
	answer, err := client.Do(r)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil || answer.StatusCode == http.StatusTooManyRequests {
		return true, err
	}
	var ack uplink.Acknowledgement
	if answer.StatusCode != http.StatusOK {
		return false, fmt.Errorf("the hub answered %s: %s", answer.Status, body)
	}
	if err := json.Unmarshal(body, &ack); err != nil {
		return false, err
	}
	if ack.Acked != b.last {
		return false, fmt.Errorf("the hub has acknowledged %d and not %d", ack.Acked, b.last)
	}
	return false, nil
}
