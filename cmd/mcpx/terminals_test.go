package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// terminals run the commands of the README that do not end, for as long as its test runs. They listen on free ports in
// place of those in the README, which may be taken here.
type terminals struct {
	test      *testing.T // outlives the tests of single commands
	folder    string     // for the programs
	mock, hub string     // addresses
}

func newTerminals(t *testing.T) *terminals {
	return &terminals{test: t, folder: t.TempDir(), mock: freeAddress(t), hub: freeAddress(t)}
}

// freeAddress gives an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// serves gives the program and arguments of a command that does not end.
func (ts *terminals) serves(line string) (program string, args []string, ok bool) {
	words := strings.Fields(line)
	switch {
	case line == "go run ./examples/mock-mcp":
		return words[2], []string{"serve", ts.mock}, true
	case strings.HasPrefix(line, "go run ./cmd/mcpx -c "):
		return words[2], append(words[3:], "--listen", ts.hub), true
	default:
		return "", nil, false
	}
}

// open starts a program and waits until it has printed what the README says. The program is built first: `go run`
// itself would leave it behind.
func (ts *terminals) open(t *testing.T, environment []string, program string, args []string, want string) {
	file := filepath.Join(ts.folder, programFile(filepath.Base(program)))
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", file, program)
	build.Dir, build.Env = root, environment
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want = strings.NewReplacer("127.0.0.1:3001", ts.mock, "127.0.0.1:8080", ts.hub).Replace(want)
	serving := startServing(ts.test, root, environment, file, args...)
	serving.waitFor(t, func(printed string) bool {
		return wildcard(strings.TrimSuffix(want, "\n") + "…").MatchString(printed)
	})
}

// A serving is a program that runs until its test ends.
type serving struct {
	command *exec.Cmd
	ended   chan struct{}

	mu      sync.Mutex
	printed bytes.Buffer  // on stdout and stderr; guarded by mu
	news    chan struct{} // there is more in printed
}

func startServing(t *testing.T, folder string, environment []string, file string, args ...string) *serving {
	t.Helper()
	s := &serving{command: exec.Command(file, args...), ended: make(chan struct{}), news: make(chan struct{}, 1)}
	s.command.Dir, s.command.Env = folder, environment
	s.command.Stdout, s.command.Stderr = s, s
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		_ = s.command.Wait() // what it ended with is in ProcessState
	}()
	t.Cleanup(func() {
		_ = s.command.Process.Kill()
		<-s.ended
	})
	return s
}

func (s *serving) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
	return s.printed.Write(p)
}

func (s *serving) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.printed.String()
}

// waitFor waits until what was printed is enough, and gives it.
func (s *serving) waitFor(t *testing.T, enough func(printed string) bool) string {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		if text := s.text(); enough(text) {
			return text
		}
		select {
		case <-s.news:
		case <-s.ended:
			if text := s.text(); enough(text) {
				return text
			}
			t.Fatalf("%s ended (%v) and printed\n%s", s.command, s.command.ProcessState, s.text())
		case <-deadline:
			t.Fatalf("%s printed only\n%s", s.command, s.text())
		}
	}
}

// end asks the program to end and waits for its exit code.
func (s *serving) end(t *testing.T, with os.Signal) int {
	t.Helper()
	if err := s.command.Process.Signal(with); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.ended:
		return s.command.ProcessState.ExitCode()
	case <-time.After(time.Minute):
		t.Fatalf("%s does not end:\n%s", s.command, s.text())
		return -1
	}
}
