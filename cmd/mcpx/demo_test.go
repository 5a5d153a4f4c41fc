package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		if strings.HasPrefix(entry.Name(), "mcpx-demo") {
			t.Errorf("the demo leaves %s behind", entry.Name())
		}
	}
}

// TestDemoBuildsItsProgram finds the ways to build mock-mcp, and says what to do where there is none. That the first one
// works is shown by the README's command.
func TestDemoBuildsItsProgram(t *testing.T) {
	folder := t.TempDir()
	fromSource := []string{"build", "-buildvcs=false", "-o", filepath.Join(folder, programFile(mockName)), mockPackage}
	for _, test := range []struct {
		name, version string
		modules       []string
		want          []string // nil: refused
	}{
		{"in the source", "devel", []string{ourModule}, fromSource},
		{"in a workspace", "v1.2.3", []string{"example.com/other", ourModule}, fromSource},
		{"release elsewhere", "v1.2.3", []string{"example.com/other"}, []string{"install", mockPackage + "@v1.2.3"}},
		{"prerelease", "v1.2.3-rc.1", nil, []string{"install", mockPackage + "@v1.2.3-rc.1"}},
		{"changed source elsewhere", "v1.2.4-0.20260101000000-0123456789ab+dirty", nil, nil},
		{"no version", "devel", nil, nil},
	} {
		got, err := buildArgs(test.modules, test.version, folder)
		if diff := cmp.Diff(test.want, got); diff != "" || (err == nil) != (test.want != nil) {
			t.Errorf("%s: %v (-want +got):\n%s", test.name, err, diff)
		}
	}
}

// TestDemoSaysWhatIsMissing starts it where there is neither mock-mcp nor Go.
func TestDemoSaysWhatIsMissing(t *testing.T) {
	temp := t.TempDir()
	for _, name := range []string{"PATH", "TMPDIR", "TMP"} {
		t.Setenv(name, temp)
	}
	_, _, err := (&app{}).mockProgram(t.Context(), filepath.Join(t.TempDir(), "mcpx"))
	if err == nil || !strings.Contains(err.Error(), "there is no Go in the PATH: install Go, or put mock-mcp of the same release beside mcpx") {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestDemoIsNotLinked keeps out of mcpx what only the demo and tests need: each wrapper of each client would pay for it.
func TestDemoIsNotLinked(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dependency := range strings.Lines(string(out)) {
		for _, heavy := range []string{"github.com/mark3labs/mcp-go", "github.com/modelcontextprotocol/go-sdk", ourModule + "/examples", "github.com/google/jsonschema-go"} {
			if dependency = strings.TrimSpace(dependency); dependency == heavy || strings.HasPrefix(dependency, heavy+"/") {
				t.Errorf("mcpx links %s", dependency)
			}
		}
	}
}
