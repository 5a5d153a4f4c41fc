// Package peers_test holds real conversations against themselves: the clients of the official Go SDK and of mcp-go talk to
// real servers, once directly and once through mcpx wrap, with a command or a URL, and must see the same.
//
// The Go SDK's conformance server is built from the module that go.mod names. The servers of npm are added where the
// variable PEERS_NODE names a Node program and PEERS_MODULES a folder they are installed in, as .ci/run does.
package peers_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	legacy = "2025-11-25"
	modern = "2026-07-28"
)

// A session is what the tests do with a client, whichever it is.
type session interface {
	hello() any
	list(ctx context.Context, what string) (any, error)
	call(ctx context.Context, tool string, args map[string]any) (any, error)
	read(ctx context.Context, uri string) (any, error)
	prompt(ctx context.Context, name string, args map[string]string) (any, error)
	complete(ctx context.Context, prompt, argument, value string) (any, error)
	level(ctx context.Context, level string) error
	close() error
}

// A dialer starts a command as its server. It passes the notifications of progress and logging to notify.
type dialer func(ctx context.Context, command *exec.Cmd, version string, notify func(any)) (session, error)

var clients = map[string]dialer{"go-sdk": dialSDK, "mcp-go": dialMCPGo}

func TestClientsSeeTheSameThroughWrap(t *testing.T) {
	mcpx, servers := build(t, "./cmd/mcpx"), testServers(t)
	for name, dial := range clients {
		for _, s := range servers {
			t.Run(name+" to "+s.name, func(t *testing.T) {
				t.Parallel()
				folder := t.TempDir()
				direct := converse(t, dial, s, folder, nil)
				if failed := direct.failed(s.fails); len(failed) > 0 {
					t.Fatalf("the direct conversation fails: %v", failed)
				}
				state := t.TempDir()
				wrapped := converse(t, dial, s, folder, []string{mcpx, "wrap", "--"}, "MCPX_STATE_DIR="+state)
				if diff := cmp.Diff(direct, wrapped); diff != "" {
					t.Errorf("through wrap the client sees another thing (-direct +wrapped):\n%s", diff)
				}
				verify := exec.Command(mcpx, "audit", "verify")
				verify.Env = append(os.Environ(), "MCPX_STATE_DIR="+state, "MCPX_CONFIG=")
				if out, err := verify.CombinedOutput(); err != nil {
					t.Errorf("the audit log: %v\n%s", err, out)
				}
			})
		}
	}
}

// A transcript is what came of each step, as JSON.
type transcript []step

type step struct {
	Name  string
	Value any
	Error string
}

func (t *transcript) note(name string, value any, err error) {
	s := step{Name: name}
	if err != nil {
		s.Error = err.Error()
	}
	if text, err := json.Marshal(value); err != nil || json.Unmarshal(text, &s.Value) != nil {
		s.Error += fmt.Sprintf("not JSON: %T", value)
	}
	*t = append(*t, s)
}

// failed gives the steps that failed and should not have.
func (t transcript) failed(expected string) (failed []string) {
	for _, s := range t {
		if s.Error != "" && !strings.Contains(" "+expected+" ", " "+s.Name+" ") {
			failed = append(failed, s.Name+": "+s.Error)
		}
	}
	return failed
}

// converse has the server's conversation in a folder, and sees to it that no process outlives it.
func converse(t *testing.T, dial dialer, s server, folder string, prefix []string, env ...string) transcript {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, "a.txt"), []byte("alpha \u2028 \u00e9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	mark := "PEERS_MARK=" + rand.Text()
	argv := append(prefix, s.command(folder)...)
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Env = append(append(os.Environ(), mark, "MCPX_CONFIG=", "MEMORY_FILE_PATH="+filepath.Join(t.TempDir(), "memory")), env...)
	notes := make(chan any, 64)
	session, err := dial(ctx, command, s.version, func(note any) { notes <- note })
	if err != nil {
		t.Fatalf("connect to %q: %v", argv, err)
	}
	c := &conversation{session: session, ctx: ctx, version: s.version, folder: folder, notes: notes}
	c.seen.note("hello", session.hello(), nil)
	s.talk(c)
	_ = session.close() // says how the server ended, which is a signal where it ignores the end of its input
	if left := processes(t, mark); len(left) > 0 {
		t.Errorf("%q leaves %q", argv, left)
	}
	return c.seen
}

// processes waits until no process has the mark in its environment, and names those that still do after 10 seconds.
// It can look on Linux alone.
func processes(t *testing.T, mark string) (left []string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return nil
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); ; <-tick.C {
		left = nil
		environments, err := filepath.Glob("/proc/[0-9]*/environ")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range environments {
			if env, err := os.ReadFile(path); err == nil && strings.Contains(string(env), mark) {
				line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
				left = append(left, strings.ReplaceAll(string(line), "\x00", " "))
			}
		}
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}
