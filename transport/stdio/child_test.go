//go:build unix

package stdio

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// start starts the test binary in a role; cmd.Env is added to ours.
func start(t testing.TB, role string, cmd Command) *Child {
	t.Helper()
	cmd.Args = []string{os.Args[0]}
	cmd.Env = withEnv(append(os.Environ(), cmd.Env...), roleVariable, role)
	c, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Stdin().Close()
		c.Stop(StopOptions{Exit: -1, Term: -1})
		_ = c.Stdout().Close()
	})
	return c
}

func readLine(t *testing.T, c *Child) string {
	t.Helper()
	line, err := bufio.NewReader(c.Stdout()).ReadString('\n')
	if err != nil {
		t.Fatalf("read a line from the child: %v", err)
	}
	return line
}

func TestExit(t *testing.T) {
	tests := []struct {
		role string
		want Exit
	}{
		{"exit 0", Exit{0, "", "exit status 0"}},
		{"exit 3", Exit{3, "", "exit status 3"}},
		{"exit 255", Exit{255, "", "exit status 255"}},
		{"suicide 9", Exit{137, "SIGKILL", "signal: killed"}},
		{"suicide 15", Exit{143, "SIGTERM", "signal: terminated"}},
	}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			c := start(t, tt.role, Command{})
			<-c.gone
			began := time.Now()
			if got := c.Exit(); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if d := time.Since(began); d > holdTime/2 {
				t.Errorf("Done %v after the leader was gone, though nobody holds its stdout", d)
			}
		})
	}
}

func TestStdinAndStdoutCarryBytes(t *testing.T) {
	c := start(t, "echo", Command{})
	sent := bytes.Repeat([]byte("{\"a\":\"\\u2028 \xff \r\"}\n"), 200_000)
	go func() {
		_, _ = c.Stdin().Write(sent)
		_ = c.Stdin().Close()
	}()
	got, err := io.ReadAll(c.Stdout())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("got %d bytes that differ from the %d sent", len(got), len(sent))
	}
	if e := c.Stop(StopOptions{}); e.Code != 0 {
		t.Errorf("child ended with %v", e)
	}
}

func TestEnvironment(t *testing.T) {
	tests := []struct {
		name      string
		ours, env []string
		want      []string
		not       []string
	}{
		{"inherited", []string{"KEPT=1", "MCPX_SECRET=x", "NOT_MCPX_=1"}, nil, []string{"KEPT=1", "NOT_MCPX_=1", "PYTHONUNBUFFERED=1"}, []string{"MCPX_"}},
		{"given", []string{"OURS=1"}, []string{"MINE=1"}, []string{"MINE=1", "PYTHONUNBUFFERED=1"}, []string{"OURS="}},
		{"the last of twins counts", nil, []string{"A=1", "B=2", "A=3"}, []string{"A=3", "B=2"}, []string{"A=1"}},
		{"unbuffered already decided", nil, []string{"PYTHONUNBUFFERED="}, []string{"PYTHONUNBUFFERED="}, []string{"PYTHONUNBUFFERED=1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(roleVariable, "environ")
			for _, kv := range tt.ours {
				k, v, _ := strings.Cut(kv, "=")
				t.Setenv(k, v)
			}
			env := tt.env
			if env != nil {
				env = append(env, roleVariable+"=environ")
			}
			c, err := Start(Command{Args: []string{os.Args[0]}, Env: env})
			if err != nil {
				t.Fatal(err)
			}
			out, _ := io.ReadAll(c.Stdout())
			c.Stop(StopOptions{})
			got := "\n" + string(out)
			for _, kv := range tt.want {
				if !strings.Contains(got, "\n"+kv+"\n") {
					t.Errorf("child lacks %q", kv)
				}
			}
			for _, prefix := range tt.not {
				if strings.Contains(got, "\n"+prefix) {
					t.Errorf("child has %q", prefix)
				}
			}
		})
	}
}

