package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const teamHub = "https://hub.example.com"

// A fakeHub takes batches as a hub does: in order, each event once.
type fakeHub struct {
	t testing.TB

	mu      sync.Mutex
	chains  map[string][]*Record
	hashes  map[string][32]byte // of the last line
	gaps    int
	batches int
	again   int                      // events that it had already
	before  func(Batch) error        // asked first
	after   func(uint64) uint64      // what it acknowledges in place of what it has
	took    func(chain string) error // asked at the end
}

func newFakeHub(t testing.TB) *fakeHub {
	return &fakeHub{t: t, chains: map[string][]*Record{}, hashes: map[string][32]byte{}}
}

// A hubError is what a Sender may return.
type hubError struct {
	permanent bool
	after     time.Duration
}

func (e *hubError) Error() string             { return fmt.Sprintf("hub error %+v", *e) }
func (e *hubError) Permanent() bool           { return e.permanent }
func (e *hubError) RetryAfter() time.Duration { return e.after }

type behindError uint64

func (e behindError) Error() string     { return "behind" }
func (e behindError) AckedUpTo() uint64 { return uint64(e) }

func (h *fakeHub) last(chain string) uint64 {
	if have := h.chains[chain]; len(have) > 0 {
		return have[len(have)-1].Seq
	}
	return 0
}

func (h *fakeHub) send(_ context.Context, b Batch) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.batches++
	if h.before != nil {
		if err := h.before(b); err != nil {
			return 0, err
		}
	}
	if !validChain(b.Chain) || !bytes.HasSuffix(b.Lines, []byte("\n")) || len(b.Lines) > maxLine+1 {
		h.t.Errorf("chain %q, %d bytes", b.Chain, len(b.Lines))
	}
	if last := h.last(b.Chain); b.First > last+1 {
		if !b.Gap {
			return 0, behindError(last)
		}
		h.gaps++
	}
	seq, n := b.First, 0
	for line := range bytes.Lines(b.Lines) {
		line = bytes.Clone(bytes.TrimSuffix(line, []byte("\n")))
		r, err := Parse(line)
		if err != nil || r.Seq != seq {
			h.t.Errorf("seq %d: got %+v, %v", seq, r, err)
			return 0, &hubError{permanent: true}
		}
		if seq > h.last(b.Chain) {
			if sum := h.hashes[b.Chain]; !b.Gap && r.Prev != fmt.Sprintf("%x", sum) {
				h.t.Errorf("chain %s: event %d does not continue the one before", b.Chain, seq)
			}
			h.chains[b.Chain] = append(h.chains[b.Chain], r)
			h.hashes[b.Chain] = Sum(line)
		} else {
			h.again++
		}
		seq, n = seq+1, n+1
	}
	if n != b.Events || seq != b.Last+1 {
		h.t.Errorf("batch of %d to %d with %d events holds %d to %d", b.First, b.Last, b.Events, b.First, seq-1)
	}
	acked := h.last(b.Chain)
	if h.after != nil {
		acked = h.after(acked)
	}
	if h.took != nil {
		return acked, h.took(b.Chain)
	}
	return acked, nil
}

func (h *fakeHub) events() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, have := range h.chains {
		n += len(have)
	}
	return n
}

func (h *fakeHub) targets() (targets []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, have := range h.chains {
		for _, r := range have {
			if r.Kind == Decision {
				targets = append(targets, r.Target)
			}
		}
	}
	slices.Sort(targets)
	return targets
}

// forward starts an outbox of l and returns a function that ends it and waits until it has ended.
func forward(t testing.TB, l *Log, hub string, opt ForwardOptions) (o *Outbox, stop func()) {
	t.Helper()
	o, err := l.Outbox(hub)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.Forward(ctx, opt) }()
	return o, sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-done, o.Close()); err != nil {
			t.Error(err)
		}
	})
}

// wantSent compares what the hub has with what is in the log.
func wantSent(t testing.TB, opts Options, h *fakeHub) {
	t.Helper()
	res := wantIntact(t, opts, -1)
	if got := h.events(); got != res.Events || got == 0 {
		t.Errorf("the hub has %d events, the log %d", got, res.Events)
	}
	if h.gaps > 0 {
		t.Errorf("%d gaps were declared", h.gaps)
	}
}

