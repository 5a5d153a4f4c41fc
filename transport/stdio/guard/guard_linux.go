package guard

import (
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Name is argv[0] of a guard, by which the program knows at its start that it is one.
const Name = "mcpx-guard"

// Descriptors of a guard; 0 to 2 are the server's.
const (
	LifelineFD = 3 // read
	RecordsFD  = 4 // write
)

// SweepLimit bounds a sweep: a process in uninterruptible sleep or of another user cannot be killed.
const SweepLimit = 5 * time.Second

// prSetChildSubreaper is PR_SET_CHILD_SUBREAPER of prctl(2).
const prSetChildSubreaper = 36

// init is main of a guard: see the package comment. It runs on the main thread, which lives as long as the process;
// that matters because the kernel kills the leader when the thread that started it ends.
func init() {
	if len(os.Args) > 0 && os.Args[0] == Name {
		run()
		os.Exit(0)
	}
}

// A guarding is the state of a guard.
type guarding struct {
	leader  int
	records *os.File

	mu   sync.Mutex
	gone bool // the leader is reaped; guarded by mu
}

// run starts the leader, obeys the lifeline, and returns when nothing is left below it. It has no one to report an
// error to but the records; a broken lifeline means that it is to end.
func run() {
	syscall.CloseOnExec(LifelineFD)
	syscall.CloseOnExec(RecordsFD)
	lifeline := os.NewFile(LifelineFD, "lifeline")
	g := &guarding{records: os.NewFile(RecordsFD, "records")}
	l, err := readLaunch(lifeline)
	if err != nil {
		return
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		g.failed(errno)
		return
	}
	if g.leader, err = start(l); err != nil {
		g.failed(err)
		return
	}
	g.tell(Started, g.leader)
	releaseStdio()
	// Who means the wrapper may well hit us too; we end when it does. Not before the leader is started, which would
	// inherit that.
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM)
	go g.obey(lifeline)
	g.reapAll()
}

// start starts the leader of a new group, which dies with us.
func start(l Launch) (pid int, err error) {
	return syscall.ForkExec(l.Path, l.Args, &syscall.ProcAttr{
		Dir:   l.Dir,
		Env:   l.Env,
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
}

// releaseStdio leaves the server's pipes to the server: they must end when it does.
func releaseStdio() {
	null, err := syscall.Open(os.DevNull, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	for fd := range 3 {
		if err != nil || syscall.Dup3(null, fd, 0) != nil {
			_ = syscall.Close(fd)
		}
	}
}

// tell ignores errors: when nobody listens any more the lifeline has ended too.
func (g *guarding) tell(kind byte, n int) { _, _ = g.records.Write(record(kind, n)) }

func (g *guarding) failed(err error) {
	errno := syscall.EINVAL
	_ = errors.As(err, &errno)
	g.tell(Failed, int(errno))
}

// obey carries out what the lifeline says. Its end is the order to end everything.
func (g *guarding) obey(lifeline *os.File) {
	wish := make([]byte, 1)
	for {
		if n, err := lifeline.Read(wish); n == 0 || err != nil || wish[0] == SweepNow {
			sweep()
		}
		g.mu.Lock()
		if !g.gone {
			_ = syscall.Kill(-g.leader, syscall.Signal(wish[0]))
		}
		g.mu.Unlock()
	}
}

// sweep kills until nothing is left, when reapAll ends this process, and gives up after SweepLimit.
func sweep() {
	pause := time.NewTicker(time.Millisecond)
	for deadline := time.Now().Add(SweepLimit); time.Now().Before(deadline); <-pause.C {
		for _, pid := range descendants(os.Getpid()) {
			// A number is given away only after the whole range was used, not within these microseconds.
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// reapAll reaps the leader and every adopted orphan, and returns when there are no more.
func (g *guarding) reapAll() {
	for {
		// First wait without reaping: as long as g.gone is false the leader's number must be its own.
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, 0 /* P_ALL */, 0, 0, syscall.WEXITED|syscall.WNOWAIT, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 { // ECHILD: nobody is left
			return
		}
		g.reapOne()
	}
}

func (g *guarding) reapOne() {
	g.mu.Lock()
	defer g.mu.Unlock()
	var status syscall.WaitStatus
	if pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); err == nil && pid == g.leader && !g.gone {
		g.gone = true
		g.tell(Exited, int(status))
	}
}
