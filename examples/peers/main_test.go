package peers_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// diaryVariable makes the test binary a server on stdio that keeps its diary in that file.
const diaryVariable = "PEERS_DIARY"

// built are the programs that tests have asked for: linking one takes seconds.
var built struct {
	sync.Mutex
	folder   string
	programs map[string]string // by package; guarded by the mutex
}

func TestMain(m *testing.M) {
	if path := os.Getenv(diaryVariable); path != "" {
		diary(path).note("started")
		if err := actor(diary(path)).Run(context.Background(), &mcp.StdioTransport{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return
	}
	folder, err := os.MkdirTemp("", "peers")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	built.folder, built.programs = folder, make(map[string]string)
	m.Run()
}

// build makes a program of a package that go.mod knows.
func build(t *testing.T, pkg string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if program, ok := built.programs[pkg]; ok {
		return program
	}
	program := filepath.Join(built.folder, strconv.Itoa(len(built.programs))+".exe")
	command := exec.Command("go", "build", "-buildvcs=false", "-o", program, pkg)
	command.Dir = "../.."
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	built.programs[pkg] = program
	return program
}

// A diary is a file in which a server writes what it is asked to do, and a test what it has seen.
type diary string

func (d diary) note(line string) {
	f, err := os.OpenFile(string(d), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if _, err := f.WriteString(line + "\n"); err != nil {
		panic(err)
	}
}

// count says how often a line was written.
func (d diary) count(line string) int {
	text, err := os.ReadFile(string(d))
	if err != nil && !os.IsNotExist(err) {
		panic(err)
	}
	return len(slices.DeleteFunc(strings.Split(string(text), "\n"), func(l string) bool { return l != line }))
}

// wait waits until a line is written.
func (d diary) wait(ctx context.Context, line string) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for d.count(line) == 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%q is not noted: %w", line, ctx.Err())
		}
	}
	return nil
}