// pass lets time pass in a bubble, and what it set off be done.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestEventsReachTheHub(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		synctest.Test(t, func(t *testing.T) {
			opts.Hub = LocalHub
			h := newFakeHub(t)
			l := openLog(t, opts)
			sent := 0
			o, stop := forward(t, l, LocalHub, ForwardOptions{Send: h.send, OnError: opts.OnError, OnSent: func() { sent++ }})
			appendEvents(t, l, "a", "b")
			if o.Pending() == 0 && opts.Path != "" { // what is in the spool does not count yet
				t.Error("nothing is pending")
			}
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

// However a hub fails, each event arrives, and while it fails it is asked seldom.
func TestHubInTrouble(t *testing.T) {
	down := errors.New("down")
	for name, trouble := range map[string]struct {
		fail  func(h *fakeHub, n int, b Batch) error
		after func(n int, acked uint64) uint64
		most  int // batches in ten minutes of trouble
		told  int
	}{
		"down":          {fail: func(*fakeHub, int, Batch) error { return down }, most: 60, told: 1},
		"retry after":   {fail: func(*fakeHub, int, Batch) error { return &hubError{after: 5 * time.Minute} }, most: 4, told: 1},
		"retry never":   {fail: func(*fakeHub, int, Batch) error { return &hubError{after: 1 << 60} }, most: 2, told: 1},
		"acks nothing":  {after: func(int, uint64) uint64 { return 0 }, most: 60, told: 1},
		"acks too much": {after: func(_ int, acked uint64) uint64 { return acked + 1000 }, most: 1 << 20},
		"acks a part":   {after: func(_ int, acked uint64) uint64 { return acked - min(acked-1, 1) }, most: 1 << 20, told: 1},
		"behind nothing": {fail: func(h *fakeHub, _ int, b Batch) error { return behindError(b.First - 1) },
			most: 60, told: 1},
		"changes its mind": {after: func(n int, acked uint64) uint64 { return acked * uint64(n%2) }, most: 3000, told: -1},
	} {
		t.Run(name, func(t *testing.T) {
			layouts(t, func(t *testing.T, opts Options) {
				synctest.Test(t, func(t *testing.T) {
					h := newFakeHub(t)
					well, n, told := false, 0, 0
					h.before = func(b Batch) error {
						if n++; !well && trouble.fail != nil {
							return trouble.fail(h, n, b)
						}
						return nil
					}
					h.after = func(acked uint64) uint64 {
						if !well && trouble.after != nil {
							return trouble.after(n, acked)
						}
						return acked
					}
					opts.Hub = LocalHub
					l := openLog(t, opts)
					appendEvents(t, l, "a", "b", "c")
					_, stop := forward(t, l, LocalHub, ForwardOptions{Send: h.send, OnError: func(err error) { told++; t.Log(err) }})
					defer stop()
					for range 150 {
						appendEvents(t, l, "x")
						pass(4 * time.Second)
					}
					if n > trouble.most || n == 0 {
						t.Errorf("the hub was asked %d times, want at most %d", n, trouble.most)
					}
					if trouble.told >= 0 && told > trouble.told {
						t.Errorf("%d errors were told", told)
					}
					h.mu.Lock()
					well = true
					h.mu.Unlock()
					pass(maxRetryAfter + time.Minute)
					stop()
					wantSent(t, opts, h)
				})
			})
		})
	}
}

// A hub that lost its store gets everything again.
func TestHubThatForgot(t *testing.T) {
	for name, forget := range map[string]func(h *fakeHub){
		"acks less": func(h *fakeHub) {
			first := true
			h.before = func(Batch) error { return nil }
			h.after = func(acked uint64) uint64 {
				if first {
					first = false
					clear(h.chains)
					clear(h.hashes)
					return 0
				}
				return acked
			}
		},
		"says that it is behind": func(h *fakeHub) {
			clear(h.chains)
			clear(h.hashes)
		},
	} {
		t.Run(name, func(t *testing.T) {
			layouts(t, func(t *testing.T, opts Options) {
				synctest.Test(t, func(t *testing.T) {
					opts.MaxSize, opts.Hub = minMaxSize, teamHub
					h := newFakeHub(t)
					l := openLog(t, opts)
					_, stop := forward(t, l, teamHub, ForwardOptions{Send: h.send, OnError: opts.OnError})
					for range 300 {
						appendEvents(t, l, strings.Repeat("x", 900))
					}
					pass(time.Minute)
					h.mu.Lock()
					forget(h)
					h.mu.Unlock()
					appendEvents(t, l, "more")
					pass(time.Minute)
					stop()
					wantSent(t, opts, h)
				})
			})
		})
	}
}

