package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEventsReachTheHub(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		synctest.Test(t, func(t *testing.T) {
			opts.Hub = LocalHub
			h := newFakeHub(t)
			asked := make(chan struct{}) // until then the hub takes nothing
			h.before = func(Batch) error { <-asked; return nil }
			l := openLog(t, opts)
			sent := 0
			o, stop := forward(t, l, LocalHub, ForwardOptions{Send: h.send, OnError: opts.OnError, OnSent: func() { sent++ }})
			appendEvents(t, l, "a", "b")
			if o.Pending() == 0 && opts.Path != "" { // what is in the spool does not count yet
				t.Error("nothing is pending")
			}
			close(asked)
			pass(2 * time.Second)
			if got := o.Pending(); got != 0 || h.events() != 3 {
				t.Errorf("%d are pending, the hub has %d", got, h.events())
			}
			appendEvents(t, l, "c")
			pass(2 * time.Second)
			stop()
			wantSent(t, opts, h)
			if sent != h.batches || sent < 2 {
				t.Errorf("%d acknowledgements of %d batches", sent, h.batches)
			}
		})
	})
}

func TestCallsInABurstGoOutTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(t)
		h := newFakeHub(t)
		l := openLog(t, opts)
		_, stop := forward(t, l, LocalHub, ForwardOptions{Send: h.send})
		appendEvents(t, l, "first")
		pass(time.Second)
		was := h.batches
		for i := range 4000 {
			appendEvents(t, l, fmt.Sprint(i))
			pass(time.Millisecond)
		}
		pass(time.Second)
		stop()
		wantSent(t, opts, h)
		if n := h.batches - was; n > 8 { // of at most 1000 events
			t.Errorf("four seconds of calls went out in %d batches", n)
		}
	})
}

func TestBatchesHaveLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(t)
		opts.Args = "full"
		h := newFakeHub(t)
		l := openLog(t, opts)
		appendEvents(t, l, "a")
		k := l.Link(LinkInfo{})
		for range 2500 {
			k.Append(&Event{Kind: Decision})
		}
		k.Append(&Event{Kind: Decision, Args: []byte(`"` + strings.Repeat("x", 200_000) + `"`)})
		commit(t, l)
		h.before = func(b Batch) error {
			if b.Events > maxBatchEvents || len(b.Lines) > 100_000 && b.Events > 1 {
				t.Errorf("got %d events in %d bytes", b.Events, len(b.Lines))
			}
			return nil
		}
		_, stop := forward(t, l, LocalHub, ForwardOptions{Send: h.send, MaxBytes: 100_000})
		pass(5 * time.Second)
		stop()
		wantSent(t, opts, h)
	})
}

func TestRotationWhileForwarding(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		synctest.Test(t, func(t *testing.T) {
			opts.Hub, opts.MaxSize = teamHub, minMaxSize
			h := newFakeHub(t)
			l := openLog(t, opts)
			_, stop := forward(t, l, teamHub, ForwardOptions{Send: h.send, OnError: opts.OnError})
			for i := range 3000 {
				appendEvents(t, l, strings.Repeat("x", 1+i%900))
				pass(time.Millisecond)
			}
			pass(5 * time.Second)
			stop()
			wantSent(t, opts, h)
			if res := verify(t, opts); len(res.Chains[0].Files) < 5 || len(h.chains) != 1 || h.again > 0 {
				t.Errorf("got %d files, %d chains, %d events twice", len(res.Chains[0].Files), len(h.chains), h.again)
			}
		})
	})
}

// Who has a hub and dies leaves its events to the next process with the same hub, and to no other.
func TestChainsOfTheDead(t *testing.T) {
	for name, test := range map[string]struct{ dead, next, want string }{
		"same team":              {teamHub, teamHub, "dead next"},
		"local":                  {LocalHub, LocalHub, "dead next"},
		"unclaimed, then local":  {"", LocalHub, "dead next"},
		"unclaimed, then a team": {"", teamHub, "next"},
		"team, then local":       {teamHub, LocalHub, "next"},
		"another team":           {"https://other.example.com", teamHub, "next"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := testOptions(t)
				opts.Hub = test.dead
				l := openLog(t, opts)
				appendEvents(t, l, "dead")
				abandonAll(t, l)

				opts.Hub = test.next
				h := newFakeHub(t)
				next := openLog(t, opts)
				_, stop := forward(t, next, test.next, ForwardOptions{Send: h.send, OnError: opts.OnError})
				appendEvents(t, next, "next")
				pass(time.Minute)
				if got := strings.Join(h.targets(), " "); got != test.want {
					t.Errorf("the hub has %q, want %q", got, test.want)
				}
				batches := h.batches
				pass(time.Hour)
				if h.batches != batches {
					t.Error("what is acknowledged was sent again")
				}
				stop()
				if h.gaps+h.again > 0 {
					t.Errorf("%d gaps, %d events twice", h.gaps, h.again)
				}
			})
		})
	}
}

// abandonAll leaves a log as the death of its process does, with all in its segment.
func abandonAll(t testing.TB, l *Log) {
	t.Helper()
	l.flushSpool()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestManyDeadChainsAreTakenInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(t)
		const dead = 5 * maxClaims
		for i := range dead {
			l := openLog(t, opts)
			appendEvents(t, l, fmt.Sprint(i))
			abandonAll(t, l)
		}
		h := newFakeHub(t)
		l := openLog(t, opts)
		o, stop := forward(t, l, LocalHub, ForwardOptions{Send: h.send, OnError: opts.OnError})
		pass(time.Second)
		stop()
		wantSent(t, opts, h)
		if len(h.chains) != dead || len(o.settled) != dead {
			t.Errorf("got %d chains, %d settled, want %d", len(h.chains), len(o.settled), dead)
		}
		batches := h.batches
		_, stop = forward(t, l, LocalHub, ForwardOptions{Send: h.send, OnError: opts.OnError})
		pass(time.Minute)
		stop()
		if h.batches != batches {
			t.Error("a later process sent acknowledged chains again")
		}
	})
}

