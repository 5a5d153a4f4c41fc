//go:build darwin || freebsd

package stdio

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	ioctlGetTermios = unix.TIOCGETA
	ioctlSetTermios = unix.TIOCSETA
	vdisable        = 0xff

	fionread = 0x4004667f // _IOR('f', 127, int), which package unix does not name
)

// unread reports whether the child has input to read. Here a write to the master is in the
// slave's queue when it returns.
func unread(slave *os.File) bool {
	n, err := unix.IoctlGetInt(int(slave.Fd()), fionread) //nolint:gosec // a descriptor
	return err != nil || n > 0
}
