package integrity

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// rename tries for a second: Windows refuses to replace a file while another process reads it.
func rename(from, to string) error {
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	for deadline := time.Now().Add(time.Second); ; <-retry.C {
		err := os.Rename(from, to)
		busy := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !busy || time.Now().After(deadline) {
			return err
		}
	}
}

// syncFolder does nothing: Windows has no such call, and its file systems journal a rename.
func syncFolder(string) error { return nil }
