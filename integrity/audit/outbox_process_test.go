//go:build !windows

package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// childForward writes numbered events, and forwards what it can claim to stdout. It is acknowledged by stdin: a line each.
func childForward(n int) error {
	opts := childOptions()
	opts.Hub = LocalHub
	l, err := Open(opts)
	if err != nil {
		return err
	}
	o, err := l.Outbox(LocalHub)
	if err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	send := func(_ context.Context, b Batch) (uint64, error) {
		line, err := json.Marshal(b)
		if err != nil {
			return 0, err
		}
		if _, err := fmt.Println(string(line)); err != nil || !in.Scan() {
			return 0, errors.New("nobody is there")
		}
		acked := uint64(0)
		_, err = fmt.Sscan(in.Text(), &acked)
		return acked, err
	}
	k := l.Link(LinkInfo{})
	go func() {
		for i := range n {
			k.Append(&Event{Kind: Decision, Target: fmt.Append(nil, i)})
			k.Append(&Event{Kind: Outcome, Target: []byte(strings.Repeat("x", i%700))})
			if l.Commit() != nil {
				return
			}
		}
	}()
	return o.Forward(context.Background(), ForwardOptions{Send: send, MaxBytes: 16 << 10})
}

// A forwardingChild is a process that forwards to a fakeHub.
type forwardingChild struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// startForwarding lets a child forward to h, which hears of who asks. After limit batches no answer comes any more.
func startForwarding(t *testing.T, opts Options, h *fakeHub, limit int, heard func(Batch)) *forwardingChild {
	t.Helper()
	cmd, out := childCommand(t, "forward", opts)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &forwardingChild{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		defer in.Close()
		for n := 0; n < limit && out.Scan(); n++ {
			var b Batch
			if err := json.Unmarshal(out.Bytes(), &b); err != nil {
				return // cut off by its death
			}
			if heard != nil {
				heard(b)
			}
			acked, err := h.send(context.Background(), b)
			if err != nil {
				t.Errorf("chain %s from %d: %v", b.Chain, b.First, err)
				return
			}
			if _, err := fmt.Fprintln(in, acked); err != nil {
				return
			}
		}
	}()
	return c
}

func (c *forwardingChild) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-c.done
	_ = c.cmd.Wait() // killed
}

// Writers that forward are killed at any moment. The hub has what the log has, in order, and nobody ever said that there is a
// gap.
func TestKilledForwardersLoseNothing(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		h := newFakeHub(t)
		for round := range 12 {
			c := startForwarding(t, opts, h, 1+round%5, nil)
			<-c.done // it stands in the midst of a batch or waits for an answer, and writes all the while
			c.kill(t)
		}
		opts.Hub = LocalHub
		l := openLog(t, opts)
		_, stop := forward(t, l, LocalHub, ForwardOptions{Send: h.send, OnError: opts.OnError})
		appendEvents(t, l, "end")
		waitFor(t, func() bool { return h.events() == verify(t, opts).Events })
		stop()
		wantSent(t, opts, h)
	})
}

// Processes that forward the same chains never do so at once: a shared file, or those that died.
func TestOneProcessForwardsAChain(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		h := newFakeHub(t)
		by := map[string]int{}
		var children []*forwardingChild
		for round := range 6 {
			children = append(children, startForwarding(t, opts, h, 1<<30, func(b Batch) {
				h.mu.Lock()
				defer h.mu.Unlock()
				if was, ok := by[b.Chain]; ok && was != round && was >= 2*(round/2) {
					t.Errorf("chain %s is forwarded by processes %d and %d, which both live", b.Chain, was, round)
				}
				by[b.Chain] = round
			}))
			if round%2 == 1 {
				waitFor(t, func() bool { return h.events() > 200*round })
				for _, c := range children {
					c.kill(t)
				}
				children = nil
			}
		}
		opts.Hub = LocalHub
		l := openLog(t, opts)
		_, stop := forward(t, l, LocalHub, ForwardOptions{Send: h.send, OnError: opts.OnError})
		appendEvents(t, l, "end")
		waitFor(t, func() bool { return h.events() == verify(t, opts).Events })
		stop()
		wantSent(t, opts, h)
		if h.again > 6*maxBatchEvents {
			t.Errorf("%d events were sent twice", h.again)
		}
	})
}

// A chain that is being forwarded is left alone until its forwarder is gone.
func TestClaimedChainIsLeftAlone(t *testing.T) {
	opts := testOptions(t)
	opts.Hub = LocalHub
	l := openLog(t, opts)
	appendEvents(t, l, "a")
	abandonAll(t, l)
	path := cursorPath(opts.DefaultDir, l.Instance())
	file, _, err := claimCursor(path)
	if err != nil || file == nil {
		t.Fatal(file, err)
	}
	if other, _, err := claimCursor(path); other != nil || err != nil {
		t.Errorf("got %v, %v for a chain that is forwarded", other, err)
	}
	removeCursor(path)
	if _, err := os.Stat(path); err != nil {
		t.Error("its cursor was removed")
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	removeCursor(path)
	if left, _ := filepath.Glob(filepath.Join(opts.DefaultDir, "*"+ackExt)); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
}

func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !ready() {
		select {
		case <-look.C:
		case <-deadline.C:
			t.Fatal("it does not come")
		}
	}
}
