package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/integrity"
)

// pinsHome makes an empty state folder the one in use, and returns the lock file's path.
func pinsHome(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	t.Setenv(stateVariable, folder)
	t.Setenv(configVariable, "")
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(folder, "none"))
	t.Setenv("HOME", folder)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // the fake servers are this binary; with -race each would end a second later
	t.Chdir(folder)
	return filepath.Join(folder, lockName)
}

// pins runs `mcpx pins` and returns its exit code, stdout and stderr.
func pins(args ...string) (code int, out, errOut string) {
	var stdout, stderr bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &stdout, err: &stderr}
	code = a.run(append([]string{"pins"}, args...))
	return code, stdout.String(), stderr.String()
}

func wantPins(t *testing.T, code int, out string, args ...string) {
	t.Helper()
	gotCode, gotOut, errOut := pins(args...)
	if gotCode != code {
		t.Errorf("pins %q: exit code %d, want %d\n%s", args, gotCode, code, errOut)
	}
	if diff := cmp.Diff(out, gotOut); diff != "" {
		t.Errorf("pins %q: (-want +got)\n%s", args, diff)
	}
}

// sees lets a wrapper see a server's lists.
func sees(t *testing.T, path, server string, cfg integrity.Config, tools, prompts []string) {
	t.Helper()
	f, err := integrity.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	p := f.Server(server, cfg)
	for kind, items := range map[integrity.Kind][]string{integrity.Tools: tools, integrity.Prompts: prompts} {
		var raw [][]byte
		for _, item := range items {
			raw = append(raw, []byte(item))
		}
		if _, err := p.Walk(kind).Page(raw, true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Instructions([]byte("Be kind."), true); err != nil {
		t.Fatal(err)
	}
}

var quarantine = integrity.Config{NewTools: "quarantine"}

func TestPinsReview(t *testing.T) {
	path := pinsHome(t)
	wantPins(t, 0, "nothing is pinned yet\n", "list")
	wantPins(t, 1, "", "verify")
	sees(t, path, "fs", quarantine, []string{`{"name":"read","description":"Reads"}`, `{"name":"stat"}`}, []string{`{"name":"review"}`})
	wantPins(t, 0, "everything is as pinned\n", "verify")
	wantPins(t, 0, "everything is as pinned\n", "diff")

	sees(t, path, "fs", quarantine,
		[]string{`{"name":"read","description":"Reads.\u001b[2J"}`, `{"name":"exec"}`, `{"name":"a"}`, `{"name":"A"}`}, []string{`{"name":"review","title":"x"}`})
	wantPins(t, 0, `SERVER  KIND          NAME    STATE    DIGEST
fs      instructions  -       pinned   mcpx1:8c294dd9b20a
fs      tool          A       twin     -
fs      tool          a       twin     -
fs      tool          exec    new      mcpx1:d2d8c039867c
fs      tool          read    changed  mcpx1:26af207b3263
fs      tool          stat    removed  mcpx1:97428139316a
fs      prompt        review  changed  mcpx1:3f78f4fbc121
`, "list", "fs")
	wantPins(t, 0, `fs: tool "read": changed
  description
    - "Reads"
    + "Reads.\u001b[2J"
`, "diff", "fs", "read")
	wantPins(t, exitChanged, `fs: tool "A" twin
fs: tool "a" twin
fs: tool "exec" added
fs: tool "read" changed
fs: tool "stat" removed
fs: prompt "review" changed
`, "verify")
	wantPins(t, 1, "", "approve", "fs", "--all") // a twin cannot be

	wantPins(t, 0, `fs: tool "read": changed
  description
    - "Reads"
    + "Reads.\u001b[2J"

fs: tool "stat": removed
fs: prompt "review": changed
  title
    + "x"
approved 3 definitions
`, "approve", "fs", "read", "stat", "--prompt", "review")
	sees(t, path, "fs", quarantine, []string{`{"name":"read","description":"Reads.\u001b[2J"}`, `{"name":"exec"}`}, []string{`{"name":"review","title":"x"}`})
	wantPins(t, exitAdded, "fs: tool \"exec\" added\n", "verify", "fs")
	wantPins(t, 0, "fs: tool \"exec\": new, not approved\n  (the whole)\n    + {\n    +   \"name\": \"exec\"\n    + }\napproved 1 definition\n", "approve", "fs", "--all")
	wantPins(t, 0, "everything is as pinned\n", "verify")
	wantPins(t, 0, "nothing of fs waits for review\n", "approve", "fs", "--all")

	wantPins(t, 0, "forgot tool \"exec\"\nreset 1 pin of fs\n", "reset", "fs", "exec")
	sees(t, path, "fs", quarantine, nil, []string{`{"name":"review","title":"x"}`})
	wantPins(t, exitRemoved, "fs: tool \"read\" removed\n", "verify")
	wantPins(t, 0, "forgot instructions\nforgot tool \"read\"\nforgot prompt \"review\"\nreset 3 pins of fs\n", "reset", "fs")
	wantPins(t, 0, "nothing is pinned yet\n", "list")
}

func TestPinsJSON(t *testing.T) {
	path := pinsHome(t)
	sees(t, path, "fs", quarantine, []string{`{"name":"read","n":1}`}, nil)
	sees(t, path, "fs", quarantine, []string{`{"name":"read","n":9007199254740993}`}, nil)
	_, out, _ := pins("diff", "--json")
	var diff []pinReport
	if err := json.Unmarshal([]byte(out), &diff); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(diff) != 1 || diff[0].Status != "changed" || len(diff[0].Changes) != 1 || string(diff[0].Changes[0].New) != "9007199254740993" {
		t.Errorf("diff: %s", out)
	}
	code, out, _ := pins("verify", "--json")
	var report driftReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitChanged {
		t.Fatalf("%d, %v\n%s", code, err, out)
	}
	want := driftReport{Status: "changed", Code: exitChanged, Drifts: []drift{{Server: "fs", Kind: "tool", Name: "read", Status: "changed"}}}
	if diff := cmp.Diff(want, report, cmp.AllowUnexported(drift{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, args := range [][]string{{"list"}, {"approve", "fs", "read"}, {"reset", "fs", "read"}} {
		code, out, errOut := pins(append(args, "--json")...)
		var list []pinReport
		if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 || len(list) == 0 {
			t.Errorf("pins %q: %d, %v\n%s%s", args, code, err, out, errOut)
		}
	}
	if _, out, _ := pins("diff", "--json"); out != "[]\n" {
		t.Errorf("nothing to show: %q", out)
	}
}

func TestPinsErrors(t *testing.T) {
	path := pinsHome(t)
	sees(t, path, "filesystem", quarantine, []string{`{"name":"read"}`}, nil)
	sees(t, path, "memory@12345678", quarantine, []string{`{"name":"read"}`}, nil)
	sees(t, path, "memory@abcdef01", quarantine, []string{`{"name":"read"}`}, nil)
	for _, row := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"list", "filesytem"}, exitFailure, "did you mean filesystem?"},
		{[]string{"list", "memory"}, exitFailure, "say which, memory@12345678 or memory@abcdef01"},
		{[]string{"diff", "filesystem", "raed"}, exitFailure, `no tool or prompt "raed"`},
		{[]string{"approve"}, exitUsage, "give a SERVER"},
		{[]string{"approve", "filesystem", "--all", "--"}, exitUsage, "a COMMAND if there is a --"},
		{[]string{"approve", "filesystem"}, exitFailure, "nothing named"},
		{[]string{"approve", "filesystem", "read", "--all"}, exitFailure, "--all goes without"},
		{[]string{"approve", "filesystem", "raed"}, exitFailure, `no tool "raed"`},
		{[]string{"reset", "x"}, exitFailure, `server "x" is not in`},
		{[]string{"verify", "a", "b"}, exitUsage, "at most one SERVER"},
		{[]string{"verify", "filesystem", "--"}, exitUsage, "a COMMAND after --"},
		{[]string{"verify", "--", "/does/not/exist"}, exitFailure, "several servers"},
		{[]string{"verify", "filesystem", "--", "/does/not/exist"}, exitFailure, "/does/not/exist"},
		{[]string{"aprove", "filesystem"}, exitUsage, "did you mean approve?"},
	} {
		code, out, errOut := pins(row.args...)
		if code != row.code || !strings.Contains(errOut, row.says) || out != "" {
			t.Errorf("pins %q: exit code %d, want %d; stdout %q; stderr must say %q:\n%s", row.args, code, row.code, out, row.says, errOut)
		}
	}
	if code, out, _ := pins("list", "filesystem"); code != 0 || !strings.Contains(out, "read") {
		t.Errorf("list: %d, %s", code, out)
	}

	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"list"}, {"diff"}, {"approve", "filesystem", "--all"}, {"reset", "filesystem"}, {"verify"}} {
		code, _, errOut := pins(args...)
		if code != exitFailure || !strings.Contains(errOut, path) || !strings.Contains(errOut, "line 1") {
			t.Errorf("pins %q on a corrupt file: exit code %d\n%s", args, code, errOut)
		}
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "{" {
		t.Errorf("the corrupt file was changed: %v\n%s", err, data)
	}
}

// fakeServerName is what the test binary poses as to be a server that behaves as fakeVariable says.
const (
	fakeServerName = "fake-server"
	fakeVariable   = "PINS_TEST_SERVER"
)

func fakeServerMain() {
	behaviour := os.Getenv(fakeVariable)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var request struct {
			ID     json.RawMessage
			Method string
			Params struct{ Cursor string }
		}
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if request.Method == "" || request.ID == nil {
			continue
		}
		if behaviour == "silent" {
			continue
		}
		if answer := fakeAnswer(behaviour, request.Method, request.Params.Cursor); answer != "" {
			fmt.Printf("{\"jsonrpc\":\"2.0\",\"id\":%s,%s}\n", request.ID, answer)
			continue
		}
		os.Exit(3)
	}
}