// A client that a desktop started has the PATH of a desktop.
func TestCommandInAUsualPlaceFindsItsNeighbours(t *testing.T) {
	home := t.TempDir()
	bin := filepath.Join(home, ".local", "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"stdio-test-npx":  "#!/usr/bin/env stdio-test-node\n",
		"stdio-test-node": "#!/bin/sh\necho \"found with $PATH\"\n",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Start(Command{Args: []string{"stdio-test-npx"}, Env: []string{"PATH=/usr/bin:/bin", "HOME=" + home}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop(StopOptions{})
	if got, want := readLine(t, c), "found with "+bin+":/usr/bin:/bin\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStartErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name string
		cmd  Command
		want error
	}{
		{"not in PATH", Command{Args: []string{"no-such-server-anywhere"}}, exec.ErrNotFound},
		{"no such file", Command{Args: []string{filepath.Join(dir, "nothing")}}, exec.ErrNotFound},
		{"not executable", Command{Args: []string{write("plain", "", 0o600)}}, fs.ErrPermission},
		{"a folder", Command{Args: []string{dir}}, fs.ErrPermission},
		{"its interpreter is missing", Command{Args: []string{write("script", "#!/no/such/shell\n", 0o700)}}, fs.ErrNotExist},
		{"working directory is missing", Command{Args: []string{"true"}, Dir: filepath.Join(dir, "nowhere")}, fs.ErrNotExist},
		{"working directory is a file", Command{Args: []string{"true"}, Dir: write("file", "", 0o600)}, syscall.ENOTDIR},
		{"nothing", Command{}, nil},
		{"NUL", Command{Args: []string{"true", "a\x00b"}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Start(tt.cmd)
			if err == nil {
				c.Stop(StopOptions{})
				t.Fatal("it started")
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if len(tt.cmd.Args) > 0 && !strings.Contains(err.Error(), strconv.Quote(tt.cmd.Args[0])) {
				t.Errorf("error %q does not name the command", err)
			}
		})
	}
}

// As execvp does, and so most clients.
func TestFileWithoutInterpreterGoesToTheShell(t *testing.T) {
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("echo \"$2\"; exit 4\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := Start(Command{Args: []string{path, "a", "b c"}})
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(c.Stdout())
	if e := c.Stop(StopOptions{}); string(out) != "b c\n" || e.Code != 4 {
		t.Errorf("got %q and %v, want \"b c\\n\" and exit status 4", out, e)
	}
}

func TestWorkingDirectory(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, "dir", Command{Dir: dir})
	if got := strings.TrimSpace(readLine(t, c)); got != dir {
		t.Errorf("child runs in %q, want %q", got, dir)
	}
}

func TestStderrIsPassedOnAndItsTailKept(t *testing.T) {
	const flood = 4 << 20
	tests := []struct {
		name string
		w    io.Writer
		want int
	}{
		{"passed on whole", &bytes.Buffer{}, flood + len("last words\n")},
		{"a writer that fails does not stop the child", failingWriter{}, 0},
		{"nobody listens", nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := start(t, "flood "+strconv.Itoa(flood), Command{Stderr: tt.w})
			if e := c.Exit(); e.Code != 0 {
				t.Errorf("child ended with %v", e)
			}
			tail := c.StderrTail()
			if len(tail) != tailSize || !bytes.HasSuffix(tail, []byte("e\nlast words\n")) {
				t.Errorf("tail has %d bytes and ends in %q", len(tail), tail[max(0, len(tail)-20):])
			}
			if b, ok := tt.w.(*bytes.Buffer); ok && b.Len() != tt.want {
				t.Errorf("passed on %d bytes, want %d", b.Len(), tt.want)
			}
		})
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestStopLadder(t *testing.T) {
	const brief = 100 * time.Millisecond
	tests := []struct {
		role       string
		closeStdin bool
		opt        StopOptions
		want       int
		atLeast    time.Duration
	}{
		{"echo", true, StopOptions{}, 0, 0},
		{"graceful", true, StopOptions{Exit: brief}, 7, brief},
		{"graceful", false, StopOptions{Exit: -1}, 7, 0},
		{"stubborn", true, StopOptions{Exit: brief}, 143, brief},
		{"deaf", true, StopOptions{Exit: brief, Term: brief}, 137, 2 * brief},
		{"deaf", true, StopOptions{Exit: -1, Term: -1}, 137, 0},
	}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			c := start(t, tt.role, Command{})
			if tt.role != "echo" {
				readLine(t, c)
			}
			if tt.closeStdin {
				_ = c.Stdin().Close()
			}
			began := time.Now()
			var wg sync.WaitGroup
			for range 3 { // at the same time, and all get the same answer
				wg.Go(func() {
					if got := c.Stop(tt.opt); got.Code != tt.want {
						t.Errorf("got %v, want code %d", got, tt.want)
					}
				})
			}
			wg.Wait()
			if d := time.Since(began); d < tt.atLeast || d > tt.atLeast+holdTime {
				t.Errorf("took %v, want %v and a little", d, tt.atLeast)
			}
			if err := c.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("signal after the end: %v, want os.ErrProcessDone", err)
			}
		})
	}
}

// A writer that is blocked in a full pipe keeps Close from telling the child; the ladder must not wait for it.
func TestStopWithAWriterBlockedInStdin(t *testing.T) {
	c := start(t, "stubborn", Command{})
	readLine(t, c)
	blocked := make(chan error, 1)
	go func() {
		_, err := c.Stdin().Write(make([]byte, 8<<20))
		blocked <- err
	}()
	_ = c.Stdin().Close()
	if got := c.Stop(StopOptions{Exit: 50 * time.Millisecond}); got.Code != 143 {
		t.Errorf("got %v, want 143", got)
	}
	if err := <-blocked; err == nil {
		t.Error("the blocked write succeeded")
	}
}

// What the server closes is closed: nobody between us holds it open.
func TestServerClosesItsStdioAndStays(t *testing.T) {
	c, err := Start(Command{Args: []string{"sh", "-c", "exec <&- >&- 2>&-; exec sleep 60"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop(StopOptions{Exit: -1, Term: -1})
	if rest, err := io.ReadAll(c.Stdout()); err != nil || len(rest) > 0 {
		t.Errorf("stdout ended with %q, %v", rest, err)
	}
	if _, err := c.Stdin().Write([]byte("{}\n")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write to a closed stdin: %v, want EPIPE", err)
	}
	<-c.drained
	select {
	case <-c.Done():
		t.Error("Done while the server is running")
	default:
	}
}

func TestSignalReachesTheChild(t *testing.T) {
	c := start(t, "graceful", Command{})
	readLine(t, c)
	if err := c.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := c.Exit(); got.Code != 7 {
		t.Errorf("got %v, want 7", got)
	}
}

// A grandchild that holds stdout delays Done by a second and no more, and Stop ends it, so that
// the reader comes to an end.
func TestHeldStdoutDelaysDoneByASecond(t *testing.T) {
	for _, how := range []string{"plain", "setsid", "double"} {
		t.Run(how, func(t *testing.T) {
			c := start(t, "parent "+how, Command{})
			readLine(t, c)
			_ = c.Stdin().Close()
			began := time.Now()
			<-c.Done()
			if d := time.Since(began); d < holdTime || d > 2*holdTime {
				t.Errorf("Done after %v, want a little over %v", d, holdTime)
			}
			c.Stop(StopOptions{})
			if rest, err := io.ReadAll(c.Stdout()); err != nil || len(rest) > 0 {
				t.Errorf("stdout ended with %q, %v", rest, err)
			}
		})
	}
}
