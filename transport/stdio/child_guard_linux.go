package stdio

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const guardSupported = true

// Descriptors of a guard; 0 to 2 are the server's.
const (
	lifelineFD = 3 // read
	recordsFD  = 4 // write
)

// sweepLimit bounds a sweep: a process in uninterruptible sleep or of another user cannot be killed.
const sweepLimit = 5 * time.Second

// A guarding is the state of a guard.
type guarding struct {
	leader  int
	records *os.File

	mu   sync.Mutex
	gone bool // the leader is reaped; guarded by mu
}

// guard runs one: it starts the leader, obeys the lifeline, and ends when nothing is left below it.
// It has no one to report an error to but the records; a broken lifeline means that it is to end.
func guard() {
	runtime.LockOSThread() // the leader is killed when the thread that started it ends
	syscall.CloseOnExec(lifelineFD)
	syscall.CloseOnExec(recordsFD)
	lifeline := os.NewFile(lifelineFD, "lifeline")
	g := &guarding{records: os.NewFile(recordsFD, "records")}
	l, err := decodeLaunch(lifeline)
	if err != nil {
		return
	}
	l.files = [3]*os.File{os.Stdin, os.Stdout, os.Stderr}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		g.failed(err)
		return
	}
	if g.leader, err = forkExec(l); err != nil {
		g.failed(err)
		return
	}
	releaseStdio()
	g.tell(recordStarted, g.leader)
	// Who means the wrapper may well hit us too; we end when it does.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM)
	go g.obey(lifeline)
	g.reapAll()
}

// releaseStdio leaves the server's pipes to the server: they must end when it does.
func releaseStdio() {
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	for fd := range 3 {
		if err != nil || unix.Dup3(null, fd, 0) != nil {
			_ = unix.Close(fd)
		}
	}
}

// tell ignores errors: when nobody listens any more the lifeline has ended too.
func (g *guarding) tell(kind byte, n int) { _, _ = g.records.Write(record(kind, n)) }

func (g *guarding) failed(err error) {
	errno := syscall.EINVAL
	_ = errors.As(err, &errno)
	g.tell(recordFailed, int(errno))
}

// obey carries out what the lifeline says. Its end is the order to end everything.
func (g *guarding) obey(lifeline *os.File) {
	wish := make([]byte, 1)
	for {
		if n, err := lifeline.Read(wish); n == 0 || err != nil || wish[0] == sweepNow {
			g.sweep()
		}
		g.mu.Lock()
		if !g.gone {
			_ = syscall.Kill(-g.leader, syscall.Signal(wish[0]))
		}
		g.mu.Unlock()
	}
}

// sweep kills until nothing is left, when reapAll ends this process, and gives up after sweepLimit.
func (g *guarding) sweep() {
	pause := time.NewTicker(time.Millisecond)
	for deadline := time.Now().Add(sweepLimit); time.Now().Before(deadline); <-pause.C {
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
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil { // ECHILD: nobody is left
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
		g.tell(recordExited, int(status))
	}
}

// descendants lists the live processes below root.
func descendants(root int) []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1)
	children := map[int][]int{}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if parent, ok := parentOf(name); ok {
				children[parent] = append(children[parent], pid)
			}
		}
	}
	var found []int
	for next := children[root]; len(next) > 0; {
		pid := next[0]
		next = append(next[1:], children[pid]...)
		found = append(found, pid)
	}
	return found
}

// parentOf reads the parent of a process that is no zombie from /proc/PID/stat: "pid (name) state ppid …".
func parentOf(pid string) (parent int, ok bool) {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0, false
	}
	stat = stat[bytes.LastIndexByte(stat, ')')+1:] // the name may hold anything
	fields := bytes.Fields(stat)
	if len(fields) < 2 {
		return 0, false
	}
	parent, err = strconv.Atoi(string(fields[1]))
	return parent, err == nil
}
