package audit

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// A lock on Windows forbids others to read what it covers, so it covers one byte that no log reaches.
func lockRegion() *windows.Overlapped { return &windows.Overlapped{OffsetHigh: 1 << 30} }

// lock waits for the lock on f. The system lets go of it when f is closed, or when the process dies.
func lock(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, lockRegion())
}

// tryLock reports whether it got the lock on f.
func tryLock(f *os.File) (bool, error) {
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, lockRegion())
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}

func unlock(f *os.File) error {
	return windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, lockRegion())
}
