//go:build unix

package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The spool goes with the chain from segment to segment, and what is left in it belongs to the last one.
func TestSpoolFollowsRotation(t *testing.T) {
	opts := testOptions(t)
	opts.MaxSize, opts.Args = minMaxSize, "full"
	l := openLog(t, opts)
	k := l.Link(LinkInfo{})
	var want []string
	for i := range 60 {
		want = append(want, fmt.Sprint(i))
		k.Append(&Event{Kind: Decision, Target: []byte(want[i]), Args: []byte(`"` + strings.Repeat("x", 9000) + `"`)})
		commit(t, l)
		if spools, _ := filepath.Glob(filepath.Join(opts.DefaultDir, "*"+spoolExt)); len(spools) != 1 {
			t.Fatalf("got spools %q, want one", spools)
		}
	}
	abandon(t, l)
	wantIntact(t, opts, -1)
	if got := recordedTargets(t, opts); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	segments, err := folderSegments(opts.DefaultDir)
	if err != nil || len(segments) < 5 {
		t.Errorf("got %d segments, %v", len(segments), err)
	}
}

func TestCopyWithASpool(t *testing.T) {
	opts, spool := deadLog(t)
	before, err := os.ReadFile(spool)
	if err != nil {
		t.Fatal(err)
	}
	res, err := Verify("", opts.DefaultDir)
	if err != nil || !res.Intact() || res.Events != 6 {
		t.Fatalf("got %+v, %v", res, err)
	}
	if notes := strings.Join(res.Chains[0].Notes, ", "); !strings.Contains(notes, "not chained yet: 4 events in "+spool) {
		t.Errorf("got notes %s", notes)
	}
	cmd, out := startChild(t, "read", opts) // may not write
	out.Scan()
	if want := "[ a b c d e d e] [] 6 1"; out.Text() != want {
		t.Errorf("got %s, want %s", out.Text(), want)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if after, err := os.ReadFile(spool); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the spool was changed, %v", err)
	}
}

func TestDamagedSpoolIsNamedAndLeftAlone(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"an event":      func(b []byte) []byte { b[spoolHeader+700] ^= 1; return b },
		"a length":      func(b []byte) []byte { b[spoolHeader+3] = 0xff; return b },
		"the header":    func(b []byte) []byte { b[spoolTailAt+6] = 1; return b },
		"the magic":     func(b []byte) []byte { b[0] = 'M'; return b },
		"cut":           func(b []byte) []byte { return b[:spoolHeader+900] },
		"all cut":       func(b []byte) []byte { return b[:spoolHeader] },
		"not a spool":   func([]byte) []byte { return []byte("my notes\n") },
		"much too long": func(b []byte) []byte { return append(b, make([]byte, maxSpoolFile)...) },
	} {
		t.Run(name, func(t *testing.T) {
			opts, spool := deadLog(t)
			data, err := os.ReadFile(spool)
			if err != nil {
				t.Fatal(err)
			}
			data = change(data)
			if err := os.WriteFile(spool, data, 0o600); err != nil {
				t.Fatal(err)
			}
			var told []error
			opts.OnError = func(err error) { told = append(told, err) }
			openLog(t, opts)
			if len(told) != 1 || !strings.Contains(told[0].Error(), spool) {
				t.Errorf("open told %v", told)
			}
			if res := verify(t, opts); len(res.Problems) != 1 || res.Problems[0].File != spool {
				t.Errorf("verify found %v", res.Problems)
			}
			failed := 0
			for _, err := range Read(opts.DefaultDir, time.Time{}) {
				if bad := (*SpoolError)(nil); errors.As(err, &bad) && bad.Path == spool {
					failed++
				}
			}
			if failed != 1 {
				t.Errorf("read told %d times", failed)
			}
			if after, err := os.ReadFile(spool); err != nil || !bytes.Equal(after, data) {
				t.Errorf("the spool was changed, %v", err)
			}
		})
	}
}