func fakeAnswer(behaviour, method, cursor string) string {
	const offers = `"capabilities":{"tools":{},"prompts":{}},"instructions":"Be kind."`
	tools := `{"name":"read","n":9007199254740993}`
	switch {
	case behaviour == "changed":
		tools = `{"name":"read","n":9007199254740992}`
	case behaviour == "removed":
		tools = ""
	case behaviour == "added":
		tools += `,{"name":"exec"}`
	case behaviour == "twice":
		tools = `{"name":"read","n":1,"n":9007199254740993}`
	case behaviour == "crash" && method == "tools/list":
		return ""
	}
	switch method + cursor {
	case "initialize":
		if behaviour == "modern" {
			return `"error":{"code":-32601,"message":"no such method"}`
		}
		fmt.Println("a banner\n" + `{"jsonrpc":"2.0","id":"p","method":"ping"}` + "\n" + `{"jsonrpc":"2.0","method":"notifications/message","params":{}}`)
		return `"result":{"protocolVersion":"2025-11-25","serverInfo":{"name":"fake","version":"1"},` + offers + `}`
	case "server/discover":
		return `"result":{"resultType":"complete","supportedVersions":["2026-07-28"],` + offers + `}`
	case "tools/list":
		return `"result":{"tools":[` + tools + `],"nextCursor":"more"}`
	case "tools/listmore":
		return `"result":{"tools":[{"name":"stat"}]}`
	case "prompts/list":
		return `"result":{"prompts":[{"name":"review"}]}`
	}
	return `"error":{"code":-32601,"message":"no such method"}`
}

