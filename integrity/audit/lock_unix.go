//go:build !windows

package audit

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openShareable opens the file that processes share, and makes it if it is not there.
func openShareable(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// lock waits for the lock on f. The system lets go of it when f is closed, or when the process dies.
func lock(f *os.File) error { return flock(f, unix.LOCK_EX) }

// tryLock reports whether it got the lock on f.
func tryLock(f *os.File) (bool, error) {
	err := flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func unlock(f *os.File) error { return flock(f, unix.LOCK_UN) }

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// canRemoveOpen says whether a file can be removed by whoever has it open.
const canRemoveOpen = true

// openPlain are flags with which a link is not followed, and a pipe is not waited for.
const openPlain = unix.O_NOFOLLOW | unix.O_NONBLOCK