// What was there before a team's hub was set is not for it.
func TestSharedFileIsSentFromEnrolmentOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(t)
		opts.Path = filepath.Join(t.TempDir(), "log.jsonl")
		l := openLog(t, opts)
		appendEvents(t, l, "private")
		opts.Hub = teamHub
		l = openLog(t, opts)
		appendEvents(t, l, "team")
		h := newFakeHub(t)
		_, stop := forward(t, l, teamHub, ForwardOptions{Send: h.send, OnError: opts.OnError})
		pass(time.Minute)
		h.mu.Lock()
		clear(h.chains) // and not when the hub asks for it either
		h.mu.Unlock()
		appendEvents(t, l, "more")
		pass(time.Minute)
		stop()
		if got := strings.Join(h.targets(), " "); got != "more team" {
			t.Errorf("the hub has %q", got)
		}

		var told []error
		opts.Hub = LocalHub
		opts.OnError = func(err error) { told = append(told, err) }
		l = openLog(t, opts)
		_, stop = forward(t, l, LocalHub, ForwardOptions{Send: func(context.Context, Batch) (uint64, error) {
			t.Error("the file was sent to two hubs")
			return 0, nil
		}})
		pass(time.Minute)
		stop()
		if len(told) != 1 || !strings.Contains(told[0].Error(), teamHub) {
			t.Errorf("got %q, want to be told that it has a hub already", told)
		}
	})
}

func TestSharedFileThatWasBegunAnewIsAnotherChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(t)
		opts.Path, opts.Hub, opts.StateDir = filepath.Join(t.TempDir(), "log.jsonl"), LocalHub, ""
		h := newFakeHub(t)
		for _, target := range []string{"a", "b"} {
			l := openLog(t, opts)
			_, stop := forward(t, l, LocalHub, ForwardOptions{Send: h.send, OnError: opts.OnError})
			appendEvents(t, l, target)
			pass(time.Minute)
			stop()
			abandonAll(t, l)
			if err := os.Rename(opts.Path, opts.Path+".away-"+target); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{"a", "b"}, h.targets()); diff != "" || len(h.chains) != 2 || h.gaps > 0 {
			t.Errorf("%d chains, %d gaps %s", len(h.chains), h.gaps, diff)
		}
	})
}

func TestDrainSendsTheRest(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		synctest.Test(t, func(t *testing.T) {
			opts.Hub = LocalHub
			h := newFakeHub(t)
			l := openLog(t, opts)
			o, err := l.Outbox(LocalHub)
			if err != nil {
				t.Fatal(err)
			}
			appendEvents(t, l, "a", "b")
			if err := o.Drain(t.Context(), ForwardOptions{Send: h.send}); err != nil {
				t.Error(err)
			}
			if got := strings.Join(h.targets(), " "); got != "a b" || o.Pending() != 0 {
				t.Errorf("the hub has %q, %d pending", got, o.Pending())
			}
			appendEvents(t, l, "c")
			abandonAll(t, l)
			down := errors.New("down")
			if err := o.Drain(t.Context(), ForwardOptions{Send: func(context.Context, Batch) (uint64, error) { return 0, down }}); !errors.Is(err, down) {
				t.Errorf("got %v", err)
			}
			if err := errors.Join(o.Drain(t.Context(), ForwardOptions{Send: h.send}), o.Close(), o.Close()); err != nil {
				t.Error(err)
			}
			wantSent(t, opts, h)
			if err := o.Forward(t.Context(), ForwardOptions{Send: h.send}); err == nil {
				t.Error("a closed outbox forwards")
			}
		})
	})
}

func TestNoOutboxWithoutFiles(t *testing.T) {
	off := false
	for name, opts := range map[string]Options{
		"stream": {Config: Config{Output: "stderr"}, Stderr: new(bytes.Buffer)},
		"off":    {Config: Config{Enabled: &off}},
	} {
		l := openLog(t, opts)
		o, err := l.Outbox(LocalHub)
		if o != nil || err != nil || o.Pending() != 0 || o.Close() != nil {
			t.Errorf("%s: got %v, %v", name, o, err)
		}
	}
}

func TestChainKeepsItsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(t)
		opts.Hub = LocalHub
		h := newFakeHub(t)
		down := true
		h.before = func(Batch) error {
			if down {
				return errors.New("down")
			}
			return nil
		}
		l := openLog(t, opts)
		appendEvents(t, l, "a")
		abandonAll(t, l)
		c, err := readCursor(cursorPath(opts.DefaultDir, l.Instance()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(opts.StateDir, machineFile)); err != nil {
			t.Fatal(err)
		}
		down = false
		_, stop := forward(t, openLog(t, opts), LocalHub, ForwardOptions{Send: h.send, OnError: opts.OnError})
		pass(time.Minute)
		stop()
		if _, ok := h.chains[c.chain]; !ok || len(h.chains) != 1 || !strings.HasSuffix(c.chain, "-"+l.Instance()) {
			t.Errorf("chain %q was sent as another", c.chain)
		}
	})
}