// A process that is killed while it makes its spool leaves zeros.
func TestUnusedSpoolIsRemoved(t *testing.T) {
	for _, content := range []string{"", "\x00\x00", spoolMagic[:5] + strings.Repeat("\x00", 500), spoolMagic} {
		opts, spool := deadLog(t)
		if err := os.WriteFile(spool, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		openLog(t, opts)
		if _, err := os.Stat(spool); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q is still there: %v", content, err)
		}
	}
}

func TestSpoolWithoutItsSegmentIsAProblem(t *testing.T) {
	opts, spool := deadLog(t)
	if err := os.Remove(strings.TrimSuffix(spool, spoolExt)); err != nil {
		t.Fatal(err)
	}
	res := verify(t, opts)
	if len(res.Problems) != 2 || res.Problems[0].File != spool || !strings.Contains(res.Problems[0].What, "has no segment") {
		t.Errorf("got %v", res.Problems)
	}
}

func TestFullDiskWithRoomInTheSpool(t *testing.T) {
	for mode, want := range map[string]string{"block": "true true 0 1 <nil>", "warn": "true false 0 1 <nil>"} {
		t.Run(mode, func(t *testing.T) {
			opts := testOptions(t)
			opts.OnFailure, opts.spool = mode, 20<<10
			cmd, out := startChild(t, "full spool", opts)
			out.Scan()
			if err := cmd.Wait(); err != nil || out.Text() != want {
				t.Errorf("got %s, %v, want %s", out.Text(), err, want)
			}
			res := wantIntact(t, opts, -1)
			if n := len(res.Chains[0].Notes); n != 1 {
				t.Errorf("got notes %q, want one of the outage", res.Chains[0].Notes)
			}
			got := recordedTargets(t, opts)
			for i, target := range got[:len(got)-1] {
				if target != fmt.Sprint(i) {
					t.Fatalf("event %d is %s", i, target)
				}
			}
			if len(got) != 202 {
				t.Errorf("got %d events, want 202", len(got))
			}
		})
	}
}

