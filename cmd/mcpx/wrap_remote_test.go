package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/rohitgs28/mcpx/examples/mock-mcp/mock"
)

// A recorded server is mock-mcp over HTTP that keeps the headers and bodies it is sent.
type recorded struct {
	*httptest.Server
	mu      sync.Mutex
	headers []http.Header // guarded by mu
}

func serveRecorded(t *testing.T) *recorded {
	t.Helper()
	r := &recorded{}
	next := mock.Handler("")
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		r.headers = append(r.headers, q.Header.Clone())
		r.mu.Unlock()
		next.ServeHTTP(w, q)
	}))
	t.Cleanup(r.CloseClientConnections)
	return r
}

// sent gives the values of a header in all requests, once each.
func (r *recorded) sent(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	values := map[string]bool{}
	var all []string
	for _, h := range r.headers {
		if value := strings.Join(h.Values(name), "+"); !values[value] {
			values[value] = true
			all = append(all, value)
		}
	}
	return strings.Join(all, " ")
}

const remoteTalk = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hi"}}}
{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"dangerous_delete","arguments":{"path":"/"}}}
`

// TestWrapReachesURL takes the server, its headers and its rules from flags and entries, and names its pins.
func TestWrapReachesURL(t *testing.T) {
	const entry = `servers:
  - name: far
    url: URL
    headers: { X-Api-Key: "${TEST_KEY}", X-Fixed: "1" }
    policy: { deny_tools: [dangerous_delete] }
`
	denied := `"id":3,"error":\{"code":-32600,"message":"denied by mcpx: tool \\"dangerous_delete\\" is denied by policy\.deny_tools\[0\]"`
	for _, test := range []struct {
		name, config string
		args         []string // URL stands for the server's
		third        string   // what comes of the call that rules are about
		key, fixed   string   // headers that the server gets
		pins         string
	}{
		{"without a configuration", "", []string{"--url", "URL", "--header", "X-Api-Key: a:${TEST_KEY}"}, `"id":3,"result"`, "a:k", "", `127-0-0-1-\d+-mcp@[0-9a-f]{8}`},
		{"named", "", []string{"--url", "URL", "--name", "mine"}, `"id":3,"result"`, "", "", `mine`},
		{"by the entry's name", entry, []string{"--name", "far"}, denied, "k", "1", `far`},
		{"by the entry's URL", entry, []string{"--url", "URL"}, denied, "k", "1", `far`},
		{"a flag goes before the entry", entry, []string{"--name", "far", "--header", "x-api-key: other"}, denied, "other", "1", `far`},
		{"rules without a URL", "servers: [{name: far, policy: {deny_tools: [dangerous_delete]}}]", []string{"--name", "far", "--url", "URL"}, denied, "", "", `far`},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := serveRecorded(t)
			fill := strings.NewReplacer("URL", server.URL+mock.Path).Replace
			folder := t.TempDir()
			run := func(stdin string, args ...string) (string, string) {
				command := exec.Command("mcpx", args...)
				command.Dir = folder
				command.Stdin = strings.NewReader(stdin)
				var stdout, stderr bytes.Buffer
				command.Stdout, command.Stderr = &stdout, &stderr
				command.Env = append(os.Environ(), "TEST_KEY=k")
				for name, value := range isolated(folder) {
					command.Env = append(command.Env, name+"="+value)
				}
				if err := command.Run(); err != nil {
					t.Fatalf("mcpx %q: %v\n%s", args, err, &stderr)
				}
				return stdout.String(), stderr.String()
			}
			args := []string{"wrap"}
			if test.config != "" {
				if err := os.WriteFile(filepath.Join(folder, "mcpx.yaml"), []byte(fill(test.config)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, arg := range test.args {
				args = append(args, fill(arg))
			}
			out, errs := run(remoteTalk, args...)
			for _, want := range []string{`"id":1,"result"`, `"id":2,"result":.*hi`, test.third} {
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("the client reads\n%s\nwant %s", out, want)
				}
			}
			if errs != "" {
				t.Errorf("stderr: %s", errs)
			}
			if got := server.sent("X-Api-Key"); got != test.key {
				t.Errorf("X-Api-Key is %q, want %q", got, test.key)
			}
			if got := server.sent("X-Fixed"); got != test.fixed {
				t.Errorf("X-Fixed is %q, want %q", got, test.fixed)
			}
			pins, _ := run("", "pins", "list")
			if !regexp.MustCompile(`(?m)^` + test.pins + `\b`).MatchString(pins) {
				t.Errorf("pins are\n%s\nwant those of %s", pins, test.pins)
			}
			run("", "audit", "verify")
		})
	}
}
