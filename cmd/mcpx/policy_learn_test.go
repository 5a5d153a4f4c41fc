package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/integrity/audit"
)

// sheet writes a log of calls that passed, in a chain that is whole.
func sheet(t *testing.T, calls []map[string]any) []byte {
	t.Helper()
	var log bytes.Buffer
	prev, seq := fmt.Sprintf("%064d", 0), 0
	add := func(event map[string]any) {
		seq++
		event["id"], event["seq"], event["prev"] = fmt.Sprint(seq), seq, prev
		event["instance"], event["session"] = "b1c7745c44e5", "s"
		line, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		line = append(fmt.Appendf(nil, `{"time":"2026-11-23T02:06:%02d.%03dZ",`, seq/1000, seq%1000), line[1:]...) // as mcpx does: time comes first
		prev = fmt.Sprintf("%x", sha256.Sum256(line))
		log.Write(append(line, '\n'))
	}
	for i, call := range calls {
		server, method := call["server"], call["method"]
		add(map[string]any{
			"server": server, "request_id": i, "method": method, "target": call["target"], "decision": "allow", "rule": "default",
			"args": call["args"], "kind": "decision",
		})
		add(map[string]any{"server": server, "request_id": i, "method": method, "target": call["target"], "outcome": "ok", "latency_ms": 1, "kind": "outcome"})
	}
	return log.Bytes()
}

// learns runs mcpx in a folder of its own that has the log, and returns what it prints and its exit code.
func learns(t *testing.T, log []byte) func(args ...string) (string, int) {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "log.jsonl"), log, 0o600); err != nil {
		t.Fatal(err)
	}
	environment := os.Environ()
	for name, value := range isolated(t.TempDir()) {
		environment = append(environment, name+"="+value)
	}
	return func(args ...string) (string, int) {
		t.Helper()
		command := exec.Command("mcpx", args...)
		command.Dir, command.Env = folder, environment
		out, err := command.CombinedOutput()
		if command.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), command.ProcessState.ExitCode()
	}
}

// A log whose last line is cut gives no complete result, not even one that is said to be a copy.
func TestLearnFromCutLog(t *testing.T) {
	call := map[string]any{"server": "files", "method": "tools/call", "target": "read", "args": map[string]any{}}
	whole := sheet(t, []map[string]any{call, call})
	for cut := range 3 {
		mcpx := learns(t, whole[:len(whole)-1-cut*100])
		out, code := mcpx("policy", "learn", "--copied", "log.jsonl")
		if code != exitIncomplete || !strings.Contains(out, "# INCOMPLETE: ") || !strings.Contains(out, "the last line is torn") {
			t.Errorf("exit code %d:\n%s", code, out)
		}
	}
}

// Whatever names and values were recorded: what is learnt is a configuration that lets pass what has passed, and means nothing else.
func TestLearntFromHostileNames(t *testing.T) {
	texts := []string{
		"plain", "true", "~", "null", "1.0", "0x1f", "2026-01-01", "=", "<<", "- a", "a: b", "a #b", "#", "&a", "*a", "!tag", "|", ">", "%TAG", "@", "`",
		"'", `"`, `\`, "{a}", "[a]", "a,b", "${HOME}", "$$", "$", "$HOME", "é", "日本", "\u0301", "😀", " a ", "?", "a\\*b", "\ufffd", "<redacted", "a/b", "/a/b", "~0", "/~",
		"server: evil", "x\nservers: []", "\u202eevil", "\u200b", "\x1b[31m", "\u2028- name: evil", "\x00", "\u115f", "\ufe0f", strings.Repeat("x", 1000),
	}
	var calls []map[string]any
	for i, text := range texts {
		next := texts[(i+1)%len(texts)]
		calls = append(calls,
			map[string]any{"server": "files", "method": "tools/call", "target": text, "args": map[string]any{text: next, "same": "x", "n": i}},
			map[string]any{"server": "files", "method": "tools/call", "target": "choice", "args": map[string]any{"one": text}},
			map[string]any{"server": "files", "method": "tools/call", "target": "t" + text, "args": map[string]any{"prefix": "https:" + text + "/" + next}},
			map[string]any{"server": "files", "method": "tools/call", "target": "p" + text, "args": map[string]any{"path": "/nonexistent/a/b/" + text + "/c"}},
			map[string]any{"server": "files", "method": "prompts/get", "target": text},
			map[string]any{"server": "files", "method": "resources/read", "target": text},
			map[string]any{"server": "files", "method": "resources/read", "target": "x://h/" + text},
			map[string]any{"server": "files", "method": "vendor/" + text},
			map[string]any{"server": text, "method": "tools/call", "target": "a", "args": map[string]any{}},
		)
		for range 4 {
			calls = append(calls, map[string]any{"server": "files", "method": "tools/call", "target": "c" + text, "args": map[string]any{"word": text, "flag": true}})
		}
	}
	mcpx := learns(t, sheet(t, calls))
	if out, code := mcpx("policy", "learn", "--copied", "-o", "learnt.yaml", "log.jsonl"); code != exitIncomplete {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	if out, code := mcpx("check", "learnt.yaml"); code != 0 || strings.Contains(out, "evil") {
		t.Fatalf("what was learnt is no configuration: exit code %d:\n%s", code, out)
	}
	out, code := mcpx("policy", "test", "--replay", "log.jsonl", "--copied", "--json", "learnt.yaml")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	var got rehearsed
	if err := json.Unmarshal([]byte(out[strings.Index(out, "\n{\n")+1:]), &got); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, target := range got.Targets {
		// What has a character that nobody sees is refused by every policy; so is a resource whose URI is not in its normal form.
		if target.changes() > 0 && target.Method != "resources/read" && !strings.ContainsAny(target.Target+target.Method, "\n\u202e\u200b\x1b\u2028\x00\u115f\ufe0f") {
			t.Errorf("%s %q would change: %+v", target.Method, target.Target, target)
		}
	}
	if got.Same < 300 {
		t.Errorf("only %d as before", got.Same)
	}
}

// A record that says nothing of any server, such as for a name that was misspelt, teaches nothing complete.
func TestNothingIsLearntOfNobody(t *testing.T) {
	r, err := audit.Parse([]byte(`{"time":"2026-01-01T00:00:00.000000000Z","id":"019b7600-0000-7000-8000-000000000000","seq":1,"prev":"` + strings.Repeat("0", 64) + `","source":"wrap","instance":"i","reason":"audit_gap","kind":"anomaly"}`))
	if err != nil {
		t.Fatal(err)
	}
	of := record{events: func(yield func(*audit.Record, error) bool) { yield(r, nil) }}
	lesson, err := of.learn()
	if err != nil || lesson.Events != 1 || lesson.Complete() {
		t.Errorf("%+v, %v", lesson, err)
	}
}