// One event that is refused for good costs itself, not what comes after it and not the other chains.
func TestRefusedEventIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(t)
		opts.Hub = LocalHub
		other := openLog(t, opts)
		appendEvents(t, other, "other")
		abandonAll(t, other)
		h := newFakeHub(t)
		h.before = func(b Batch) error {
			if bytes.Contains(b.Lines, []byte(`"target":"bad"`)) {
				return &hubError{permanent: true}
			}
			return nil
		}
		l := openLog(t, opts)
		for i := range 700 {
			appendEvents(t, l, map[bool]string{true: "bad", false: "good"}[i == 333])
		}
		l.flushSpool()
		var told []string
		_, stop := forward(t, l, LocalHub, ForwardOptions{Send: h.send, OnError: func(err error) { told = append(told, err.Error()) }})
		pass(maxBackoff - 30*time.Second)
		if got := h.targets(); !slices.Contains(got, "other") {
			t.Errorf("the other chain waits: %d targets", len(got))
		}
		pass(2 * maxBackoff)
		stop()
		if got := len(h.targets()); got != 700 || h.gaps != 1 || h.batches > 40 {
			t.Errorf("the hub has %d of 700 events, %d gaps after %d batches", got, h.gaps, h.batches)
		}
		if len(told) != 2 || !strings.Contains(told[1], "event 335 of chain") {
			t.Errorf("got %q", told)
		}
		h.batches = 0
		_, stop = forward(t, l, LocalHub, ForwardOptions{Send: h.send, OnError: opts.OnError})
		pass(time.Hour)
		stop()
		if h.batches != 0 {
			t.Error("a later process tried again")
		}
	})
}

func TestLineThatIsNoEventIsLeftOut(t *testing.T) {
	for name, bad := range map[string]string{"text": "hello", "too long": `{"time":"` + strings.Repeat("x", maxLine)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := testOptions(t)
				l := openLog(t, opts)
				appendEvents(t, l, "a", "b", "c")
				abandonAll(t, l)
				path := onlySegment(t, opts.DefaultDir)
				all := lines(t, path)
				all[2] = bad
				if err := os.WriteFile(path, []byte(strings.Join(all, "\n")+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				h := newFakeHub(t)
				told := 0
				_, stop := forward(t, openLog(t, opts), LocalHub, ForwardOptions{Send: h.send, OnError: func(error) { told++ }})
				pass(time.Minute)
				stop()
				if got := strings.Join(h.targets(), " "); got != "a c" || h.gaps != 1 || told == 0 {
					t.Errorf("the hub has %q, %d gaps, %d errors told", got, h.gaps, told)
				}
			})
		})
	}
}

func TestCursorThatIsTornOrForeign(t *testing.T) {
	torn := cursor{hub: LocalHub, chain: "m-i", from: 1, acked: 2}
	half := torn.encode()
	copy(half[bytes.Index(half, []byte(`"acked"`)):], `"acked":"00000000000000000009"`)
	for name, data := range map[string][]byte{"torn": half, "zeros": make([]byte, cursorSize), "empty": nil, "text": []byte("hello")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := testOptions(t)
				opts.Hub = LocalHub
				l := openLog(t, opts)
				appendEvents(t, l, "a", "b")
				abandonAll(t, l)
				path := cursorPath(opts.DefaultDir, l.Instance())
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
				h := newFakeHub(t)
				told := 0
				_, stop := forward(t, openLog(t, opts), LocalHub, ForwardOptions{Send: h.send, OnError: func(error) { told++ }})
				pass(time.Minute)
				stop()
				wantSent(t, opts, h)
				if c, err := readCursor(path); err != nil || c.acked != 3 || told != 1 {
					t.Errorf("got %+v, %v; %d errors told", c, err, told)
				}
			})
		})
	}
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

// A log that was cut behind the hub's back is shown to it again, so that it can tell.
func TestCutLogIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(t)
		opts.Path, opts.Hub = filepath.Join(t.TempDir(), "log.jsonl"), LocalHub
		h := newFakeHub(t)
		l := openLog(t, opts)
		told := 0
		_, stop := forward(t, l, LocalHub, ForwardOptions{Send: h.send, OnError: func(error) { told++ }})
		appendEvents(t, l, "a", "b", "c", "d")
		pass(time.Minute)
		all := lines(t, opts.Path)
		if err := os.Truncate(opts.Path, int64(len(strings.Join(all[:2], "\n"))+1)); err != nil {
			t.Fatal(err)
		}
		appendEvents(t, l, "x")
		pass(time.Minute)
		stop()
		if h.again < 2 || told == 0 {
			t.Errorf("%d events were shown again, %d errors told", h.again, told)
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
