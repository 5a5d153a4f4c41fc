package main

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A machine is a user's machine with a state of its own, on which commands run.
type machine struct {
	folder string
	env    []string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{folder: t.TempDir(), env: os.Environ()}
	for name, value := range isolated(m.folder) {
		m.env = append(m.env, name+"="+value)
	}
	m.env = append(m.env, "PWD="+m.folder, "DBUS_SESSION_BUS_ADDRESS=unix:path="+filepath.Join(m.folder, "no-bus")) // no keyring of whoever runs the test
	return m
}

// run runs mcpx to its end, and gives what it printed on stdout, and on both.
func (m *machine) run(t *testing.T, code int, stdin string, args ...string) (out, all string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "mcpx", args...)
	command.Dir, command.Env, command.Stdin = m.folder, m.env, strings.NewReader(stdin)
	var stderr strings.Builder
	command.Stderr = &stderr
	printed, err := command.Output()
	if command.ProcessState == nil {
		t.Fatal(err)
	}
	if got := command.ProcessState.ExitCode(); got != code {
		t.Fatalf("mcpx %q ends with %d, want %d\n%s%s", args, got, code, printed, stderr.String())
	}
	return string(printed), string(printed) + stderr.String()
}

// startHub starts a hub, and gives its address.
func (m *machine) startHub(t *testing.T, args ...string) (*serving, string) {
	t.Helper()
	s := startServing(t, m.folder, m.env, "mcpx", append([]string{"hub"}, args...)...)
	address := listening.FindStringSubmatch(s.waitFor(t, listening.MatchString))[1]
	return s, address
}

// converse starts a wrapper, speaks with its server, and stays until leave is called.
func (m *machine) converse(t *testing.T, args ...string) (leave func()) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "mcpx", args...)
	command.Dir, command.Env = m.folder, m.env
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, conversation); err != nil {
		t.Fatal(err)
	}
	return func() {
		stdin.Close()
		if err := command.Wait(); err != nil {
			t.Errorf("mcpx %q: %v", args, err)
		}
	}
}

// eventually wants something to become true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for !is() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatal("waited too long for: " + what)
		}
	}
}

