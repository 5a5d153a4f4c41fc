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
	name    []string
	spawned chan spawned // holds the first guard sooner or later; nil once it was taken
}

// A spawned is a guard that waits for its launch, or why there is none. It has neither where there can be none.
type spawned struct {
	guard *guarded
	err   error
}

// newStarter does not wait for the guard: this thread would stand still until the guard's program is loaded.
func newStarter(name []string, files [3]*os.File) starter {
	s := starter{name: name, spawned: make(chan spawned, 1)}
	go func(c chan<- spawned) { c <- s.spawn(files) }(s.spawned)
	return s
}

func (s *starter) spawn(files [3]*os.File) spawned {
	g, err := spawnGuard(s.name, files)
	if errors.Is(err, errNoGuard) && errors.Is(err, fs.ErrNotExist) {
		return spawned{}
	}
	return spawned{g, err}
}

// take returns the first guard, after that a new one each time.
func (s *starter) take(files [3]*os.File) spawned {
	if s.spawned == nil {
		return s.spawn(files)
	}
	defer func() { s.spawned = nil }()
	return <-s.spawned
}

func (s *starter) start(l launch) (process, error) {
	switch got := s.take(l.files); {
	case got.err != nil:
		return nil, got.err
	case got.guard == nil:
		return startGroup(l)
	default:
		if err := got.guard.launch(l); err != nil {
			return nil, err
		}
		return got.guard, nil
	}
}

func (s *starter) close() {
	if s.spawned == nil {
		return
	}
	if got := s.take([3]*os.File{}); got.guard != nil {
		got.guard.retire()
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
