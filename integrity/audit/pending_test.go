package audit

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a hub has not acknowledged stays however old it is, up to a number of bytes. What goes then is told, to the event.
func TestPendingIsBounded(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		for _, acked := range []uint64{0, 7} {
			t.Run(fmt.Sprint(acked), func(t *testing.T) {
				opts := opts
				opts.DefaultDir, opts.StateDir = t.TempDir(), t.TempDir()
				if opts.Path != "" {
					opts.Path = filepath.Join(opts.DefaultDir, "log.jsonl")
				}
				opts.Hub, opts.MaxSize, opts.MaxPending = LocalHub, minMaxSize, 2*minMaxSize
				testPending(t, opts, acked)
			})
		}
	})
}

func testPending(t *testing.T, opts Options, acked uint64) {
	l := openLog(t, opts)
	appendEvents(t, l, "a")
	if acked > 0 {
		h := newFakeHub(t)
		o, err := l.Outbox(LocalHub)
		if err != nil {
			t.Fatal(err)
		}
		appendEvents(t, l, "b", "c", "d", "e", "f")
		if err := o.Drain(t.Context(), ForwardOptions{Send: h.send}); err != nil {
			t.Fatal(err)
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		if h.events() != int(acked) {
			t.Fatalf("%d events were sent, want %d", h.events(), acked)
		}
	}
	for range 205 { // a little over three and a half segments, so that what is told of the first is not dropped itself
		appendEvents(t, l, strings.Repeat("x", 900))
	}
	abandonAll(t, l)
	if opts.Path == "" { // a dead chain of another process counts and goes like ours
		l = openLog(t, opts)
		appendEvents(t, l, "next")
		abandonAll(t, l)
	}

	dropped, bytes := uint64(0), int64(0)
	for r, err := range Read(logPath(opts), time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Reason != reasonDropped {
			continue
		}
		var args struct {
			Events uint64
			Bytes  int64
			Chain  string
		}
		if err := json.Unmarshal(r.Args, &args); err != nil || r.Kind != Anomaly || opts.Path == "" && !validChain(args.Chain) {
			t.Errorf("got %s %s, %v", r.Kind, r.Args, err)
		}
		dropped, bytes = dropped+args.Events, bytes+args.Bytes
	}
	res := wantIntact(t, opts, -1)
	first := res.Chains[0].FirstSeq
	if dropped == 0 || dropped != first-1-acked || bytes < int64(dropped)*900 {
		t.Errorf("%d events in %d bytes are told to be dropped, the log begins with event %d", dropped, bytes, first)
	}
	y, err := findLayout(logPath(opts))
	if err != nil {
		t.Fatal(err)
	}
	chains, err := y.chains()
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, s := range chains[0].segments[:len(chains[0].segments)-1] {
		info, err := os.Stat(s.path)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	if sum > opts.MaxPending || sum < opts.MaxPending/4 {
		t.Errorf("%d bytes of finished files are left, want about %d", sum, opts.MaxPending)
	}

	h := newFakeHub(t)
	_, stop := forward(t, openLog(t, opts), LocalHub, ForwardOptions{Send: h.send, OnError: opts.OnError})
	defer stop()
	waitForEvents(t, h, int(res.Chains[0].LastSeq-first+1))
	if h.gaps != 1 {
		t.Errorf("%d gaps were declared, want 1", h.gaps)
	}
}

// Of a chain that is dropped as a whole nothing is left, and the log stays clean.
func TestWholeDeadChainIsDropped(t *testing.T) {
	opts := testOptions(t)
	opts.Hub, opts.MaxPending = LocalHub, 1
	dead := openLog(t, opts)
	appendEvents(t, dead, "a", "b")
	abandonAll(t, dead)
	unused := openLog(t, opts)
	if err := unused.Close(); err != nil { // a start alone changes nothing
		t.Fatal(err)
	}
	if _, err := os.Stat(cursorPath(opts.DefaultDir, dead.Instance())); err != nil {
		t.Error(err)
	}
	l := openLog(t, opts)
	appendEvents(t, l, "c")
	l.flushSpool()
	if got := strings.Join(reasons(t, opts), " "); got != "log_opened pending_dropped" {
		t.Errorf("got %q", got)
	}
	for _, pattern := range []string{opts.DefaultDir + "/*" + dead.Instance() + "*", opts.StateDir + "/*" + dead.Instance() + "*"} {
		if left, _ := filepath.Glob(pattern); len(left) > 0 {
			t.Errorf("%q is left", left)
		}
	}
	wantIntact(t, opts, 3)
}

func TestSegmentsWithoutADestinationAreNotPending(t *testing.T) {
	opts := testOptions(t)
	opts.MaxPending = 1
	for range 3 {
		l := openLog(t, opts)
		appendEvents(t, l, "a")
		abandonAll(t, l)
	}
	wantIntact(t, opts, 6)
}

// A cursor comes before its segment. One whose process was killed between the two goes after a while.
func TestLoneCursorGoes(t *testing.T) {
	opts := testOptions(t)
	appendEvents(t, openLog(t, opts), "a")
	path := cursorPath(opts.DefaultDir, "0123456789ab")
	if err := writeCursor(path, cursor{hub: LocalHub, from: 1}); err != nil {
		t.Fatal(err)
	}
	for _, age := range []time.Duration{0, 2 * loneAge} {
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
		openLog(t, opts)
		if _, err := os.Stat(path); (err == nil) != (age == 0) {
			t.Errorf("after %s: %v", age, err)
		}
	}
}

func TestCursorComesAndGoesWithItsChain(t *testing.T) {
	opts := testOptions(t)
	opts.Hub = teamHub
	l := openLog(t, opts)
	path := cursorPath(opts.DefaultDir, l.Instance())
	if _, err := os.Stat(path); err == nil {
		t.Error("there is a cursor without an event")
	}
	appendEvents(t, l, "a")
	c, err := readCursor(path)
	if err != nil || c.hub != teamHub || c.need() != 1 {
		t.Errorf("got %+v, %v", c, err)
	}
	info, err := os.Stat(path)
	if err != nil || canRemoveOpen && info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
}

func waitForEvents(t *testing.T, h *fakeHub, n int) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for h.events() < n {
		select {
		case <-look.C:
		case <-deadline.C:
			t.Fatalf("the hub has %d of %d events", h.events(), n)
		}
	}
}
