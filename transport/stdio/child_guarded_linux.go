package stdio

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/rohitgs28/mcpx/transport/stdio/guard"
)

// guardProgram becomes the guard. By this path it is this very program, though it may have been replaced on disk, and
// its short name is "exe": whoever kills all that is named mcpx leaves the guards to do their work. Where /proc is not
// mounted there is no such path, and no guard, which tests bring about by another path.
var guardProgram = "/proc/self/exe"

// A guarded is a leader behind a guard, seen from our side.
type guarded struct {
	leader  int
	process int // the guard's id
	records *os.File
	ended   chan Exit     // how the leader ended, sent once
	left    chan struct{} // closed when the guard is gone, and with it all that was below it

	mu       sync.Mutex // serialises writes to lifeline with its closing
	lifeline *os.File   // its end, which our own end is too, makes the guard kill everything
	reported bool       // the leader is known to be gone; guarded by mu
}

// errNoGuard says that no process could be started that would be the guard.
var errNoGuard = errors.New("start guard")

// spawnGuard starts a guard whose server will have the files. It waits for its launch and ends
// when there is none.
func spawnGuard(name []string, files [3]*os.File) (*guarded, error) {
	guardEnd, lifeline, err := blockingPipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = guardEnd.Close() }()
	records, guardRecords, err := blockingPipe()
	if err != nil {
		_ = lifeline.Close()
		return nil, err
	}
	defer func() { _ = guardRecords.Close() }()
	g := &guarded{lifeline: lifeline, records: records, ended: make(chan Exit, 1), left: make(chan struct{})}
	// syscall and not os, which would first start a process to find out whether pidfds work.
	g.process, err = syscall.ForkExec(guardProgram, append([]string{guard.Name}, name[:min(len(name), 1)]...), &syscall.ProcAttr{
		Env: guardEnv(),
		Files: []uintptr{
			files[0].Fd(), files[1].Fd(), files[2].Fd(),
			guard.LifelineFD: guardEnd.Fd(), guard.RecordsFD: guardRecords.Fd(),
		},
		// Signals to our group are ours to pass on. No parent-death signal: that is when it is needed.
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	runtime.KeepAlive(files)
	if err != nil {
		_ = lifeline.Close()
		_ = records.Close()
		return nil, fmt.Errorf("%w: %w", errNoGuard, err)
	}
	_ = guardEnd.Close() // or a write would wait for ever for a guard that died
	_ = guardRecords.Close()
	return g, nil
}

// launch has the guard start the leader. After an error the guard is gone.
func (g *guarded) launch(l launch) error {
	if err := g.handshake(l); err != nil {
		g.retire()
		return err
	}
	go g.follow()
	return nil
}

// guardEnv is the environment of the guard itself. It needs the runtime of a single processor, and
// the variables by which a Go program is looked into.
func guardEnv() []string {
	env := []string{"GOMAXPROCS=1"}
	for _, name := range []string{"GODEBUG", "GORACE", "GOCOVERDIR", "GOTRACEBACK"} {
		if value, set := os.LookupEnv(name); set {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// handshake hands over the launch and hears what became of it.
func (g *guarded) handshake(l launch) error {
	if _, err := g.lifeline.Write(guard.Launch{Path: l.path, Dir: l.dir, Args: l.args, Env: l.env}.Encode()); err != nil {
		return fmt.Errorf("start guard: %w", err)
	}
	switch kind, n, err := guard.ReadRecord(g.records); {
	case err != nil:
		return fmt.Errorf("start guard: it ended: %w", err)
	case kind == guard.Started:
		g.leader = n
		return nil
	case kind == guard.Failed:
		return &os.PathError{Op: "exec", Path: l.path, Err: syscall.Errno(n)}
	default:
		return errors.New("start guard: unknown answer")
	}
}

// follow hears the guard to its end.
func (g *guarded) follow() {
	for {
		kind, n, err := guard.ReadRecord(g.records)
		if err != nil {
			break
		}
		if kind == guard.Exited {
			g.report(exitOf(syscall.WaitStatus(n))) //nolint:gosec // 32 bits
		}
	}
	if g.report(Exit{Code: 128 + int(syscall.SIGKILL), Signal: "SIGKILL", text: "signal: killed (with its guard)"}) {
		// The guard was killed. The leader dies with it; what it started may be in its group still.
		_ = syscall.Kill(-g.leader, syscall.SIGKILL)
	}
	g.retire()
	close(g.left)
}

// report sends how the leader ended unless that is known already.
func (g *guarded) report(e Exit) (first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reported {
		return false
	}
	g.reported = true
	g.ended <- e
	return true
}

func (g *guarded) retire() {
	g.mu.Lock()
	_ = g.lifeline.Close()
	g.mu.Unlock()
	for {
		if _, err := syscall.Wait4(g.process, nil, 0, nil); err != syscall.EINTR {
			break
		}
	}
	_ = g.records.Close()
}

func (g *guarded) pid() int { return g.leader }

func (g *guarded) wait() Exit { return <-g.ended }

func (g *guarded) signal(sig os.Signal) error {
	s, ok := sig.(syscall.Signal)
	if !ok || s <= 0 || s > 64 {
		return fmt.Errorf("signal child: %v is not a signal of this system", sig)
	}
	return g.wish(byte(s))
}

func (g *guarded) wish(b byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reported && b != guard.SweepNow {
		return os.ErrProcessDone
	}
	_, err := g.lifeline.Write([]byte{b})
	return err
}

// sweep waits a little longer than the guard tries.
func (g *guarded) sweep() {
	_ = g.wish(guard.SweepNow) // fails when the guard is gone: so is what it guarded
	limit := time.NewTimer(guard.SweepLimit + time.Second)
	defer limit.Stop()
	select {
	case <-g.left:
	case <-limit.C:
	}
}
