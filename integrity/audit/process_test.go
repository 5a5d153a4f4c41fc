//go:build !windows

package audit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// recorded returns the targets of all decisions, by session.
func recorded(t *testing.T, opts Options) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for r, err := range Read(logPath(opts), time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Kind == Decision {
			found[r.Session] = append(found[r.Session], r.Target)
		}
	}
	return found
}

// Killed at any moment, also while the spool is written to its segment: the log is whole, and holds each event that was
// released once.
func TestKilledWriterLeavesACleanLogThatGoesOn(t *testing.T) {
	for name, spool := range map[string]int{"spool": 0, "tiny spool": 4 << 10, "no spool": -1} {
		layouts(t, func(t *testing.T, opts Options) {
			if opts.Path != "" && spool != 0 {
				return // has none
			}
			t.Run(name, func(t *testing.T) {
				opts := opts
				opts.spool, opts.DefaultDir = spool, t.TempDir()
				testKilledWriter(t, opts)
			})
		})
	}
}

func testKilledWriter(t *testing.T, opts Options) {
	said := map[string]int{}
	const rounds = 16
	for round := range rounds {
		cmd, out := startChild(t, "loop", opts)
		count := func() {
			if session, number, _ := strings.Cut(out.Text(), " "); number != "" {
				said[session]++
			}
		}
		for i := 0; i < 3+37*round && out.Scan(); i++ {
			count()
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for out.Scan() { // said before it died
			count()
		}
		_ = cmd.Wait() // killed
		if round%2 == 0 {
			wantIntact(t, opts, -1)
		}
	}
	wantIntact(t, opts, -1)
	found := recorded(t, opts)
	if len(said) != rounds {
		t.Errorf("got %d sessions, want %d", len(said), rounds)
	}
	for session, n := range said {
		if len(found[session]) < n-1 { // the last line said may be torn
			t.Errorf("session %s: %d events recorded, %d released", session, len(found[session]), n)
		}
		for i, target := range found[session] {
			if target != fmt.Sprint(i) {
				t.Fatalf("session %s: event %d is %s", session, i, target)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(opts.DefaultDir, "*"+spoolExt)); len(left) > 0 {
		t.Errorf("spools are left: %q", left)
	}
}

func TestProcessesShareALog(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		const processes, calls = 5, 300
		var children []*exec.Cmd
		for range processes {
			cmd, out := startChild(t, "count", opts)
			children = append(children, cmd)
			out.Scan() // there is something to verify
			go func() {
				for out.Scan() {
				}
			}()
		}
		for range 20 { // while they write
			wantIntact(t, opts, -1)
		}
		for _, cmd := range children {
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		res := wantIntact(t, opts, -1)
		if want := map[bool]int{true: 1, false: processes}[opts.Path != ""]; len(res.Chains) != want {
			t.Errorf("got %d chains, want %d", len(res.Chains), want)
		}
		found := recorded(t, opts)
		for session, targets := range found {
			for i, target := range targets {
				if target != fmt.Sprint(i) {
					t.Fatalf("session %s: event %d is %s", session, i, target)
				}
			}
			if len(targets) != calls {
				t.Errorf("session %s: got %d events, want %d", session, len(targets), calls)
			}
		}
		if len(found) != processes {
			t.Errorf("got %d sessions, want %d", len(found), processes)
		}
	})
}

func TestFullDisk(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		for mode, want := range map[string]string{
			// The commit that makes a loss known is an error too; then all is well again.
			"block": "true 1 audit log PATH has a gap: events were lost while it could not be written <nil>",
			"warn":  "false 1 <nil> <nil>",
		} {
			t.Run(mode, func(t *testing.T) {
				opts := opts
				opts.OnFailure = mode
				opts.StateDir = t.TempDir()
				opts.DefaultDir = t.TempDir()
				if opts.Path != "" {
					opts.Path = filepath.Join(opts.DefaultDir, "log.jsonl")
				}
				cmd, out := startChild(t, "full", opts)
				out.Scan()
				got := strings.ReplaceAll(out.Text(), logPath(opts), "PATH")
				if err := cmd.Wait(); err != nil {
					t.Fatal(err)
				}
				if got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				res := wantIntact(t, opts, -1)
				if n := len(res.Chains[0].Notes); n != 1 || !strings.Contains(res.Chains[0].Notes[0], "tells of an outage") {
					t.Errorf("got notes %q, want one of the outage", res.Chains[0].Notes)
				}
				wantWholeOrConfessed(t, opts, 502)
			})
		}
	})
}

// wantWholeOrConfessed counts the decisions in the log and those that it says are lost.
func wantWholeOrConfessed(t *testing.T, opts Options, want int) {
	t.Helper()
	decisions, lost := 0, 0
	var last []string
	for r, err := range Read(logPath(opts), time.Time{}) {
		switch {
		case err != nil:
			t.Fatal(err)
		case r.Kind == Decision:
			decisions++
			last = append(last, r.Target)
		case r.Reason == "audit_gap":
			if _, err := fmt.Sscanf(string(r.Args), `{"count":%d,`, &lost); err != nil {
				t.Fatal(err)
			}
		}
	}
	if lost == 0 || decisions+lost != want {
		t.Errorf("got %d decisions and %d lost, want %d together", decisions, lost, want)
	}
	if !slices.Contains(last, "later") {
		t.Error("the last event is not in the log")
	}
}

func TestFilesAreForTheOwnerOnly(t *testing.T) {
	for _, name := range []string{"folder/", "log.jsonl"} {
		t.Run(name, func(t *testing.T) {
			opts := testOptions(t)
			opts.Path = t.TempDir() + "/new/" + name
			l := openLog(t, opts)
			l.Link(LinkInfo{}).Append(&Event{Kind: Decision})
			commit(t, l)
			err := filepath.Walk(filepath.Dir(opts.Path), func(path string, info os.FileInfo, err error) error {
				if err == nil && info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s has mode %v", path, info.Mode())
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// Another hand at the live segment does not silence the log, and is found.
func TestLiveSegmentUnderAnotherHand(t *testing.T) {
	for name, tamper := range map[string]func(string) error{
		"segment_removed": os.Remove,
		"segment_altered": func(path string) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			opts := testOptions(t)
			now := time.Now()
			opts.Now = func() time.Time { now = now.Add(time.Second); return now }
			l := openLog(t, opts)
			appendEvents(t, l, "a", "b")
			if err := tamper(onlySegment(t, opts.DefaultDir)); err != nil {
				t.Fatal(err)
			}
			appendEvents(t, l, "c")
			l.flushSpool()
			if got := reasons(t, opts); !slices.Contains(got, name) {
				t.Errorf("got %q, want %s", got, name)
			}
			if res := verify(t, opts); res.Intact() {
				t.Error("verify found nothing")
			}
		})
	}
}
