package stdio

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// startProcess puts a guard between us and the leader when this program can be one.
func startProcess(l launch) (process, error) {
	if guardReady.Load() {
		return startGuarded(l)
	}
	return startGroup(l)
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
