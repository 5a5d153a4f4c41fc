//go:build unix

package clients

import (
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A pipe in place of a client's file is named, and not waited for.
func TestPipeInPlaceOfAFile(t *testing.T) {
	client, ok := Lookup("cursor")
	if !ok {
		t.Fatal("no such client")
	}
	path := filepath.Join(t.TempDir(), "mcp.json")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := Open(Env{OS: runtime.GOOS}, client, path); f.Err == nil || !strings.Contains(f.Err.Error(), "no regular file") {
		t.Errorf("%v", f.Err)
	}
}
