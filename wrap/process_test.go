//go:build unix

package wrap_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/wrap"
)

func callLine(id int, tool string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"%s"}}`+"\n", id, tool)
}

// A session is a running wrapper around the test's server.
type session struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
}

func startSession(t *testing.T, env ...string) *session {
	t.Helper()
	return startSessionIn(t, t.TempDir(), env...)
}

// startSessionIn is startSession for a wrapper that is not the first to keep things in that folder.
func startSessionIn(t *testing.T, dir string, env ...string) *session {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, dir: dir}
	s.cmd = exec.Command(self, "as-wrap", s.dir, self, "as-server")
	s.cmd.Env = append(os.Environ(), append(env, "TEST_SEEN="+filepath.Join(s.dir, "seen"))...)
	s.cmd.Stderr = &s.stderr
	s.in, err = s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.out = bufio.NewReaderSize(out, 1<<20)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill() })
	return s
}

func (s *session) write(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, text); err != nil {
		s.t.Fatal(err)
	}
}

// read returns the next line, which must be a message.
func (s *session) read() string {
	s.t.Helper()
	line, err := s.out.ReadString('\n')
	if err != nil {
		s.t.Fatalf("read: %v; stderr: %s", err, s.stderr.Bytes())
	}
	if !json.Valid([]byte(line)) {
		s.t.Fatalf("not a message on stdout: %q", line)
	}
	return line
}

// wait reads the rest of stdout and returns it with the exit code.
func (s *session) wait() (rest string, code int) {
	s.t.Helper()
	text, err := io.ReadAll(s.out)
	if err != nil {
		s.t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return string(text), s.cmd.ProcessState.ExitCode()
}

func TestExitCodePassesThrough(t *testing.T) {
	for _, want := range []int{0, 7, 255} {
		s := startSession(t, fmt.Sprint("TEST_EXIT=", want))
		s.write(hello)
		s.read()
		s.in.Close()
		if rest, code := s.wait(); code != want || rest != "" {
			t.Errorf("exit code %d, rest %q, want %d", code, rest, want)
		}
		if got := s.stderr.String(); got != "server is up\n" {
			t.Errorf("stderr %q", got)
		}
	}
}

func TestServerThatCannotBeStarted(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]int{"/nonexistent/server": 127, t.TempDir(): 126} {
		out, err := exec.Command(self, "as-wrap", t.TempDir(), command).Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != want || len(out) != 0 {
			t.Errorf("%s: %v, stdout %q, want exit code %d", command, err, out, want)
		}
	}
}

// The same errors about something else than the server's command are no answer to what is wrong with that.
func TestExitCodeOfWhatIsNotTheCommand(t *testing.T) {
	for _, cause := range []error{fs.ErrPermission, syscall.EACCES, exec.ErrNotFound} {
		if got := wrap.ExitCode(fmt.Errorf("open the audit log: %w", cause)); got != 125 {
			t.Errorf("%v: got %d, want 125", cause, got)
		}
	}
}

// A crash is answered, passed on as the exit code, recorded, and never takes more than a second.
func TestCrash(t *testing.T) {
	for _, row := range []struct {
		name, tool string
		code       int
	}{{"exit", "crash", 3}, {"signal", "kill", 137}} {
		t.Run(row.name, func(t *testing.T) {
			s := startSession(t)
			s.write(hello + callLine(1, "hang") + callLine(2, row.tool) + callLine(3, "hang"))
			s.read()
			begin := time.Now()
			rest, code := s.wait()
			if took := time.Since(begin); code != row.code || took > 3*time.Second {
				t.Errorf("exit code %d after %v, want %d", code, took, row.code)
			}
			for id := 1; id <= 3; id++ {
				if want := fmt.Sprintf(`"id":%d,"error":{"code":-32603,"message":"server exited: `, id); strings.Count(rest, want) != 1 {
					t.Errorf("no answer to %d in %s", id, rest)
				}
			}
			if log := s.verified(); row.tool == "crash" && !strings.Contains(log, `panic: it hurts`) {
				t.Errorf("the server's last words are not recorded: %s", log)
			}
		})
	}
}

func TestBigResultAndOversizedLine(t *testing.T) {
	s := startSession(t, "TEST_MAX_MESSAGE=63000000")
	big := func(id, size int) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"big","arguments":{"size":%d}}}`+"\n", id, size)
	}
	s.write(hello)
	s.read()
	s.write(big(1, 60_000_000))
	if got := s.read(); len(got) < 60_000_000 {
		t.Fatalf("%d bytes: %.200s", len(got), got)
	}
	s.write(big(2, 64_000_000))
	if got := s.read(); !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"the server's answer was refused: message longer`) {
		t.Fatalf("%.300s", got)
	}
	s.write(`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"echo","arguments":{"x":"` + strings.Repeat("y", 63_000_000) + `"}}}` + "\n")
	if got := s.read(); !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":3,"error":{"code":-32600,`) {
		t.Fatalf("%.300s", got)
	}
	s.write(callLine(4, "echo"))
	if got := s.read(); !strings.Contains(got, `"id":4,"result"`) {
		t.Fatalf("the session is dead: %.300s", got)
	}
}

