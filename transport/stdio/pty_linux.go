package stdio

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	ioctlGetTermios = unix.TCGETS
	ioctlSetTermios = unix.TCSETS
	vdisable        = 0
)

// unread reports whether the child has input to read. Poll first waits for the kernel's worker
// that takes bytes from the master to the slave, so that none is overlooked on its way.
func unread(slave *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(slave.Fd()), Events: unix.POLLIN}} //nolint:gosec // a descriptor fits
	n, err := unix.Poll(fds, 0)
	return err != nil || n > 0 && fds[0].Revents&unix.POLLIN != 0
}
