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
	var b [1]byte
	look := func(fd uintptr) {
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		quiet = err == unix.EAGAIN || err == unix.EWOULDBLOCK || err == unix.EINTR
	}
	return func() bool {
		quiet = false
		return raw.Control(look) == nil && quiet // not raw.Read: an old deadline would end that
	}
}
