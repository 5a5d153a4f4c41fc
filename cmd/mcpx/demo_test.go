package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestDemoTellsWhatHappens runs the demo from an empty folder, as a user would.
func TestDemoTellsWhatHappens(t *testing.T) {
	temp := t.TempDir()
	command := exec.Command("mcpx", "demo")
	command.Dir = t.TempDir()
	command.Env = append(os.Environ(), "TMPDIR="+temp, "TMP="+temp)
	for name, value := range isolated(t.TempDir()) {
		command.Env = append(command.Env, name+"="+value)
	}
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("mcpx demo: %v\n%s", err, out)
	}
	for _, want := range []string{
		"echo, read_file (dangerous_delete is left out)",
		`tool "dangerous_delete" is denied by policy.deny_tools[0]`,
		"read_file …/diary.txt",
		"echo is withheld",
		"intact, 3 calls allowed, 4 denied",
		"Everything went as told.",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the demo does not say %q", want)
		}
	}
	left, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		if strings.HasPrefix(entry.Name(), "mcpx-demo-") {
			t.Errorf("the demo leaves %s behind", entry.Name())
		}
	}
}

// TestDemoFailsWithoutProtection plays the demo with a wrapper that has no policy: it must not pass.
func TestDemoFailsWithoutProtection(t *testing.T) {
	s, err := newStage()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(s.folder) })
	var log tailWriter
	var told strings.Builder
	p := &player{stage: s, command: []string{"mock-mcp"}, log: &log}
	if err := p.play(t.Context(), &narrator{out: &told}); err == nil {
		t.Errorf("the demo passes without mcpx:\n%s", told.String())
	}
}
