package integrity

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

const (
	lockTimeout = 5 * time.Second
	lockRetry   = 2 * time.Millisecond
)

// lock takes the file lock at path and returns how to give it back. The file is removed again, so a holder
// checks that it did not lock one that another had just removed.
func lock(path string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	for {
		l := flock.New(path)
		if _, err := l.TryLockContext(ctx, lockRetry); err != nil {
			_ = l.Close()
			return nil, fmt.Errorf("lock %q: %w", path, err)
		}
		held, heldErr := l.Stat()
		there, err := os.Stat(path)
		if heldErr == nil && err == nil && os.SameFile(held, there) {
			return func() {
				// Where an open file cannot be removed (Windows), it stays, empty.
				_ = os.Remove(path)
				_ = l.Close()
			}, nil
		}
		_ = l.Close()
	}
}

// replace writes a file so that at any moment, also after a crash, there is the old one or the new one,
// whole. The caller holds the lock, so a temporary file that is already there is left from a crash.
func replace(path string, data []byte) (fs.FileInfo, error) {
	mode := fs.FileMode(0o644) // made to be committed; the umask applies
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	temp := path + ".tmp"
	if err := os.Remove(temp); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	stamp, err := writeSynced(temp, data, mode)
	if err == nil {
		err = rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
		return nil, err
	}
	// The rename has happened: without this it may be lost with the power, but it is not half done.
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("sync folder of %q: %w", path, err)
	}
	return stamp, nil
}

// writeSynced creates a file, which must not exist, and brings it to the disk.
func writeSynced(path string, data []byte, mode fs.FileMode) (fs.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.Write(data); err != nil {
		return nil, err
	}
	if err := file.Sync(); err != nil {
		return nil, err
	}
	stamp, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return stamp, file.Close()
}
