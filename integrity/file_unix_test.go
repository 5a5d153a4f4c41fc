//go:build unix

package integrity

import (
	"strings"
	"syscall"
	"testing"
)

// A named pipe in place of the lock file is refused; opening it would wait for a writer.
func TestPipeInPlaceOfTheLockFile(t *testing.T) {
	path := lockPath(t)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("opened: %v", err)
	}
}
