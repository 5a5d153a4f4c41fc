package stdio

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// holdTime is how long a child's stdout and stderr may stay open after its leader is gone:
// a grandchild that inherited them would otherwise keep the whole session waiting.
const holdTime = time.Second

// A Command says what to start. Only Args is required.
type Command struct {
	Args   []string  // argv; Args[0] is looked up as LookPath describes
	Env    []string  // nil: our own environment less MCPX_*; PYTHONUNBUFFERED=1 is added when unset
	Dir    string    // working directory; empty: ours
	PTY    bool      // stdout is a raw-mode pseudo-terminal; stdin and stderr stay pipes
	Stderr io.Writer // receives the child's stderr as it comes; nil: dropped
}

// A Child is a running server: the process that was started, its leader, and whatever that
// started in turn. All methods are safe for concurrent use.
type Child struct {
	stdin, stdout *os.File
	proc          process
	tail          tail
	drained       chan struct{} // closed when stderr has ended
	gone          chan struct{} // closed when the leader is gone
	done          chan struct{} // see Done
	exit          Exit          // written before gone is closed
	term          sync.Once     // the ladder's SIGTERM is sent once, however many call Stop
}

// A process is a started leader as the platform keeps it.
type process interface {
	pid() int
	wait() Exit             // until the leader is gone; called once
	signal(os.Signal) error // to the leader's group; os.ErrProcessDone when the leader is gone
	sweep()                 // kill what is left of the group and its descendants; return when gone
}

// A launch is a Command with every question answered.
type launch struct {
	path  string // of the program
	args  []string
	env   []string
	dir   string
	files [3]*os.File // the child's stdin, stdout, stderr
}

// Start starts the command. The error says whether the program was not found (exec.ErrNotFound),
// must not be executed (fs.ErrPermission), or could not be started for another reason.
func Start(cmd Command) (*Child, error) { return Prepare(cmd).Start(cmd) }

// A Prepared is what a start can do before the command is known whole: the pipes, and on Linux the
// guard, which takes most of a start's time. So a caller who has to read its configuration first
// lets that go on beside it. It serves for one start.
type Prepared struct {
	ends  *ends
	ready starter
	err   error
}

// Prepare gets ready to start a command, of which PTY must be known and Args is used for nothing
// but a name in the list of processes.
func Prepare(cmd Command) *Prepared {
	p := &Prepared{}
	if p.ends, p.err = openEnds(cmd.PTY); p.err == nil {
		p.ready = newStarter(cmd.Args, p.ends.child)
	}
	return p
}

// Close gives up what was prepared, if nothing was started with it.
func (p *Prepared) Close() {
	if p.ends == nil {
		return
	}
	p.ready.close()
	p.ends.close()
	p.ends = nil
}

// Start is like the function.
func (p *Prepared) Start(cmd Command) (*Child, error) {
	defer p.Close()
	l, err := prepare(cmd)
	if err != nil {
		return nil, err
	}
	if p.err != nil {
		return nil, fmt.Errorf("start %q: %w", cmd.Args[0], p.err)
	}
	l.files = p.ends.child
	proc, err := p.ready.startOrShell(l)
	if err != nil {
		return nil, fmt.Errorf("start %q: %w", cmd.Args[0], err)
	}
	ends := p.ends
	p.ends = nil
	ends.started()
	c := &Child{
		stdin:   ends.stdin,
		stdout:  ends.stdout,
		proc:    proc,
		drained: make(chan struct{}),
		gone:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	go c.drain(ends.stderr, cmd.Stderr)
	go c.watch()
	return c, nil
}

// prepare resolves what the platform must be told, and refuses what it cannot be told.
func prepare(cmd Command) (launch, error) {
	if len(cmd.Args) == 0 || cmd.Args[0] == "" {
		return launch{}, errors.New("start server: no command given")
	}
	for _, s := range append(append([]string{cmd.Dir}, cmd.Args...), cmd.Env...) {
		if strings.ContainsRune(s, 0) {
			return launch{}, fmt.Errorf("start %q: NUL in %q", cmd.Args[0], s)
		}
	}
	if cmd.Dir != "" {
		if st, err := os.Stat(cmd.Dir); err != nil {
			return launch{}, fmt.Errorf("start %q: working directory: %w", cmd.Args[0], err)
		} else if !st.IsDir() {
			return launch{}, fmt.Errorf("start %q: working directory %q: %w", cmd.Args[0], cmd.Dir, syscall.ENOTDIR)
		}
	}
	env := childEnv(cmd.Env)
	path, env, err := findCommand(cmd.Args[0], cmd.Dir, env)
	if err != nil {
		return launch{}, err
	}
	return launch{path: path, args: cmd.Args, env: env, dir: cmd.Dir}, nil
}

// Stdin is our end of the child's stdin, in blocking mode. Closing it is how a server is asked to
// leave; a write that is blocked in it meanwhile holds the end of input back until the child
// reads or dies.
func (c *Child) Stdin() *os.File { return c.stdin }

// Stdout is our end of the child's stdout, in blocking mode: closing it does not wake a reader.
// It ends when every process that holds it is gone, at the latest after Stop.
func (c *Child) Stdout() *os.File { return c.stdout }

// Pid is the process id of the leader.
func (c *Child) Pid() int { return c.proc.pid() }

// Done is closed when the leader is gone and nobody else can write to its stdout or stderr, or
// one second after the leader when a grandchild holds them open. What was written before is still
// to be read; after Stop the end of Stdout follows it for certain.
func (c *Child) Done() <-chan struct{} { return c.done }

// Exit is how the leader ended. It waits for Done.
func (c *Child) Exit() Exit {
	<-c.done
	return c.exit
}

// Signal sends a signal to the leader's whole process group; on Windows os.Kill ends the job and
// every other signal is a CTRL_BREAK. It returns os.ErrProcessDone when the leader is gone.
func (c *Child) Signal(sig os.Signal) error { return c.proc.signal(sig) }

// StderrTail is the last 64 KiB that the child wrote to stderr.
func (c *Child) StderrTail() []byte { return c.tail.bytes() }

func (c *Child) watch() {
	c.exit = c.proc.wait()
	close(c.gone)
	deadline := time.Now().Add(holdTime)
	awaitHangup(c, deadline)
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-c.drained:
	case <-timer.C:
	}
	close(c.done)
}

// An Exit is how a process ended.
type Exit struct {
	Code   int    // its exit code; 128+n when signal n ended it
	Signal string // such as "SIGKILL"; empty when it left by itself
	text   string
}

// String is such as "exit status 3" or "signal: killed".
func (e Exit) String() string { return e.text }
