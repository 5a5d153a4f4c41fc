package audit

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReadMergesByTime(t *testing.T) {
	opts := testOptions(t)
	now := time.Now().Add(-time.Hour)
	opts.Now = func() time.Time { now = now.Add(time.Millisecond); return now }
	a, b := openLog(t, opts), openLog(t, opts)
	var middle time.Time
	for i := range 10 {
		if i == 5 {
			middle = now
		}
		appendEvents(t, []*Log{a, b}[i%2], fmt.Sprint(i))
	}
	a.flushSpool()
	b.flushSpool()
	if got := strings.Join(recordedTargets(t, opts), ""); got != "0123456789" {
		t.Errorf("got %s", got)
	}
	var late []string
	for r, err := range Read(opts.DefaultDir, middle.Add(1)) {
		if err != nil {
			t.Fatal(err)
		}
		late = append(late, r.Target)
	}
	if strings.Join(late, "") != "56789" {
		t.Errorf("got %q since the middle", late)
	}
	for r, err := range Read(opts.DefaultDir, time.Time{}) { // whoever has enough may stop
		if err != nil || r.Seq != 1 {
			t.Error(r, err)
		}
		break
	}
}

func TestReadGoesOnBehindBadLines(t *testing.T) {
	opts := testOptions(t)
	opts.Path = filepath.Join(t.TempDir(), "log.jsonl")
	l := openLog(t, opts)
	appendEvents(t, l, "a", "b")
	all := lines(t, opts.Path)
	write(t, opts.Path, []string{all[0], "bad", strings.Repeat("x", maxLine+1), all[1], all[2]})
	var got, bad []string
	for r, err := range Read(opts.Path, time.Time{}) {
		if err != nil {
			bad = append(bad, err.Error())
			continue
		}
		got = append(got, r.Target)
	}
	if strings.Join(got, " ") != " a b" || len(bad) != 2 || !strings.Contains(bad[0], ":2:") || !strings.Contains(bad[1], ":3:") {
		t.Errorf("got %q and errors %q", got, bad)
	}
}

func TestTail(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		opts.MaxSize = minMaxSize
		opts.Args = "full"
		l := openLog(t, opts)
		k := l.Link(LinkInfo{})
		n := 0
		add := func(count int) (want []string) { // enough of them rotate the log
			for range count {
				k.Append(&Event{Kind: Decision, Target: fmt.Append(nil, n), Args: []byte(`"` + strings.Repeat("x", 9000) + `"`)})
				commit(t, l)
				want = append(want, fmt.Sprint(n))
				n++
			}
			l.flushSpool()
			return want
		}
		check := func(what string, records []*Record, err error, want []string) {
			t.Helper()
			var got []string
			for _, r := range records {
				if r.Kind == Decision {
					got = append(got, r.Target)
				}
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: got %q, %v, want %q", what, got, err, want)
			}
		}
		first := add(20)
		tail, err := NewTail(logPath(opts))
		if err != nil {
			t.Fatal(err)
		}
		last, err := tail.Last(15)
		check("last", last, err, first[len(first)-len(last)+countOwn(last):])
		if len(last) != 15 {
			t.Errorf("got %d events, want 15", len(last))
		}
		for _, count := range []int{0, 1, 3, 7, 20, 1} {
			want := add(count)
			more, err := tail.Poll()
			check(fmt.Sprint("poll ", count), more, err, want)
		}
	})
}

func TestTailWaitsForALog(t *testing.T) {
	opts := testOptions(t)
	opts.DefaultDir = filepath.Join(t.TempDir(), "state", "audit")
	tail, err := NewTail(opts.DefaultDir)
	if err != nil {
		t.Fatal(err)
	}
	if last, err := tail.Last(5); err != nil || len(last) != 0 {
		t.Errorf("got %v, %v, want nothing yet", last, err)
	}
	appendEvents(t, openLog(t, opts), "a")
	if more, err := tail.Poll(); err != nil || len(more) != 2 || more[1].Target != "a" {
		t.Errorf("got %v, %v, want what came", more, err)
	}
}

func countOwn(records []*Record) (n int) {
	for _, r := range records {
		if r.Kind != Decision {
			n++
		}
	}
	return n
}
