package stdio

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExitCode(t *testing.T) {
	c, err := Start(Command{Args: []string{"cmd", "/c", "exit 3"}})
	if err != nil {
		t.Fatal(err)
	}
	if e := c.Stop(StopOptions{}); e.Code != 3 {
		t.Errorf("ended with %v, want exit status 3", e)
	}
}

func TestBatchFileGetsItsArguments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with space")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "show.cmd"), []byte("@echo [%1] [%2]\r\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := Start(Command{Args: []string{filepath.Join(dir, "show"), "plain", "a & b"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop(StopOptions{})
	out, _ := io.ReadAll(c.Stdout())
	if got, want := strings.TrimSpace(string(out)), `[plain] ["a & b"]`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A server that reads nothing and leaves on no signal, with a child of its own.
func TestStopEndsTheJob(t *testing.T) {
	c, err := Start(Command{Args: []string{"cmd", "/c", "ping -n 60 127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Stdin().Close()
	c.Stop(StopOptions{Exit: -1, Term: -1})
	if _, err := io.ReadAll(c.Stdout()); err != nil { // it ends, so nobody holds it
		t.Error(err)
	}
}
