package audit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

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
