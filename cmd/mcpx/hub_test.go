package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/examples/mock-mcp/mock"
)

// A hubProcess is an mcpx that serves a file, in a folder and with a state of its own.
type hubProcess struct {
	*serving
	folder, address string
}

var listening = regexp.MustCompile(`"address":"([^"]+)".*"message":"mcpx hub is listening"`)

// startHub writes mcpx.yaml and starts mcpx with args there. $MOCK in the text is the URL of a mock server.
func startHub(t *testing.T, text string, args ...string) *hubProcess {
	t.Helper()
	h := &hubProcess{folder: t.TempDir()}
	environment := append(os.Environ(), "MOCK="+mockURL(t), "PWD="+h.folder)
	for name, value := range isolated(h.folder) {
		environment = append(environment, name+"="+value)
	}
	h.write(t, text)
	h.serving = startServing(t, h.folder, environment, "mcpx", args...)
	_, port, err := net.SplitHostPort(listening.FindStringSubmatch(h.waitFor(t, listening.MatchString))[1])
	if err != nil {
		t.Fatal(err)
	}
	h.address = net.JoinHostPort("127.0.0.1", port) // also where it listens everywhere
	return h
}

func (h *hubProcess) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.folder, "mcpx.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// mockURL serves the mock server from this process.
func mockURL(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- mock.ServeHTTP(ctx, listener, "") }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String() + mock.Path
}

// ask posts as curl does, and gives status and body.
func (h *hubProcess) ask(t *testing.T, server, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+h.address+"/mcp/"+server, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "*/*")
	client := http.Client{Timeout: time.Minute}
	response, err := client.Do(r)
	if err != nil {
		t.Fatalf("%v\n%s", err, h.text())
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// page gets what is no server's endpoint.
func (h *hubProcess) page(t *testing.T, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+h.address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: time.Minute}
	response, err := client.Do(r)
	if err != nil {
		t.Fatalf("%v\n%s", err, h.text())
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", path, response.Status, err, text)
	}
	return string(text)
}

func call(tool, arguments string) string {
	return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"` + tool + `","arguments":` + arguments + `}}`
}

const (
	listTools = `{"jsonrpc":"2.0","id":7,"method":"tools/list"}`
	hello     = `{"text":"hello"}`
)

// hubFile serves the mock server by URL and as a child, which is the test binary.
const hubFile = `listen: 127.0.0.1:0
servers:
  - name: web
    url: ${MOCK}
    policy: { deny_tools: ["dangerous_*"] }
  - name: child
    command: mock-mcp
    args: [stdio]
    policy: { deny_tools: ["dangerous_*"] }
