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

func appendEvents(t testing.TB, l *Log, targets ...string) {
	t.Helper()
	k := l.Link(LinkInfo{Server: "s"})
	for _, target := range targets {
		k.Append(&Event{Kind: Decision, Target: []byte(target)})
		commit(t, l)
	}
}

// reasons are what the log says of itself.
func reasons(t testing.TB, opts Options) (list []string) {
	t.Helper()
	for r, err := range Read(logPath(opts), time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Reason != "" {
			list = append(list, r.Reason)
		}
	}
	return list
}

func TestForeignFileIsLeftAlone(t *testing.T) {
	whole := string(oneEvent(t, Config{}, [2][]byte{}, &Event{Kind: Decision}))
	for name, content := range map[string]string{
		"text":                        "# my notes\n",
		"text without end":            "my notes",
		"other JSON":                  "{\"a\":1}\n",
		"other JSON lines":            whole + "\n" + `{"time":"2026"}` + "\n",
		"events and then text":        whole + "\nhello\n",
		"events and then a text part": whole + "\nhello",
		"a long line":                 `{"time":"` + strings.Repeat("x", 3*maxLine),
	} {
		t.Run(name, func(t *testing.T) {
			opts := testOptions(t)
			opts.Path = filepath.Join(t.TempDir(), "log.jsonl")
			if err := os.WriteFile(opts.Path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(opts)
			var foreign *ForeignError
			if !errors.As(err, &foreign) || !strings.Contains(err.Error(), opts.Path) {
				t.Fatalf("got %v, want an error that names the file", err)
			}
			if got, err := os.ReadFile(opts.Path); err != nil || string(got) != content {
				t.Errorf("the file was changed to %q, %v", got, err)
			}
		})
	}
	opts := testOptions(t)
	opts.Path = os.DevNull
	if _, err := Open(opts); err == nil {
		t.Error("a device was taken for a log")
	}
}

// A file that turns foreign while the log is open is not written to either.
func TestForeignLineStopsARunningLog(t *testing.T) {
	opts := testOptions(t)
	opts.Path = filepath.Join(t.TempDir(), "log.jsonl")
	opts.OnError = func(error) {}
	l := openLog(t, opts)
	appendEvents(t, l, "a")
	f, err := os.OpenFile(opts.Path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("hello\n")
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(opts.Path)
	l.Link(LinkInfo{}).Append(&Event{Kind: Decision})
	var foreign *ForeignError
	if err := l.Commit(); !errors.As(err, &foreign) {
		t.Errorf("got %v, want a foreign file", err)
	}
	if after, _ := os.ReadFile(opts.Path); !bytes.Equal(before, after) {
		t.Error("the file was written to")
	}
}

func TestUnwritableFolderStopsTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(file, "below") + "/", filepath.Join(file, "log.jsonl")} {
		opts := testOptions(t)
		opts.Path = path
		if _, err := Open(opts); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "audit.path") {
			t.Errorf("got %v, want an error with the path and the remedy", err)
		}
	}
	opts := testOptions(t)
	opts.StateDir = filepath.Join(file, "below")
	if _, err := Open(opts); err == nil || !strings.Contains(err.Error(), "MCPX_STATE_DIR") {
		t.Errorf("got %v, want an error with the remedy", err)
	}
}

