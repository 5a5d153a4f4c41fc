package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"github.com/rohitgs28/mcpx/transport/stdio/guard"
)

// A client waits for the guard of each server. It must not wait for what only the rest of mcpx needs: all the packages
// that print, and with them the hub, are initialized after unicode is.
func TestGuardRunsBeforeTheRestIsInitialized(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{guard.Name}
	cmd.Env = []string{"GODEBUG=inittrace=1"}
	cmd.ExtraFiles = []*os.File{guard.LifelineFD - 3: null, guard.RecordsFD - 3: null}
	out, err := cmd.CombinedOutput() // an empty lifeline ends it
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var done []string
	for _, m := range regexp.MustCompile(`(?m)^init (\S+) @`).FindAllSubmatch(out, -1) {
		done = append(done, string(m[1]))
	}
	if !slices.Contains(done, "os/signal") {
		t.Errorf("initialized: %q, want os/signal among them", done)
	}
	for _, late := range []string{"unicode", "reflect", "strings", "fmt", "net", "net/http", "main"} {
		if slices.Contains(done, late) {
			t.Errorf("%s was initialized before the guard ran", late)
		}
	}
}