// stored counts the events that the hub has.
func (m *machine) stored(t *testing.T) int64 {
	t.Helper()
	out, _ := m.run(t, 0, "", "hub", "status", "--json")
	var report struct {
		Fleet struct{ Events int64 }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return report.Fleet.Events
}

// recorded counts what the audit log of the machine has.
func (m *machine) recorded(t *testing.T) int64 {
	t.Helper()
	out, _ := m.run(t, 0, "", "audit", "query", "--json")
	return int64(strings.Count(out, "\n"))
}

const conversation = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"message":"hello"}}}
`

// TestLocalHub starts a hub without any configuration. A wrapper that ran before it, one that runs with it and one that runs
// after its restart find it by themselves, and every event of theirs is stored once.
func TestLocalHub(t *testing.T) {
	m := newMachine(t)
	m.run(t, 1, "", "hub", "status")
	m.run(t, 0, conversation, "wrap", "--name", "early", "--", mockName)
	hub, address := m.startHub(t)
	if host, _, err := net.SplitHostPort(address); err != nil || host != "127.0.0.1" {
		t.Errorf("listens on %q, want this machine alone", address)
	}
	m.run(t, 1, "", "hub") // there is one
	if err := os.WriteFile(filepath.Join(m.folder, "gateway.yaml"), []byte("servers: [ { name: web, url: 'http://127.0.0.1:1/mcp' } ]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	gateway, _ := m.startHub(t, "-c", "gateway.yaml", "--listen", "127.0.0.1:0") // beside it, as ever
	if !strings.Contains(gateway.text(), "do not find this hub by themselves") {
		t.Errorf("says nothing of the socket:\n%s", gateway.text())
	}
	m.run(t, 0, conversation, "wrap", "--name", "with", "--", mockName)
	eventually(t, "all events stored", func() bool { return m.stored(t) == m.recorded(t) })
	if _, text := m.run(t, 0, "", "doctor"); !strings.Contains(text, "it answers, as mcpx") {
		t.Errorf("the doctor does not see the hub:\n%s", text)
	}
	if runtime.GOOS == "windows" {
		return // has no signal by which another process could be asked to end
	}
	if code := hub.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("ends with %d\n%s", code, hub.text())
	}
	m.run(t, 0, conversation, "wrap", "--name", "between", "--", mockName)
	m.run(t, 0, "", "doctor")
	hub, _ = m.startHub(t)
	eventually(t, "all events stored after a restart", func() bool { return m.stored(t) == m.recorded(t) })
	m.run(t, 0, "", "audit", "verify")
	if code := hub.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("ends with %d\n%s", code, hub.text())
	}
}

var (
	tokenLine  = regexp.MustCompile(`(?m)^mcpx_\S+$`)
	hubKeyText = regexp.MustCompile(`ed25519:\S+`)
)

// TestEnrolment lets another machine use a hub, and ends that.
func TestEnrolment(t *testing.T) {
	server, laptop := newMachine(t), newMachine(t)
	_, address := server.startHub(t, "--listen", "127.0.0.1:0")
	_, printed := server.run(t, 0, "", "hub", "token", "create", "--name", "alice", "--expires", "90d")
	token, key := tokenLine.FindString(printed), hubKeyText.FindString(printed)
	url := "http://" + address
	if _, text := laptop.run(t, 1, "guess\n", "login", url, "--key", key); !strings.Contains(text, "refuses the token") {
		t.Errorf("a wrong token: %s", text)
	}
	_, text := laptop.run(t, 0, token+"\n", "login", url, "--key", key)
	if !strings.Contains(text, "as alice") || strings.Contains(text, token) {
		t.Errorf("login says %s", text)
	}
	laptop.run(t, 0, "", "login", "--status")
	laptop.run(t, 0, conversation, "wrap", "--name", "far", "--", mockName) // may be gone before it has sent anything
	leave := laptop.converse(t, "wrap", "--name", "far", "--", mockName)
	eventually(t, "the laptop's events stored", func() bool {
		out, _ := server.run(t, 0, "", "hub", "status", "--all")
		return strings.Contains(out, "alice") && server.stored(t) >= laptop.recorded(t)
	})
	leave()
	if _, text := laptop.run(t, 0, "", "hub", "status"); strings.Contains(text, "far") {
		t.Errorf("who is no administrator sees the fleet: %s", text)
	}
	server.run(t, 0, "", "hub", "token", "revoke", "alice")
	if _, text := laptop.run(t, 1, "", "doctor"); !strings.Contains(text, "refuses the token") {
		t.Errorf("the doctor does not see that the token is revoked:\n%s", text)
	}
	laptop.run(t, 0, conversation, "wrap", "--name", "far", "--", mockName) // works all the same
	laptop.run(t, 0, "", "logout")
}

// TestHubWithoutSocket has a state folder whose path is too long for a socket, as all are on Windows.
func TestHubWithoutSocket(t *testing.T) {
	m := newMachine(t)
	state := filepath.Join(m.folder, strings.Repeat("x", 100))
	m.env = append(m.env, stateVariable+"="+state)
	hub, _ := m.startHub(t)
	file := filepath.Join(state, doorName)
	at, err := readDoor(file)
	if err != nil {
		t.Fatal(err)
	}
	if text := hub.text(); strings.Contains(text, at.Token) {
		t.Errorf("the secret is in the log:\n%s", text)
	}
	m.run(t, 0, conversation, "wrap", "--name", "with", "--", mockName)
	eventually(t, "all events stored", func() bool { return m.stored(t) == m.recorded(t) })
	m.run(t, 1, "", "hub") // there is one
	if runtime.GOOS == "windows" {
		return
	}
	if code := hub.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("ends with %d\n%s", code, hub.text())
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", file, err)
	}
}