// Somebody who cuts or removes the spool of a process that lives costs it the spool, and no event.
func TestSpoolUnderAnotherHand(t *testing.T) {
	for name, tamper := range map[string]func(string) error{
		"cut":     func(path string) error { return os.Truncate(path, 0) },
		"removed": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			opts := testOptions(t)
			now := time.Now()
			opts.Now = func() time.Time { now = now.Add(time.Second); return now }
			l := openLog(t, opts)
			appendEvents(t, l, "a", "b")
			if err := tamper(onlySegment(t, opts.DefaultDir) + spoolExt); err != nil {
				t.Fatal(err)
			}
			appendEvents(t, l, "c")
			l.flushSpool()
			appendEvents(t, l, "d")
			if got := strings.Join(recordedTargets(t, opts), ""); got != "abcd" {
				t.Errorf("got %s: without a spool each commit writes", got)
			}
			wantIntact(t, opts, -1)
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEventIsFlushedSoonAndIdleLogKeepsNoTimer(t *testing.T) {
	opts := testOptions(t)
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, opts)
		appendEvents(t, l, "a")
		tail, err := NewTail(opts.DefaultDir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tail.Last(0); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			appendEvents(t, l, "b")
			if more, err := tail.Poll(); err != nil || len(more) != 0 {
				t.Errorf("got %v, %v before the flush", more, err)
			}
			<-time.After(flushEvery)
			synctest.Wait()
			if more, err := tail.Poll(); err != nil || len(more) != 1 || more[0].Target != "b" {
				t.Errorf("got %v, %v, want what was flushed", more, err)
			}
			if l.staged.timer.Stop() || l.staged.due != notDue {
				t.Error("an idle log keeps a timer")
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCloseLeavesNoSpool(t *testing.T) {
	opts := testOptions(t)
	l := openLog(t, opts)
	appendEvents(t, l, "a", "b")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(opts.DefaultDir, "*"+spoolExt)); len(left) > 0 {
		t.Errorf("got %q", left)
	}
	wantIntact(t, opts, 3)
}

// Whatever a spool holds, what is read of it is whole events, and nothing of a file that is not one.
func FuzzReadSpool(f *testing.F) {
	_, spool := deadLog(f)
	data, err := os.ReadFile(spool)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[:spoolHeader])
	f.Add(data[:spoolHeader+4000])
	f.Add([]byte(spoolMagic))
	f.Add([]byte("text"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "x"+spoolExt)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		events, _, _ := readSpool(path)
		for len(events) > 0 {
			n, ok := checkStaged(events)
			if !ok {
				t.Fatalf("%q is no event", events)
			}
			events = events[n:]
		}
	})
}

// Relieve writes early what is much, leaves alone what is little, and never waits for another writer. What it writes ends
// with a page of the file, whatever was written before, and in whole lines; what it leaves is written in its time.
func TestRelieve(t *testing.T) {
	opts := testOptions(t)
	l := openLog(t, opts)
	appendEvents(t, l, "a", "b", "c")
	segment := onlySegment(t, opts.DefaultDir)
	before := len(lines(t, segment))
	l.Relieve()
	if got := len(lines(t, segment)); got != before {
		t.Errorf("got %d lines in the segment, want %d: too little for a write", got, before)
	}
	want := []string{"a", "b", "c"}
	for round := range 3 {
		for i := range 180 {
			want = append(want, fmt.Sprint("event ", round, i, strings.Repeat(" and more", i%31)))
		}
		appendEvents(t, l, want[len(want)-180:]...)
		l.write.Lock()
		l.Relieve()
		l.write.Unlock()
		if got := len(lines(t, segment)); got != before {
			t.Errorf("got %d lines in the segment, want %d: another one writes", got, before)
		}
		l.Relieve()
		data, err := os.ReadFile(segment)
		if err != nil {
			t.Fatal(err)
		}
		if len(data)%page != 0 || data[len(data)-1] != '\n' || bytes.Count(data, []byte{'\n'}) <= before {
			t.Errorf("round %d: got a segment of %d bytes, want whole pages of whole lines, more than %d", round, len(data), before)
		}
		before = bytes.Count(data, []byte{'\n'})
		if l.staged.held+len(l.staged.buf) >= 2*chunk || l.staged.due == notDue {
			t.Errorf("round %d: %d bytes are left and due is %v", round, l.staged.held+len(l.staged.buf), l.staged.due)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, recordedTargets(t, opts)); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	if res, err := Verify(opts.StateDir, opts.DefaultDir); err != nil || !res.Intact() {
		t.Errorf("got %+v, %v, want an intact log", res, err)
	}
}

// A write is filled up with spaces to the end of a page only if what comes next is what fills it else.
func TestFillOnlyBeforeWhatDoesNotFit(t *testing.T) {
	opts := testOptions(t)
	l := openLog(t, opts)
	k := l.Link(LinkInfo{Server: "s"})
	for range 150 { // in one write: with events that are larger than a page and larger than a write
		k.Append(&Event{Kind: Decision, Target: []byte("small")})
		k.Append(&Event{Kind: Decision, Detail: []byte(`"` + strings.Repeat("x", 9000) + `"`)})
	}
	k.Append(&Event{Kind: Decision, Detail: []byte(`"` + strings.Repeat("x", 2*chunk) + `"`)})
	k.Append(&Event{Kind: Decision, Target: []byte("last")})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	filled := 0
	for _, line := range lines(t, onlySegment(t, opts.DefaultDir)) {
		n := len(line) - len("}") - len(strings.TrimRight(strings.TrimSuffix(line, "}"), " "))
		if n >= page {
			t.Errorf("%d spaces in a line", n)
		}
		filled += n
	}
	if filled >= 150*page/7 {
		t.Errorf("%d spaces in all: more than one write in seven ends with some", filled)
	}
	if res, err := Verify(opts.StateDir, opts.DefaultDir); err != nil || !res.Intact() {
		t.Errorf("got %+v, %v, want an intact log", res, err)
	}
}
