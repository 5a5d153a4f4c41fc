package stdio

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A starter puts a guard between us and the leader (see package guard). Where /proc is not mounted a
// guard could neither be started nor see what it guards.
type starter struct {
	name  []string
	guard *guarded // ready and waiting for its launch; nil: none
	err   error    // why there is none, unless there is to be none
}

func newStarter(name []string, files [3]*os.File) starter {
	s := starter{name: name}
	s.spawn(files)
	return s
}

func (s *starter) spawn(files [3]*os.File) {
	s.guard, s.err = spawnGuard(s.name, files)
	if errors.Is(s.err, errNoGuard) && errors.Is(s.err, fs.ErrNotExist) {
		s.err = nil
	}
}

func (s *starter) start(l launch) (process, error) {
	if s.guard == nil && s.err == nil {
		s.spawn(l.files)
	}
	g, err := s.guard, s.err
	s.guard, s.err = nil, nil
	switch {
	case err != nil:
		return nil, err
	case g == nil:
		return startGroup(l)
	}
	if err := g.launch(l); err != nil {
		return nil, err
	}
	return g, nil
}

func (s *starter) close() {
	if s.guard != nil {
		s.guard.retire()
	}
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
