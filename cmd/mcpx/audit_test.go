package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/integrity/audit"
)

// auditFixture writes a log where mcpx looks for it: two calls, one of them denied, and rubbish for the terminal.
func auditFixture(t *testing.T) *audit.Log {
	t.Helper()
	state := t.TempDir()
	t.Setenv(stateVariable, state)
	t.Setenv(configVariable, "")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Chdir(t.TempDir())
	l, err := audit.Open(audit.Options{
		DefaultDir: filepath.Join(state, "audit"), StateDir: filepath.Join(state, headsName), Source: "wrap",
		OnError: func(err error) { t.Error(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	files, evil := l.Link(audit.LinkInfo{Server: "files"}), l.Link(audit.LinkInfo{Server: "evil"})
	files.Append(&audit.Event{Kind: audit.Decision, Method: "tools/call", Target: []byte("read_file"), Decision: "allow", Rule: "allow_tools"})
	files.Append(&audit.Event{Kind: audit.Outcome, Method: "tools/call", Target: []byte("read_file"), Outcome: "ok", Latency: 1500 * time.Microsecond})
	files.Append(&audit.Event{Kind: audit.Decision, Method: "tools/call", Target: []byte("write_file"), Decision: "deny", Rule: "deny_tools"})
	evil.Append(&audit.Event{Kind: audit.Integrity, Method: "tools/list", Target: []byte("=x\x1b[2J\u202e\n"), Reason: "tool_changed"})
	if err := l.Commit(); err != nil {
		t.Fatal(err)
	}
	return l
}

func runAudit(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &err}
	code = a.run(append([]string{"audit"}, args...))
	return code, out.String(), err.String()
}

// withoutTimes takes the time from the start of each line.
func withoutTimes(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(line[len("2006-01-02 15:04:05.000  "):])
	}
	return b.String()
}

func TestAuditTailShowsTheLastEventsSafely(t *testing.T) {
	auditFixture(t)
	code, out, errs := runAudit("tail", "-n", "4")
	want := `allow      files         tools/call read_file          by allow_tools
ok         files         tools/call read_file          1.5 ms
deny       files         tools/call write_file         by deny_tools
integrity  evil          tools/list =x\u001b[2J\u202e  tool_changed
`
	if code != 0 || errs != "" {
		t.Fatalf("got code %d, %s", code, errs)
	}
	if diff := cmp.Diff(want, withoutTimes(out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, out, _ = runAudit("tail", "-n", "1", "--json")
	var event map[string]any
	if err := json.Unmarshal([]byte(out), &event); err != nil || event["reason"] != "tool_changed" {
		t.Errorf("got %v, %v from %s", event, err, out)
	}
}

// A signalWriter tells when all it waits for was written to it.
type signalWriter struct {
	bytes.Buffer
	want string
	seen context.CancelFunc
}

func (w *signalWriter) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if strings.Contains(w.String(), w.want) {
		w.seen()
	}
	return n, err
}

func TestAuditTailFollows(t *testing.T) {
	l := auditFixture(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	out := &signalWriter{want: "later", seen: cancel}
	a := &app{out: out}
	path, err := a.auditPath()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- a.tail(ctx, path, 0, true) }()
	k := l.Link(audit.LinkInfo{Server: "other"})
	for i := 0; ctx.Err() == nil; i++ { // whenever the tail took its first look, some come later
		k.Append(&audit.Event{Kind: audit.Decision, Target: []byte("later")})
		if err := l.Commit(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(audit.Interval):
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "later") || strings.Contains(out.String(), "read_file") {
		t.Errorf("got %q, want later events only", out.String())
	}
}

func TestAuditQueryFilters(t *testing.T) {
	auditFixture(t)
	for _, test := range []struct {
		args string
		want string // targets
	}{
		{"--server files", "read_file read_file write_file"},
		{"--server f*", "read_file read_file write_file"},
		{"--decision deny", "write_file"},
		{"--tool *_file --kind decision", "read_file write_file"},
		{"--target read_file --outcome ok", "read_file"},
		{"--method tools/* --rule deny_tools", "write_file"},
		{"--kind decision --limit 1", "write_file"},
		{"--since 1h --until 1ns --decision allow", "read_file"},
		{"--until 1h", ""},
		{"--since 2999-01-01", ""},
		{"--client nobody", ""},
	} {
		t.Run(test.args, func(t *testing.T) {
			code, out, errs := runAudit(append([]string{"query", "--json"}, strings.Fields(test.args)...)...)
			if code != 0 {
				t.Fatalf("got code %d, %s", code, errs)
			}
			var targets []string
			for line := range strings.Lines(out) {
				var event struct{ Target string }
				if err := json.Unmarshal([]byte(line), &event); err != nil {
					t.Fatal(err)
				}
				targets = append(targets, event.Target)
			}
			if got := strings.Join(targets, " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if code, _, errs := runAudit("query", "--since", "yesterday"); code != exitUsage || !strings.Contains(errs, "is no time") {
		t.Errorf("got code %d, %q, want a usage error", code, errs)
	}
}

func TestAuditQueryFindsWhatFailed(t *testing.T) {
	l := auditFixture(t)
	k := l.Link(audit.LinkInfo{Server: "files"})
	for _, outcome := range searchWords()["outcome"] {
		k.Append(&audit.Event{Kind: audit.Outcome, Method: "tools/call", Target: []byte(outcome), Outcome: outcome})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, out, errs := runAudit("query", "--outcome", "failed", "--json")
	var got []string
	for line := range strings.Lines(out) {
		var event struct{ Outcome string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		got = append(got, event.Outcome)
	}
	if diff := cmp.Diff([]string{"tool_error", "error", "timeout", "dropped"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s%s", diff, errs)
	}
}

func TestAuditVerifyExitCodes(t *testing.T) {
	l := auditFixture(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	code, out, errs := runAudit("verify")
	if code != 0 || !strings.Contains(out, "intact: 5 events in 1 chain\n") {
		t.Fatalf("got code %d, %s%s", code, out, errs)
	}
	segments, err := filepath.Glob(filepath.Join(os.Getenv(stateVariable), "audit", "*.jsonl"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(segments[0], bytes.Replace(data, []byte(`"deny"`), []byte(`"allow"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, _ = runAudit("verify")
	if code != exitBroken || !strings.Contains(out, segments[0]+":4: event 4 was changed") {
		t.Errorf("got code %d, %s, want the place of event 4", code, out)
	}
	code, out, _ = runAudit("verify", "--json", segments[0])
	var result struct {
		Intact   bool
		Problems []audit.Problem
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != exitBroken || result.Intact || result.Problems[0].Seq != 4 {
		t.Errorf("got code %d, %+v, %v", code, result, err)
	}
	if code, _, errs := runAudit("verify", "nowhere"); code != exitFailure || !strings.Contains(errs, "nowhere") {
		t.Errorf("got code %d, %s, want a failure that names the path", code, errs)
	}
}

func TestAuditExport(t *testing.T) {
	auditFixture(t)
	out := filepath.Join(t.TempDir(), "out.csv")
	if code, _, errs := runAudit("export", "--format", "csv", "-o", out, "--server", "evil"); code != 0 {
		t.Fatalf("got code %d, %s", code, errs)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("got %v, %v, want a head and a row", rows, err)
	}
	if got := rows[1][16]; !strings.HasPrefix(got, "'=x") {
		t.Errorf("got target %q, want no formula", got)
	}
	if code, _, errs := runAudit("export", "-o", out); code != exitFailure || !strings.Contains(errs, "exists") {
		t.Errorf("got code %d, %s, want a refusal to overwrite", code, errs)
	}
	if _, all, _ := runAudit("export"); strings.Count(all, "\n") != 5 {
		t.Errorf("got %s, want 5 lines", all)
	}
}

func TestAuditWithoutALog(t *testing.T) {
	t.Setenv(stateVariable, t.TempDir())
	t.Setenv(configVariable, "")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Chdir(t.TempDir())
	for _, command := range []string{"tail", "query", "verify"} {
		if code, _, errs := runAudit(command); code != 0 || !strings.Contains(errs, "no events yet") {
			t.Errorf("%s: got code %d, %q", command, code, errs)
		}
	}
}

func TestLike(t *testing.T) {
	for _, test := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "x", true}, {"x", "x", true}, {"x", "xy", false}, {"x*", "xy", true}, {"*y", "xy", true}, {"*", "", true},
		{"a*a", "a", false}, {"a*a", "aa", true}, {"a*b*c", "a-b-b-c", true}, {"a*b*c", "a-c-b", false}, {"**", "q", true},
	} {
		if got := like(test.pattern, test.s); got != test.want {
			t.Errorf("like(%q, %q) = %v, want %v", test.pattern, test.s, got, test.want)
		}
	}
}
