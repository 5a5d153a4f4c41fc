//go:build unix

package streamable

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// peekable returns a function that looks at a connection without waiting and without taking anything from it. It reports
// whether there is nothing to read: an end, an error, and bytes that nobody has asked for all mean that it is not to be used.
func peekable(conn net.Conn) func() bool {
	source, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := source.SyscallConn()
	if err != nil {
		return nil
	}
	quiet := false
	fds := make([]unix.PollFd, 1)
	look := func(fd uintptr) {
		fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN} //nolint:gosec // file descriptors are small
		n, err := unix.Poll(fds, 0)
		quiet = n == 0 && err == nil
	}
	return func() bool {
		quiet = false
		return raw.Control(look) == nil && quiet // not raw.Read: an old deadline would end that
	}
}