`

// TestHubServesURLsAndCommands asks as the README does, a server behind a URL and one that is a child.
func TestHubServesURLsAndCommands(t *testing.T) {
	h := startHub(t, hubFile, "hub")
	for _, server := range []string{"web", "child"} {
		for _, test := range []struct {
			name, body string
			status     int
			want, not  string
		}{
			{"list", listTools, 200, `"name":"echo"`, "dangerous_delete"},
			{"allowed", call("echo", hello), 200, `"text":"hello"`, `"error"`},
			{"denied", call("dangerous_delete", `{"path":"/"}`), 403, `"code":-32600`, "deleted"},
		} {
			status, body := h.ask(t, server, test.body)
			if status != test.status || !strings.Contains(body, test.want) || strings.Contains(body, test.not) || !strings.Contains(body, `"id":7`) {
				t.Errorf("%s of %s answers %d\n%s", test.name, server, status, body)
			}
		}
	}
	if status, body := h.ask(t, "nobody", listTools); status != 404 {
		t.Errorf("an unknown server answers %d %s", status, body)
	}
	if status, _ := h.ask(t, "web", `{"jsonrpc":"2.0","id":7,"id":8,"method":"tools/list"}`); status/100 != 4 {
		t.Errorf("two ids answer %d", status)
	}
	if runtime.GOOS == "windows" {
		return // has no signal by which another process could be asked to end
	}
	if code := h.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("ends with %d\n%s", code, h.text())
	}
	verifyRecord(t, h)
}

// verifyRecord wants an intact audit log of a hub that has ended, and its decisions.
func verifyRecord(t *testing.T, h *hubProcess) {
	t.Helper()
	a := startServing(t, h.folder, h.command.Env, "mcpx", "audit", "verify")
	<-a.ended
	if code := a.command.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the audit log is not intact: %d\n%s", code, a.text())
	}
	q := startServing(t, h.folder, h.command.Env, "mcpx", "audit", "query", "--json", "--decision", "deny")
	<-q.ended
	denied := 0
	for line := range strings.Lines(q.text()) {
		var event struct{ Source, Target, Decision string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if event.Source == "hub" && event.Target == "dangerous_delete" && event.Decision == "deny" {
			denied++
		}
	}
	if denied != 2 {
		t.Errorf("%d denials on record, want 2:\n%s", denied, q.text())
	}
}

// TestHubReloads starts it by the old command line, and changes the file: soundly, badly, and soundly again.
func TestHubReloads(t *testing.T) {
	h := startHub(t, hubFile, "-c", "mcpx.yaml", "-watch")
	if status, body := h.ask(t, "web", call("echo", hello)); status != 200 {
		t.Fatalf("answers %d %s", status, body)
	}
	h.write(t, strings.ReplaceAll(hubFile, "dangerous_*", "*"))
	h.waitFor(t, func(text string) bool { return strings.Contains(text, "configuration reloaded") })
	if status, body := h.ask(t, "web", call("echo", hello)); status != 403 {
		t.Errorf("after the reload: %d %s", status, body)
	}
	h.write(t, "servers: [ { nam: web } ]\nnonsense: true\n")
	text := h.waitFor(t, func(text string) bool { return strings.Contains(text, "configuration refused") })
	for _, want := range []string{"did you mean name?", "nonsense: unknown key", "servers[0].name: is missing"} {
		if !strings.Contains(text, want) {
			t.Errorf("the refusal does not say %q:\n%s", want, text)
		}
	}
	if got := strings.Count(text, `"level":"error"`); got != 1 {
		t.Errorf("%d error lines, want 1:\n%s", got, text)
	}
	if status, body := h.ask(t, "web", call("echo", hello)); status != 403 {
		t.Errorf("after the bad file: %d %s", status, body)
	}
	if page := h.page(t, "/metrics"); !strings.Contains(page, `mcpx_config_reloads_total{result="refused"} 1`) {
		t.Errorf("the refusal is not counted:\n%s", page)
	}
	h.write(t, hubFile)
	h.waitFor(t, func(text string) bool { return strings.Count(text, "configuration reloaded") == 2 })
	if status, body := h.ask(t, "web", call("echo", hello)); status != 200 {
		t.Errorf("after the good file: %d %s", status, body)
	}
}

func TestHubReloadsOnHangup(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Logf("there is no SIGHUP here")
		return
	}
	h := startHub(t, hubFile, "hub", "--config", "mcpx.yaml")
	h.write(t, strings.ReplaceAll(hubFile, "dangerous_*", "*"))
	if err := h.command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	h.waitFor(t, func(text string) bool { return strings.Contains(text, "configuration reloaded") })
	if status, body := h.ask(t, "child", call("echo", hello)); status != 403 {
		t.Errorf("after the reload: %d %s", status, body)
	}
}

// TestHubWarnsOfExposure listens beyond loopback, with and without auth; the log level hides nothing.
func TestHubWarnsOfExposure(t *testing.T) {
	const loud = "ANYONE WHO REACHES THIS ADDRESS"
	open := startHub(t, hubFile, "hub", "--listen", "0.0.0.0:0")
	open.waitFor(t, func(text string) bool { return strings.Contains(text, loud) })
	closed := startHub(t, hubFile+"auth: { token: sesame }\n", "hub", "--listen", "0.0.0.0:0")
	if status, _ := closed.ask(t, "web", listTools); status != 401 {
		t.Errorf("without a credential: %d", status)
	}
	if strings.Contains(closed.text(), loud) {
		t.Errorf("warns although there is auth:\n%s", closed.text())
	}
	if strings.Contains(closed.text(), "sesame") {
		t.Errorf("the token is in the log:\n%s", closed.text())
	}
}

// TestHubHealth asks a running hub, and one that is gone.
func TestHubHealth(t *testing.T) {
	h := startHub(t, hubFile, "hub")
	for _, test := range []struct {
		url  string
		code int
	}{
		{"http://" + h.address + "/healthz", 0},
		{"http://" + h.address + "/readyz", 0},
		{"http://" + h.address + "/health", 0},
		{"http://" + h.address + "/nothing", 1},
		{"http://" + freeAddress(t) + "/healthz", 1},
	} {
		probe := startServing(t, h.folder, h.command.Env, "mcpx", "health", "--url", test.url)
		<-probe.ended
		if code := probe.command.ProcessState.ExitCode(); code != test.code {
			t.Errorf("%s: exit code %d, want %d: %s", test.url, code, test.code, probe.text())
		}
	}
}
