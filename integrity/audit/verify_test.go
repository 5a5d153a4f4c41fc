package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func write(t testing.TB, path string, lines []string) {
	t.Helper()
	data := strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func logPath(opts Options) string {
	if opts.Path != "" {
		return opts.Path
	}
	return opts.DefaultDir
}

func verify(t testing.TB, opts Options) *Result {
	t.Helper()
	res, err := Verify(opts.StateDir, logPath(opts))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func wantIntact(t testing.TB, opts Options, events int) *Result {
	t.Helper()
	res := verify(t, opts)
	if !res.Intact() {
		t.Fatalf("got problems, want none: %v", res.Problems)
	}
	if events >= 0 && res.Events != events {
		t.Fatalf("got %d events, want %d", res.Events, events)
	}
	return res
}

// threeSegments writes a log of three segments: a clock that goes on by a second and full arguments fill them.
func threeSegments(t *testing.T, opts Options) (segments []string) {
	t.Helper()
	now := time.Now()
	opts.Now = func() time.Time { now = now.Add(time.Second); return now }
	opts.MaxSize = minMaxSize
	opts.Args = "full"
	l := openLog(t, opts)
	k := l.Link(LinkInfo{Server: "s"})
	for i := range 30 {
		k.Append(&Event{Kind: Decision, Target: fmt.Appendf(nil, "tool-%d", i), Args: []byte(`"` + strings.Repeat("x", 5000) + `"`)})
		commit(t, l)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wantIntact(t, opts, 33)
	if opts.Path != "" {
		rotated, err := sharedSegments(opts.Path)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range rotated {
			segments = append(segments, s.path)
		}
		return append(segments, opts.Path)
	}
	list, err := folderSegments(opts.DefaultDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		segments = append(segments, s.path)
	}
	return segments
}

func TestTamperingIsFound(t *testing.T) {
	edit := func(change func([]string) []string, segment int) func(*testing.T, []string) {
		return func(t *testing.T, files []string) {
			write(t, files[segment], change(lines(t, files[segment])))
		}
	}
	remove := func(i int) func(*testing.T, []string) {
		return func(t *testing.T, files []string) {
			if err := os.Remove(files[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	replaceAt := func(i int, from, to string) func([]string) []string {
		return func(l []string) []string {
			if i < 0 {
				i += len(l)
			}
			l[i] = strings.Replace(l[i], from, to, 1)
			return l
		}
	}
	tests := []struct {
		name   string
		tamper func(t *testing.T, files []string)
		want   string // the first problem
		file   int    // where it is
		line   int
	}{
		{"edit the first event", edit(replaceAt(0, "log_opened", "log_0pened"), 0), "event 1 was changed", 0, 1},
		{"edit one in the middle", edit(replaceAt(4, "tool-3", "tool-x"), 0), "event 5 was changed", 0, 5},
		{"edit the last of a segment", edit(replaceAt(-1, "xxx", "yyy"), 0), "event 13 was changed", 0, 13},
		{"edit the last of all", edit(replaceAt(-1, "tool-29", "tool-xx"), 2), "event 33 was changed", 2, 7},
		{"edit a seq", edit(replaceAt(4, `"seq":5,`, `"seq":6,`), 0), "its seq is 6 where 5 was written", 0, 5},
		{"add a space", edit(replaceAt(4, `,"kind"`, `, "kind"`), 0), "event 5 was changed", 0, 5},
		{"add a member twice", edit(replaceAt(4, `,"kind"`, `,"seq":5,"kind"`), 0), "not an event", 0, 5},
		{"write rubbish", edit(replaceAt(4, `{"time"`, `oops`), 0), "not an event", 0, 5},
		{"delete the first event", edit(func(l []string) []string { return l[1:] }, 0), "events 1 to 1 are missing before it", 0, 1},
		{"delete one in the middle", edit(func(l []string) []string { return slices.Delete(l, 4, 5) }, 0), "event 5 is missing before event 6", 0, 5},
		{"delete several", edit(func(l []string) []string { return slices.Delete(l, 4, 7) }, 0), "events 5 to 7 are missing before event 8", 0, 5},
		{"delete the last of a segment", edit(func(l []string) []string { return l[:len(l)-1] }, 0), "event 13 is missing before event 14", 1, 1},
		{"swap two", edit(func(l []string) []string { l[4], l[5] = l[5], l[4]; return l }, 0), "event 5 is missing before event 6", 0, 5},
		{"write one twice", edit(func(l []string) []string { return slices.Insert(l, 5, l[4]) }, 0), "event 5 stands after event 5", 0, 6},
		{"insert one from elsewhere", edit(func(l []string) []string { return slices.Insert(l, 2, l[7]) }, 0), "events 3 to 7 are missing", 0, 3},
		{"cut the tail", edit(func(l []string) []string { return l[:len(l)-3] }, 2), "events 31 to 33 are missing at the end", 2, 0},
		{"cut a line", func(t *testing.T, f []string) {
			info, err := os.Stat(f[2])
			if err != nil || os.Truncate(f[2], info.Size()-10) != nil {
				t.Fatal(err)
			}
		}, "event 33 is missing at the end", 2, 0},
		{"cut a line within the chain", func(t *testing.T, f []string) {
			info, err := os.Stat(f[0])
			if err != nil || os.Truncate(f[0], info.Size()-10) != nil {
				t.Fatal(err)
			}
		}, "a torn line, although the chain goes on", 0, 13},
		{"a line without end", edit(func(l []string) []string { return append(l, strings.Repeat("x", maxLine+1)) }, 2), "longer than", 2, 8},
		{"remove the first segment", remove(0), "events 1 to 13 are missing", 1, 1},
		{"remove the middle segment", remove(1), "events 14 to 26 are missing before event 27", 2, 1},
		{"remove the last segment", remove(2), "events 27 to 33 are missing at the end", 1, 0},
		{"exchange two segments", func(t *testing.T, f []string) {
			a, b := lines(t, f[0]), lines(t, f[1])
			write(t, f[0], b)
			write(t, f[1], a)
		}, "events 1 to 13 are missing", 0, 1},
		{"move an event to another segment", func(t *testing.T, f []string) {
			a, b := lines(t, f[0]), lines(t, f[1])
			write(t, f[0], append(slices.Clone(a[:len(a)-2]), a[len(a)-1]))
			write(t, f[1], slices.Insert(b, 0, a[len(a)-2]))
		}, "event 12 is missing before event 13", 0, 12},
	}
	for _, layout := range []string{"folder", "shared"} {
		for _, test := range tests {
			t.Run(layout+"/"+test.name, func(t *testing.T) {
				opts := testOptions(t)
				if layout == "shared" {
					opts.Path = filepath.Join(t.TempDir(), "log.jsonl")
				}
				files := threeSegments(t, opts)
				if len(files) != 3 {
					t.Fatalf("got %d segments, want 3", len(files))
				}
				test.tamper(t, files)
				res := verify(t, opts)
				if res.Intact() {
					t.Fatal("tampering was not found")
				}
				got := res.Problems[0]
				file := files[test.file]
				if layout == "shared" && strings.Contains(test.name, "remove the last") {
					file = files[1]
				}
				if !strings.Contains(got.What, test.want) || got.Line != test.line || got.File != file {
					t.Errorf("got %v\nwant %s:%d: %s", res.Problems, file, test.line, test.want)
				}
			})
		}
	}
}

func TestRemovedLogIsFound(t *testing.T) {
	for _, layout := range []string{"folder", "shared"} {
		t.Run(layout, func(t *testing.T) {
			opts := testOptions(t)
			if layout == "shared" {
				opts.Path = filepath.Join(t.TempDir(), "log.jsonl")
			}
			for _, f := range threeSegments(t, opts) {
				if err := os.Remove(f); err != nil {
					t.Fatal(err)
				}
			}
			res := verify(t, opts)
			if res.Intact() || !strings.Contains(res.Problems[0].What, "missing") {
				t.Errorf("got %v, want missing", res.Problems)
			}
		})
	}
}

func TestForgedChainHasNoHead(t *testing.T) {
	opts := testOptions(t)
	forged := opts
	forged.StateDir = t.TempDir()
	l := openLog(t, forged)
	l.Link(LinkInfo{}).Append(&Event{Kind: Decision})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wantIntact(t, forged, 2)
	if res := verify(t, opts); res.Intact() || !strings.Contains(res.Problems[0].What, "there is no recorded head") {
		t.Errorf("got %v, want a missing head", res.Problems)
	}
	if res, err := Verify("", opts.DefaultDir); err != nil || !res.Intact() {
		t.Errorf("got %v, %v, want a copy to verify without heads", res, err)
	}
}

// A cut shared log is not made whole by going on with it.
func TestContinuingACutLogTells(t *testing.T) {
	opts := testOptions(t)
	opts.Path = filepath.Join(t.TempDir(), "log.jsonl")
	threeSegments(t, opts)
	all := lines(t, opts.Path)
	write(t, opts.Path, all[:len(all)-3])
	for range 2 {
		l := openLog(t, opts)
		l.Link(LinkInfo{}).Append(&Event{Kind: Decision})
		commit(t, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	res := verify(t, opts)
	if len(res.Problems) != 1 || !strings.Contains(res.Problems[0].What, `found cut`) || !strings.Contains(res.Problems[0].What, `"expected_seq":33`) {
		t.Errorf("got %v, want one that tells of 33", res.Problems)
	}
}

func TestPathOfASegmentStandsForItsChain(t *testing.T) {
	for _, layout := range []string{"folder", "shared"} {
		t.Run(layout, func(t *testing.T) {
			opts := testOptions(t)
			if layout == "shared" {
				opts.Path = filepath.Join(t.TempDir(), "log.jsonl")
			}
			files := threeSegments(t, opts)
			other := openLog(t, opts)
			other.Link(LinkInfo{}).Append(&Event{Kind: Decision})
			commit(t, other)
			res, err := Verify(opts.StateDir, files[1])
			want := 33
			if layout == "shared" {
				want++
			}
			if err != nil || !res.Intact() || len(res.Chains) != 1 || res.Events != want {
				t.Errorf("got %+v, %v, want one intact chain of %d", res, err, want)
			}
		})
	}
}
