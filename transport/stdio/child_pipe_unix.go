//go:build unix

package stdio

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The ends of the three channels to a child. All are in blocking mode: the kernel then wakes the
// reading thread itself. A pipe in the runtime's poller beside a blocking stdin waits for sysmon,
// up to 10 ms a message.
type ends struct {
	stdin, stdout, stderr *os.File    // ours
	child                 [3]*os.File // the child's; ours only until it is started
	tty                   *terminal   // between our stdout and the child's; nil: none
}

func openEnds(withPTY bool) (*ends, error) {
	e := &ends{}
	if err := e.open(withPTY); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *ends) open(withPTY bool) (err error) {
	if e.child[0], e.stdin, err = blockingPipe(); err != nil {
		return err
	}
	if e.stderr, e.child[2], err = blockingPipe(); err != nil {
		return err
	}
	if withPTY {
		if e.tty, err = openTerminal(); err != nil {
			return err
		}
		e.stdout, e.child[1] = e.tty.stdout, e.tty.slave
	} else if e.stdout, e.child[1], err = blockingPipe(); err != nil {
		return err
	}
	return nil
}

// started gives up what now is the child's.
func (e *ends) started() {
	for _, f := range e.child {
		_ = f.Close()
	}
	if e.tty != nil {
		go e.tty.carry()
	}
}

// close is for a child that could not be started.
func (e *ends) close() {
	for _, f := range append([]*os.File{e.stdin, e.stdout, e.stderr}, e.child[:]...) {
		_ = f.Close() // a nil *os.File answers ErrInvalid
	}
	if e.tty != nil {
		e.tty.close()
	}
}

// awaitHangup waits until nobody can write to the child's stdout, or until the deadline. Bytes may
// still be in it. It takes nothing from the reader.
func awaitHangup(c *Child, deadline time.Time) {
	raw, err := c.stdout.SyscallConn()
	if err != nil {
		return
	}
	// Control keeps the descriptor ours when the file is closed meanwhile.
	_ = raw.Control(func(fd uintptr) {
		for {
			left := time.Until(deadline)
			if left <= 0 {
				return
			}
			// No event is asked for: POLLHUP and POLLERR come anyway, POLLIN would return at once.
			fds := []unix.PollFd{{Fd: int32(fd)}} //nolint:gosec // a descriptor fits
			n, err := unix.Poll(fds, int(left.Milliseconds())+1)
			if n > 0 || (err != nil && !errors.Is(err, syscall.EINTR)) {
				return
			}
		}
	})
}