func TestTornLineIsCutAndTold(t *testing.T) {
	opts := testOptions(t)
	opts.Path = filepath.Join(t.TempDir(), "log.jsonl")
	torn := []string{`{"time":"2026-01`, "{", "\x00\x00\x00"}
	for _, tail := range torn {
		l := openLog(t, opts)
		appendEvents(t, l, "a")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(opts.Path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString(tail)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	l := openLog(t, opts)
	appendEvents(t, l, "b")
	res := wantIntact(t, opts, 1+3+len(torn)+1)
	if len(res.Chains[0].Notes) != 0 {
		t.Errorf("got notes %q", res.Chains[0].Notes)
	}
	if got := reasons(t, opts); len(got) != 1+len(torn) || got[1] != "torn_line" {
		t.Errorf("got %q, want each torn line to be told", got)
	}
}

func TestCrashBetweenRenameAndCreateGoesOn(t *testing.T) {
	opts := testOptions(t)
	opts.Path = filepath.Join(t.TempDir(), "log.jsonl")
	l := openLog(t, opts)
	appendEvents(t, l, "a")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(opts.Path, rotatedName(opts.Path, time.Now())); err != nil {
		t.Fatal(err)
	}
	wantIntact(t, opts, 2)
	appendEvents(t, openLog(t, opts), "b")
	wantIntact(t, opts, 4)
}

func recordedTargets(t testing.TB, opts Options) (targets []string) {
	t.Helper()
	for r, err := range Read(logPath(opts), time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Kind == Decision {
			targets = append(targets, r.Target)
		}
	}
	return targets
}

func layouts(t *testing.T, run func(t *testing.T, opts Options)) {
	for _, layout := range []string{"folder", "shared"} {
		t.Run(layout, func(t *testing.T) {
			opts := testOptions(t)
			if layout == "shared" {
				opts.Path = filepath.Join(t.TempDir(), "log.jsonl")
			}
			run(t, opts)
		})
	}
}

// Every Commit that returned has written what its goroutine appended, in order, whoever did the writing.
func TestConcurrentLinks(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		opts.MaxSize = minMaxSize
		a, b := openLog(t, opts), openLog(t, opts) // two logs of one process share like two processes
		var wg sync.WaitGroup
		for g := range 16 {
			l := a
			if g%2 == 1 {
				l = b
			}
			wg.Go(func() {
				k := l.Link(LinkInfo{Client: fmt.Sprint(g)})
				for i := range 50 {
					k.SetPeers(nil, nil, "modern")
					k.Append(&Event{Kind: Decision, Target: fmt.Appendf(nil, "%d", i)})
					if err := l.Commit(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		a.flushSpool()
		b.flushSpool()
		wantIntact(t, opts, -1)
		next := map[string]int{}
		for r, err := range Read(logPath(opts), time.Time{}) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Kind != Decision {
				continue
			}
			if opts.Path != "" && r.Target != fmt.Sprint(next[r.Client]) {
				t.Fatalf("client %s: got event %s, want %d", r.Client, r.Target, next[r.Client])
			}
			next[r.Client]++
		}
		for client, n := range next {
			if n != 50 {
				t.Errorf("client %s: got %d events, want 50", client, n)
			}
		}
	})
}

// Whatever a file holds: opening it fails and leaves it as it is, or goes on behind its last whole line.
func FuzzOpen(f *testing.F) {
	whole := oneEvent(f, Config{}, [2][]byte{}, &Event{Kind: Decision})
	line := append(bytes.Clone(whole), '\n')
	f.Add([]byte(nil))
	f.Add(line)
	f.Add(whole)
	f.Add(append(bytes.Clone(line), `{"time":"2`...))
	f.Add(append(bytes.Clone(line), line...))
	f.Add([]byte("\n"))
	f.Add([]byte("{}\n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		opts := testOptions(t)
		opts.Path = filepath.Join(t.TempDir(), "log.jsonl")
		if err := os.WriteFile(opts.Path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(opts)
		if err == nil {
			appendEvents(t, l, "added")
			err = l.Close()
			data = data[:bytes.LastIndexByte(data, '\n')+1]
			if err != nil {
				t.Fatal(err)
			}
			tail, err := NewTail(opts.Path)
			if err != nil {
				t.Fatal(err)
			}
			if last, err := tail.Last(1); err != nil || last[0].Target != "added" {
				t.Fatalf("got %v, %v, want what was added", last, err)
			}
		}
		after, readErr := os.ReadFile(opts.Path)
		if readErr != nil || !bytes.HasPrefix(after, data) || err != nil && len(after) != len(data) {
			t.Fatalf("%q became %q", data, after)
		}
		if _, err := Verify(opts.StateDir, opts.Path); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCorruptHeadStopsVerifyButNotTheLog(t *testing.T) {
	opts := testOptions(t)
	opts.Path = filepath.Join(t.TempDir(), "log.jsonl")
	l := openLog(t, opts)
	appendEvents(t, l, "a")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(opts.StateDir, "*"+headExt))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if err := os.WriteFile(found[0], []byte(`{"seq":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(opts.StateDir, opts.Path); err == nil || !strings.Contains(err.Error(), found[0]) {
		t.Errorf("got %v, want an error that names %s", err, found[0])
	}
	var told []error
	opts.OnError = func(err error) { told = append(told, err) }
	appendEvents(t, openLog(t, opts), "b")
	if len(told) != 1 || !strings.Contains(told[0].Error(), found[0]) {
		t.Errorf("got %v, want one trouble with %s", told, found[0])
	}
	wantIntact(t, opts, 3)
}
