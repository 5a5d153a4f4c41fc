//go:build unix

package stdio

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// polled returns another file for our end of a child's pipe that is in the runtime's poller. The pipe's end is ours alone,
// so the child does not find its own in non-blocking mode.
func polled(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("poll %s: %w", f.Name(), err)
	}
	var fd int
	control := raw.Control(func(own uintptr) {
		if fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return
		}
		if err = unix.SetNonblock(fd, true); err != nil {
			_ = unix.Close(fd)
		}
	})
	if control != nil {
		err = control
	}
	if err != nil {
		return nil, fmt.Errorf("poll %s: %w", f.Name(), err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
