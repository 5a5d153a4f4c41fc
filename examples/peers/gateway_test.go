package peers_test

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A gateway is mcpx hub as a process, with a folder of its own.
type gateway struct {
	mcpx    string
	folder  string
	url     string // of its servers, without their names
	mark    string // a variable in the environment of every child
	command *exec.Cmd
	ended   chan struct{}

	mu      sync.Mutex
	printed bytes.Buffer  // guarded by mu
	news    chan struct{} // something was printed
}

var listens = regexp.MustCompile(`"address":"([^"]+)".*"message":"mcpx hub is listening"`)

// startGateway serves a configuration, which may name ${MARK} as a variable of its children.
func startGateway(t *testing.T, mcpx, text string) *gateway {
	t.Helper()
	g := &gateway{mcpx: mcpx, folder: t.TempDir(), mark: rand.Text(), ended: make(chan struct{}), news: make(chan struct{}, 1)}
	g.write(t, text)
	g.command = exec.Command(mcpx, "hub", "--config", "mcpx.yaml")
	g.command.Dir = g.folder
	g.command.Env = append(os.Environ(), "MCPX_CONFIG=", "MCPX_STATE_DIR="+filepath.Join(g.folder, "state"), "MARK="+g.mark)
	g.command.Stderr = g
	if err := g.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(g.ended)
		_ = g.command.Wait() // what it ended with is in ProcessState
	}()
	t.Cleanup(func() { g.end(t) })
	address := listens.FindStringSubmatch(g.waitFor(t, listens.MatchString))[1]
	g.url = "http://" + address + "/mcp/"
	return g
}

// end wants an orderly end, no child that is left, and an intact record.
func (g *gateway) end(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" { // has no signal by which another process could be asked to end
		_ = g.command.Process.Kill()
		<-g.ended
		return
	}
	_ = g.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-g.ended:
	case <-time.After(20 * time.Second):
		_ = g.command.Process.Signal(syscall.SIGQUIT) // it says where it hangs
		<-g.ended
	}
	if code := g.command.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the gateway ends with %d:\n%s", code, g.text())
	}
	if left := processes(t, g.mark); len(left) > 0 {
		t.Errorf("the gateway leaves %q", left)
	}
	verify := exec.Command(g.mcpx, "audit", "verify")
	verify.Dir, verify.Env = g.folder, g.command.Env
	if out, err := verify.CombinedOutput(); err != nil {
		t.Errorf("the audit log: %v\n%s", err, out)
	}
	if t.Failed() && testing.Verbose() {
		t.Log(g.text())
	}
}

func (g *gateway) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(g.folder, "mcpx.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload writes another configuration and asks the gateway to use it. It reports whether this system can.
func (g *gateway) reload(t *testing.T, text string) bool {
	t.Helper()
	if runtime.GOOS == "windows" {
		return false
	}
	g.write(t, text)
	const reloaded = "configuration reloaded"
	before := strings.Count(g.text(), reloaded)
	if err := g.command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	g.waitFor(t, func(text string) bool { return strings.Count(text, reloaded) > before })
	return true
}

// Write implements [io.Writer] for what the process prints.
func (g *gateway) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case g.news <- struct{}{}:
	default:
	}
	return g.printed.Write(p)
}

func (g *gateway) text() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.printed.String()
}

func (g *gateway) waitFor(t *testing.T, enough func(printed string) bool) string {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		if text := g.text(); enough(text) {
			return text
		}
		select {
		case <-g.news:
		case <-g.ended:
			t.Fatalf("the gateway has ended: %v\n%s", g.command.ProcessState, g.text())
		case <-deadline:
			t.Fatalf("the gateway does not say what it should:\n%s", g.text())
		}
	}
}

// A bearer adds a credential to every request, and remembers the last session.
type bearer struct {
	token string

	mu      sync.Mutex
	session string // guarded by mu
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	b.mu.Lock()
	if id := r.Header.Get("Mcp-Session-Id"); id != "" {
		b.session = id
	}
	b.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

func (b *bearer) sessionID() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.session
}
