package audit

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// openShareable opens the file that processes share, and makes it if it is not there. It may be renamed while it is
// open, which os.OpenFile does not allow: else it could never be rotated.
func openShareable(path string) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil,
		windows.OPEN_ALWAYS, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

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

// canRemoveOpen says whether a file can be removed by whoever has it open.
const canRemoveOpen = false

// openPlain: links take a right of its own here, and pipes are no files.
const openPlain = 0