func TestVerifyLive(t *testing.T) {
	path := pinsHome(t)
	sees(t, path, "fake", quarantine, []string{`{"name":"read","n":9007199254740993}`, `{"name":"stat"}`}, []string{`{"name":"review"}`})
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for behaviour, want := range map[string]struct {
		code int
		out  string
	}{
		"same":    {0, "everything is as pinned\n"},
		"modern":  {0, "everything is as pinned\n"},
		"added":   {exitAdded, "fake: tool \"exec\" added: not pinned\n"},
		"changed": {exitChanged, "fake: tool \"read\" changed: n\n"},
		"removed": {exitRemoved, "fake: tool \"read\" removed: no longer listed\n"},
		"twice":   {exitFailure, ""},
		"crash":   {exitFailure, ""},
	} {
		t.Run(behaviour, func(t *testing.T) {
			t.Setenv(fakeVariable, behaviour)
			wantPins(t, want.code, want.out, "verify", "fake", "--", fakeServerName)
			wantPins(t, want.code, want.out, "verify", "--", fakeServerName)
		})
	}
	t.Setenv(fakeVariable, "silent")
	code, _, errOut := pins("verify", "fake", "--timeout", "200ms", "--", fakeServerName)
	if code != exitFailure || !strings.Contains(errOut, "stopped before the server had answered") {
		t.Errorf("a silent server: exit code %d\n%s", code, errOut)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("verify changed the lock file: %v\n%s", err, after)
	}
}

func TestApproveLive(t *testing.T) {
	path := pinsHome(t)
	server := []string{"--", fakeServerName}
	live := func(args ...string) []string { return append(args, server...) }

	t.Setenv(fakeVariable, "crash")
	wantPins(t, exitFailure, "", live("approve", "fake", "--all")...)
	if _, err := os.Stat(path); err == nil {
		t.Error("half of a list was pinned")
	}
	t.Setenv(fakeVariable, "same")
	wantPins(t, 0, `fake: instructions: pinned
fake: tool "read": pinned
fake: tool "stat": pinned
fake: prompt "review": pinned
approved 4 definitions
`, live("approve", "fake", "--all")...)
	wantPins(t, 0, "everything is as pinned\n", live("verify")...)

	t.Setenv(fakeVariable, "changed")
	wantPins(t, exitChanged, "fake: tool \"read\" changed: n\n", live("verify", "fake")...)
	wantPins(t, exitFailure, "", live("approve", "fake", "raed")...)
	wantPins(t, 0, `fake: tool "read": changed
  n
    - 9007199254740993
    + 9007199254740992
approved 1 definition
`, live("approve", "fake", "read")...)
	wantPins(t, 0, "everything is as pinned\n", live("verify", "fake")...)
	if _, out, _ := pins("list"); strings.Contains(out, "pinned") || strings.Count(out, "approved") != 4 {
		t.Errorf("not everything is approved by a person:\n%s", out)
	}
}