func TestEnvironment(t *testing.T) {
	s := startSession(t, "MCPX_TOKEN=secret", "TEST_OTHER=kept")
	s.write(hello + callLine(1, "env"))
	s.read()
	got := s.read()
	if strings.Contains(got, "MCPX_TOKEN") || !strings.Contains(got, "TEST_OTHER=kept") || !strings.Contains(got, "PYTHONUNBUFFERED=1") {
		t.Errorf("the server sees %s", got)
	}
}

func TestChatterIsNotForwarded(t *testing.T) {
	s := startSession(t)
	s.write(hello + callLine(1, "chatter") + callLine(2, "echo"))
	s.read()
	for id := 1; id <= 2; id++ {
		if got := s.read(); !strings.Contains(got, fmt.Sprintf(`"id":%d,"result"`, id)) {
			t.Errorf("read %s", got)
		}
	}
	s.in.Close()
	if rest, _ := s.wait(); rest != "" || !strings.Contains(s.stderr.String(), "Loading…") {
		t.Errorf("rest %q, stderr %q", rest, s.stderr.String())
	}
}

// A signal goes on to the server, and the wrapper ends as the server does.
func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		s := startSession(t)
		s.write(hello)
		s.read()
		if err := s.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if _, code := s.wait(); code != 128+int(sig) {
			t.Errorf("%v: exit code %d", sig, code)
		}
		s.verified()
	}
}

// A server that reads nothing is no reason to hang.
func TestDeafServer(t *testing.T) {
	s := startSession(t)
	s.write(hello + callLine(1, "deaf"))
	s.read()
	stuffed := make(chan error, 1)
	go func() {
		_, err := io.WriteString(s.in, strings.Repeat(callLine(5, "echo")+strings.Repeat(" ", 1000)+"\n", 5000))
		stuffed <- err
	}()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, code := s.wait(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d", code)
	}
	<-stuffed
}

// A client that reads nothing is none either: the wrapper ends when it is told to, and when the client closes its side.
func TestClientThatReadsNothing(t *testing.T) {
	for name, end := range map[string]func(s *session) error{
		"a signal":             func(s *session) error { return s.cmd.Process.Signal(syscall.SIGTERM) },
		"the end of the input": func(s *session) error { return s.in.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSession(t)
			s.write(hello + callLine(1, "flood"))
			s.read()
			s.read() // the flood has begun
			if err := end(s); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- s.cmd.Wait() }() // nobody reads what it writes
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Error("it is still there")
			}
			s.verified()
		})
	}
}

// kill -9 at any moment leaves a chain that verifies, with a decision for every call that the server saw.
func TestKillLosesNothing(t *testing.T) {
	for range 8 {
		s := startSession(t)
		s.write(hello)
		s.read()
		go func() {
			for id := 1; ; id++ {
				if _, err := io.WriteString(s.in, callLine(id, "echo")); err != nil {
					return
				}
			}
		}()
		for range 1 + rand.IntN(400) {
			s.read()
		}
		s.cmd.Process.Kill()
		s.wait()
		decided := decisions(t, s.verified())
		seen, err := os.ReadFile(filepath.Join(s.dir, "seen"))
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		for line := range strings.Lines(string(seen)) {
			id, _, whole := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			if calls++; whole && !decided[id] {
				t.Errorf("the server saw call %s, the log does not know it", id)
			}
		}
		if calls == 0 {
			t.Error("the server saw no call")
		}
	}
}

// verified returns the whole audit log, whose chain must hold.
func (s *session) verified() string {
	s.t.Helper()
	report, err := audit.Verify(filepath.Join(s.dir, "heads"), filepath.Join(s.dir, "audit"))
	if err != nil || !report.Intact() || report.Events == 0 {
		s.t.Fatalf("verify: %+v, %v", report, err)
	}
	files, err := filepath.Glob(filepath.Join(s.dir, "audit", "*.jsonl"))
	if err != nil {
		s.t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			s.t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// decisions returns the request ids for which a log holds an allowing decision.
func decisions(t *testing.T, log string) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	for line := range strings.Lines(log) {
		if !strings.HasSuffix(line, "\n") {
			break // cut in the middle of a write, so nothing of it was released
		}
		var e struct {
			Kind, Method, Decision string
			ID                     json.RawMessage `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if e.Kind == "decision" && e.Method == "tools/call" && e.Decision == "allow" {
			ids[string(e.ID)] = true
		}
	}
	return ids
}
