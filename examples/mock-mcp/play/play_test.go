package play

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/rohitgs28/mcpx/examples/mock-mcp/mock"
)

// TestMain lets the test binary pose as an mcpx that protects from nothing: whatever it is asked, it is the server.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"no-mcpx": func() {
			if err := mock.Serve(context.Background(), os.Stdin, os.Stdout, os.Getenv(mock.ControlVariable)); err != nil {
				os.Exit(1)
			}
		},
	})
}

// TestDemoFailsWithoutProtection plays the demo with a wrapper that has no policy: it must not pass. That it passes
// with mcpx is shown in cmd/mcpx.
func TestDemoFailsWithoutProtection(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("TMP", temp)
	file, err := exec.LookPath("no-mcpx")
	if err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	err = Run(t.Context(), Programs{MCPX: file, Mock: "unused"}, &told, &told)
	if err == nil || !strings.Contains(err.Error(), `tools/list shows ["dangerous_delete" "echo" "read_file"]`) {
		t.Errorf("without mcpx the demo ends with %v:\n%s", err, told.String())
	}
	if strings.Contains(told.String(), "Everything went as told") {
		t.Errorf("it tells that all is well:\n%s", told.String())
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
