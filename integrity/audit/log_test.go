package audit

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testOptions are those of a log in fresh folders.
func testOptions(t testing.TB) Options {
	t.Helper()
	return Options{
		DefaultDir: filepath.Join(t.TempDir(), "audit"),
		StateDir:   t.TempDir(),
		Source:     "wrap",
		Version:    "test",
		OnError:    func(err error) { t.Errorf("unexpected trouble: %v", err) },
	}
}

func openLog(t testing.TB, opts Options) *Log {
	t.Helper()
	l, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func commit(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Commit(); err != nil {
		t.Fatal(err)
	}
}

func lines(t testing.TB, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// onlySegment returns the path of the one segment in dir.
func onlySegment(t testing.TB, dir string) string {
	t.Helper()
	segments, err := folderSegments(dir)
	if err != nil || len(segments) != 1 {
		t.Fatalf("got segments %v, %v, want one", segments, err)
	}
	return segments[0].path
}

func TestEventHasExactlyTheMembersThatApply(t *testing.T) {
	opts := testOptions(t)
	opts.Args = "full"
	opts.Now = func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 42, time.UTC) }
	l := openLog(t, opts)
	k := l.Link(LinkInfo{Server: "files", Client: "ci"})
	k.SetPeers([]byte(`{"name":"claude","version":"1"}`), []byte(`{"name":"fs"}`), "legacy")
	k.Append(&Event{
		Kind: Decision, RequestID: []byte("7"), Method: "tools/call", Target: []byte("read_file"),
		Decision: "deny", Rule: "deny_tools", Reason: "denied", BytesIn: 10, TraceID: []byte("t"),
		Args: []byte("{\n\"path\": \"/x\"}"),
	})
	k.Append(&Event{
		Kind: Outcome, RequestID: []byte(`"a"`), Outcome: "ok", Latency: 1234567 * time.Nanosecond, BytesOut: 5, Era: "modern",
	})
	commit(t, l)

	got := lines(t, onlySegment(t, opts.DefaultDir))
	if len(got) != 3 {
		t.Fatalf("got %d lines, want 3:\n%s", len(got), strings.Join(got, "\n"))
	}
	var event, outcome map[string]any
	for line, to := range map[string]*map[string]any{got[1]: &event, got[2]: &outcome} {
		if err := json.Unmarshal([]byte(line), to); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"id", "prev", "host", "user", "instance"} {
		if event[name] == nil {
			t.Errorf("there is no %s", name)
		}
		delete(event, name)
		delete(outcome, name)
	}
	want := map[string]any{
		"time": "2026-03-01T12:00:00.000000042Z", "seq": 2.0, "source": "wrap", "server": "files", "client": "ci",
		"client_info": map[string]any{"name": "claude", "version": "1"}, "server_info": map[string]any{"name": "fs"},
		"era": "legacy", "session": k.Session(), "request_id": 7.0, "method": "tools/call", "target": "read_file",
		"decision": "deny", "rule": "deny_tools", "reason": "denied", "bytes_in": 10.0, "trace_id": "t",
		"args": map[string]any{"path": "/x"}, "kind": "decision",
	}
	if diff := cmp.Diff(want, event); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
	want = map[string]any{
		"time": "2026-03-01T12:00:00.000000042Z", "seq": 3.0, "source": "wrap", "server": "files", "client": "ci",
		"client_info": map[string]any{"name": "claude", "version": "1"}, "server_info": map[string]any{"name": "fs"},
		"era": "modern", "session": k.Session(), "request_id": "a", "outcome": "ok", "latency_ms": 1.234,
		"bytes_out": 5.0, "kind": "outcome",
	}
	if diff := cmp.Diff(want, outcome); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
}

func TestNothingIsMadeBeforeTheFirstEvent(t *testing.T) {
	opts := testOptions(t)
	l := openLog(t, opts)
	commit(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(opts.DefaultDir)
	if err != nil || len(entries) != 0 {
		t.Errorf("got %v, %v, want an empty folder", entries, err)
	}
}

func TestTimesRiseAlongTheChain(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		opts.MaxSize, opts.Args = minMaxSize, "full"
		l := openLog(t, opts)
		k := l.Link(LinkInfo{})
		for range 20 { // over several segments
			k.Append(&Event{Kind: Decision, Args: []byte(`"` + strings.Repeat("x", 9000) + `"`)})
			commit(t, l)
		}
		var last Record
		for r, err := range Read(logPath(opts), time.Time{}) {
			if err != nil || r.Time.Before(last.Time) || r.Seq != last.Seq+1 {
				t.Fatalf("event %d of %v follows event %d of %v, %v", r.Seq, r.Time, last.Seq, last.Time, err)
			}
			last = *r
		}
	})
}

func TestStreamIsChained(t *testing.T) {
	var out bytes.Buffer
	l := openLog(t, Options{Config: Config{Output: "stdout"}, Stderr: &out})
	k := l.Link(LinkInfo{})
	k.Append(&Event{Kind: Decision})
	commit(t, l)
	k.Append(&Event{Kind: Outcome})
	commit(t, l)
	var h head
	for line := range bytes.Lines(out.Bytes()) {
		r, err := parseRecord(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			t.Fatal(err)
		}
		if r.Seq != h.seq+1 {
			t.Errorf("got seq %d, want %d", r.Seq, h.seq+1)
		}
		h.seq++
	}
	if h.seq != 3 {
		t.Errorf("got %d events, want 3", h.seq)
	}
}

func TestDisabledLogTakesEverything(t *testing.T) {
	off := false
	l := openLog(t, Options{Config: Config{Enabled: &off}})
	l.Link(LinkInfo{}).Append(&Event{Kind: Decision, Args: []byte("{}")})
	commit(t, l)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// What is cut off a log whose process was killed is found, also if it recorded little and then was idle.
func TestHeadFollowsAnIdleLog(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		synctest.Test(t, func(t *testing.T) {
			l := openLog(t, opts)
			appendEvents(t, l, "a", "b", "c")
			<-time.After(2 * headEvery)
			path := opts.Path
			if path == "" {
				path = onlySegment(t, opts.DefaultDir)
			}
			all := lines(t, path)
			write(t, path, all[:len(all)-1])
			if res := verify(t, opts); res.Intact() || !strings.Contains(res.Problems[0].What, "event 4 is missing at the end") {
				t.Errorf("got %v, want the end to be missing", res.Problems)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	})
}
