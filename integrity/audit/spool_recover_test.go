//go:build unix

package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// abandon leaves a log as the death of its process does.
func abandon(t testing.TB, l *Log) {
	t.Helper()
	l.write.Lock()
	defer l.write.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.staged.timer != nil {
		l.staged.timer.Stop()
	}
	if l.armed {
		l.settler.Stop()
		l.armed = false
	}
	if err := l.sink.(*folder).file.Close(); err != nil { // and its lock
		t.Fatal(err)
	}
}

// deadLog leaves a log of five events and its opening, four of them in a spool.
func deadLog(t testing.TB) (opts Options, spool string) {
	t.Helper()
	opts = testOptions(t)
	l := openLog(t, opts)
	appendEvents(t, l, "a", "b", "c", "d", "e")
	abandon(t, l)
	segment := onlySegment(t, opts.DefaultDir)
	if n := len(lines(t, segment)); n != 2 {
		t.Fatalf("got %d lines in the segment, want 2: the rest belongs in the spool", n)
	}
	return opts, segment + spoolExt
}

func TestWhatAProcessLeavesInItsSpoolIsRecovered(t *testing.T) {
	for name, look := range map[string]func(t *testing.T, opts Options){
		"open": func(t *testing.T, opts Options) { openLog(t, opts) },
		"verify": func(t *testing.T, opts Options) {
			if res := wantIntact(t, opts, 6); len(res.Chains[0].Notes) > 0 {
				t.Errorf("got notes %q", res.Chains[0].Notes)
			}
		},
		"read": func(t *testing.T, opts Options) { recordedTargets(t, opts) },
		"tail": func(t *testing.T, opts Options) {
			tail, err := NewTail(opts.DefaultDir)
			if err != nil {
				t.Fatal(err)
			}
			if last, err := tail.Last(2); err != nil || len(last) != 2 || last[1].Target != "e" {
				t.Errorf("got %v, %v", last, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			opts, spool := deadLog(t)
			look(t, opts)
			if _, err := os.Stat(spool); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the spool is still there: %v", err)
			}
			if got := len(lines(t, onlySegment(t, opts.DefaultDir))); got != 6 {
				t.Errorf("got %d lines, want 6", got)
			}
			wantIntact(t, opts, 6)
			if got := strings.Join(recordedTargets(t, opts), ""); got != "abcde" {
				t.Errorf("got %s, want each event once", got)
			}
		})
	}
}

// A recovered end counts as recorded: cutting it off is found.
func TestRecoveryMovesTheHead(t *testing.T) {
	opts, _ := deadLog(t)
	openLog(t, opts)
	segment := onlySegment(t, opts.DefaultDir)
	all := lines(t, segment)
	write(t, segment, all[:5])
	if res := verify(t, opts); res.Intact() || !strings.Contains(res.Problems[0].What, "event 6 is missing at the end") {
		t.Errorf("got %v, want the last event to be missing", res.Problems)
	}
}

// What was cut off a dead segment does not become whole by what is left in its spool.
func TestRecoveryLeavesATamperedLogAlone(t *testing.T) {
	for name, change := range map[string]func([]string) []string{
		"cut":    func(l []string) []string { return l[:1] },
		"edited": func(l []string) []string { l[1] = strings.Replace(l[1], `"a"`, `"x"`, 1); return l },
	} {
		t.Run(name, func(t *testing.T) {
			opts, spool := deadLog(t)
			segment := onlySegment(t, opts.DefaultDir)
			write(t, segment, change(lines(t, segment)))
			before, _ := os.ReadFile(segment)
			for range 2 {
				if res := verify(t, opts); res.Intact() {
					t.Error("verify found nothing")
				}
			}
			told := 0
			opts.OnError = func(error) { told++ }
			openLog(t, opts)
			after, _ := os.ReadFile(segment)
			if _, err := os.Stat(spool); err != nil || told != 1 || !bytes.Equal(before, after) {
				t.Errorf("%v, %d told; the segment became %s", err, told, after)
			}
		})
	}
}

// However much of a flush is on the disk when it is killed, recovery completes it to the same bytes.
func TestRecoveryCompletesAKilledFlush(t *testing.T) {
	opts := testOptions(t)
	l := openLog(t, opts)
	appendEvents(t, l, "a", "b", "c")
	path := onlySegment(t, opts.DefaultDir)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	spool, err := os.ReadFile(path + spoolExt)
	if err != nil {
		t.Fatal(err)
	}
	l.flushSpool()
	want, err := os.ReadFile(path)
	if err != nil || len(want) <= len(before) {
		t.Fatal(len(want), err)
	}
	for cut := len(before); cut <= len(want); cut += 7 {
		dir := t.TempDir()
		copied := filepath.Join(dir, filepath.Base(path))
		if err := errors.Join(os.WriteFile(copied, want[:cut], 0o600), os.WriteFile(copied+spoolExt, spool, 0o600)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 3 { // as several processes do at once
			wg.Go(func() {
				if errs := recoverSpools(dir, heads{}); len(errs) > 0 {
					t.Error(errs)
				}
			})
		}
		wg.Wait()
		if got, err := os.ReadFile(copied); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("cut at %d: got %d bytes, %v, want %d", cut, len(got), err, len(want))
		}
		if _, err := os.Stat(copied + spoolExt); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("cut at %d: the spool is still there: %v", cut, err)
		}
	}
}

// A process that dies between making a segment and moving its spool there leaves an empty one.
func TestDeathDuringRotation(t *testing.T) {
	for _, moved := range []bool{false, true} {
		t.Run(fmt.Sprint("moved ", moved), func(t *testing.T) {
			opts, spool := deadLog(t)
			s, _ := parseSegment(strings.TrimSuffix(spool, spoolExt))
			next := filepath.Join(opts.DefaultDir, segmentName(s.start.Add(time.Hour), s.instance))
			if err := os.WriteFile(next, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if moved {
				if err := os.Rename(spool, next+spoolExt); err != nil {
					t.Fatal(err)
				}
			}
			wantIntact(t, opts, 6)
			if got := strings.Join(recordedTargets(t, opts), ""); got != "abcde" {
				t.Errorf("got %s", got)
			}
		})
	}
}
