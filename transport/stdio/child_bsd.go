//go:build darwin || freebsd

package stdio

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A starter starts the leader as our own child: here no system call kills it, or what it
// started, when we are killed. They see the end of their stdin then, which is the protocol's sign
// to leave.
type starter struct{}

func newStarter([]string, [3]*os.File) starter { return starter{} }

func (*starter) start(l launch) (process, error) { return startGroup(l) }

func (*starter) close() {}

func leaderAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitExit waits until pid has ended and leaves it to be reaped.
func awaitExit(pid int) {
	queue, err := unix.Kqueue()
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(queue) }()
	unix.CloseOnExec(queue)
	change := make([]unix.Kevent_t, 1)
	unix.SetKevent(&change[0], pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	change[0].Fflags = unix.NOTE_EXIT
	event := make([]unix.Kevent_t, 1)
	for {
		// An error other than EINTR is ESRCH: it ended before we asked.
		if _, err := unix.Kevent(queue, change, event, nil); err != unix.EINTR {
			return
		}
	}
}
