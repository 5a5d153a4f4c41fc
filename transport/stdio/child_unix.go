//go:build unix

package stdio

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A group is a leader that is our own child, in a process group of its own.
//
// Its sweep reaches the group. A descendant that made a session or group of its own is out of its
// sight; on Linux a guard has such descendants too (see package guard).
type group struct {
	leader int
	ended  chan Exit

	mu   sync.Mutex
	gone bool // the leader is reaped, so its number may be another's soon; guarded by mu
}

// startOrShell starts the launch; a file without a "#!" line goes to the shell, as execvp(3) does
// and thus most clients.
func (s *starter) startOrShell(l launch) (process, error) {
	p, err := s.start(l)
	if errors.Is(err, syscall.ENOEXEC) {
		l.args = append([]string{"sh", l.path}, l.args[1:]...)
		l.path = "/bin/sh"
		return s.start(l)
	}
	return p, err
}

func startGroup(l launch) (*group, error) {
	g := &group{ended: make(chan Exit, 1)}
	started := make(chan error)
	go g.run(l, started)
	if err := <-started; err != nil {
		return nil, err
	}
	return g, nil
}

// run starts the leader and waits for it on one thread: on Linux the leader is killed when the
// thread that started it ends, not the process (golang/go#27505).
func (g *group) run(l launch, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var err error
	g.leader, err = forkExec(l)
	started <- err
	if err != nil {
		return
	}
	g.ended <- g.reap()
}

// forkExec starts the launch as the leader of a new group.
func forkExec(l launch) (pid int, err error) {
	files := make([]uintptr, len(l.files))
	for i, f := range l.files {
		files[i] = f.Fd()
	}
	pid, err = syscall.ForkExec(l.path, l.args, &syscall.ProcAttr{
		Dir:   l.dir,
		Env:   l.env,
		Files: files,
		Sys:   leaderAttr(),
	})
	runtime.KeepAlive(l.files)
	if err != nil {
		return 0, &os.PathError{Op: "exec", Path: l.path, Err: err}
	}
	return pid, nil
}

// reap waits until the leader can be reaped and does it under mu, so that signal never reaches
// a process that got the leader's number later.
func (g *group) reap() Exit {
	awaitExit(g.leader)
	for {
		if exit, ended := g.tryReap(); ended {
			return exit
		}
		<-time.After(reapEvery) // the system could not tell us when
	}
}

// reapEvery is how often is looked whether a leader has ended where awaitExit could not wait, such as for want of descriptors.
const reapEvery = 50 * time.Millisecond

// tryReap reaps the leader if it has ended. It does not wait, for signal needs mu.
func (g *group) tryReap() (exit Exit, ended bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(g.leader, &status, syscall.WNOHANG, nil)
	switch {
	case err == syscall.EINTR, err == nil && pid != g.leader:
		return Exit{}, false
	case err != nil:
		exit = Exit{Code: 255, text: "exit status unknown: " + err.Error()}
	default:
		exit = exitOf(status)
	}
	g.gone = true
	return exit, true
}

func (g *group) pid() int { return g.leader }

func (g *group) wait() Exit { return <-g.ended }

func (g *group) signal(sig os.Signal) error {
	s, ok := sig.(syscall.Signal)
	if !ok {
		return errors.New("signal child: not a signal of this system")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone {
		return os.ErrProcessDone
	}
	return syscall.Kill(-g.leader, s)
}

// sweep kills the group and waits, not for long, until the system knows it no more. A group's
// number is not given away while it has a member; when it has none the system answers ESRCH.
func (g *group) sweep() {
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	for deadline := time.Now().Add(holdTime); time.Now().Before(deadline); <-pause.C {
		if syscall.Kill(-g.leader, syscall.SIGKILL) != nil {
			return
		}
	}
}

func exitOf(status syscall.WaitStatus) Exit {
	if status.Signaled() {
		sig := status.Signal()
		text := "signal: " + sig.String()
		if status.CoreDump() {
			text += " (core dumped)"
		}
		return Exit{Code: 128 + int(sig), Signal: unix.SignalName(sig), text: text}
	}
	return Exit{Code: status.ExitStatus(), text: "exit status " + strconv.Itoa(status.ExitStatus())}
}
