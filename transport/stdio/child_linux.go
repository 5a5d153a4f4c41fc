package stdio

import (
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// startProcess puts a guard between us and the leader when this program can be one. Where /proc is
// not mounted a guard could neither be started nor see what it guards.
func startProcess(l launch) (process, error) {
	if !guardReady.Load() {
		return startGroup(l)
	}
	p, err := startGuarded(l)
	if errors.Is(err, errNoGuard) && errors.Is(err, fs.ErrNotExist) {
		return startGroup(l)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// leaderAttr also has the leader killed when its parent dies in any way.
func leaderAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit waits until pid has ended and leaves it to be reaped.
func awaitExit(pid int) {
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}
