package wrap_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gomcp "github.com/mark3labs/mcp-go/mcp"
	mcpgo "github.com/mark3labs/mcp-go/server"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/rohitgs28/mcpx/wrap"
)

func TestRemotesThatMustNotBeReached(t *testing.T) {
	for _, test := range []struct {
		name, url, want string
		unsafe          bool
	}{
		{"https", "https://mcp.example.com/mcp", "", false},
		{"http on this machine", "http://127.0.0.1:3001/mcp", "", false},
		{"http on this machine, IPv6", "http://[::1]:3001/mcp", "", false},
		{"http on this machine, by name", "http://LocalHost:3001", "", false},
		{"http elsewhere", "http://mcp.example.com/mcp?key=hidden", "unprotected", false},
		{"http elsewhere, allowed", "http://mcp.example.com/mcp", "", true},
		{"http to a short address", "http://127.1/mcp", "unprotected", false},
		{"http to a number", "http://2130706433/mcp", "unprotected", false},
		{"http to a name that begins like this machine", "http://localhost.example.com/", "unprotected", false},
		{"http to a name below this machine's", "http://evil.localhost/", "unprotected", false},
		{"http to a private address", "http://192.168.1.1/", "unprotected", false},
		{"http to any address", "http://0.0.0.0:3001/", "unprotected", false},
		{"other scheme", "ftp://127.0.0.1/", "scheme", true},
		{"no scheme", "127.0.0.1/mcp", "usable URL", true},
		{"no host", "https:///mcp", "usable URL", true},
		{"a credential", "https://user:hidden@mcp.example.com/", "credential", true},
		{"a fragment", "https://mcp.example.com/#hidden", "fragment", true},
		{"no URL", "http://%zz?hidden", "usable URL", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := wrap.Remote{URL: test.url, UnsafeHTTP: test.unsafe}.Validate()
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

// A remote is a server on a socket that keeps what it is sent.
type remote struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string // method and body of each request; guarded by mu
}

func serveRemote(t *testing.T, handler http.Handler) *remote {
	t.Helper()
	r := &remote{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil || q.Header.Get("X-Test") != "1" {
			t.Errorf("%s %s: %v, headers %v", q.Method, q.URL, err, q.Header)
		}
		r.mu.Lock()
		r.bodies = append(r.bodies, q.Method+" "+string(body))
		r.mu.Unlock()
		q.Body = io.NopCloser(bytes.NewReader(body))
		handler.ServeHTTP(w, q)
	}))
	t.Cleanup(r.CloseClientConnections)
	return r
}

func (r *remote) saw(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.bodies, func(body string) bool { return strings.Contains(body, text) })
}

type echoArguments struct {
	Text string `json:"text"`
}

func officialServer() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	echo := func(_ context.Context, _ *mcp.CallToolRequest, in echoArguments) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: in.Text}}}, nil, nil
	}
	for _, name := range []string{"echo", "rm"} {
		mcp.AddTool(server, &mcp.Tool{Name: name}, echo)
	}
	return server
}

func official(opt mcp.StreamableHTTPOptions) http.Handler {
	server := officialServer()
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &opt)
}

func mcpGo() *mcpgo.MCPServer {
	server := mcpgo.NewMCPServer("s", "1")
	for _, name := range []string{"echo", "rm"} {
		server.AddTool(gomcp.NewTool(name, gomcp.WithString("text")), func(_ context.Context, r gomcp.CallToolRequest) (*gomcp.CallToolResult, error) {
			return gomcp.NewToolResultText(r.GetString("text", "")), nil
		})
	}
	return server
}

// wrapRemote is a command that wraps the server at a URL.
func wrapRemote(t *testing.T, url string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	t.Cleanup(cancel)
	command := exec.CommandContext(ctx, os.Args[0], "as-wrap", t.TempDir(), url)
	stderr := &bytes.Buffer{}
	command.Stderr = stderr
	return command, stderr
}

// TestRemoteServersAreGuarded: the official client holds a session with servers of others, in both eras and by both
// transports; what is denied never leaves.
func TestRemoteServersAreGuarded(t *testing.T) {
	const legacy, modern = "2025-11-25", "2026-07-28"
	one := officialServer()
	for _, test := range []struct {
		name, path, version string
		handler             http.Handler
		session             bool // the server is told of its end
	}{
		{"official, legacy", "/mcp", legacy, official(mcp.StreamableHTTPOptions{}), true},
		{"official, legacy, JSON", "/mcp", legacy, official(mcp.StreamableHTTPOptions{JSONResponse: true}), true},
		{"official, stateless, legacy", "/mcp", legacy, official(mcp.StreamableHTTPOptions{Stateless: true}), false},
		{"official, stateless, modern", "/mcp", modern, official(mcp.StreamableHTTPOptions{Stateless: true}), false},
		{"mcp-go, legacy", "/mcp", legacy, mcpgo.NewStreamableHTTPServer(mcpGo()), true},
		{"mcp-go, modern", "/mcp", modern, mcpgo.NewStreamableHTTPServer(mcpGo()), false},
		{"official, HTTP+SSE", "/sse", "2024-11-05", mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return one }, nil), false},
		{"mcp-go, HTTP+SSE", "/sse", "2024-11-05", mcpgo.NewSSEServer(mcpGo()), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := serveRemote(t, test.handler)
			command, stderr := wrapRemote(t, server.URL+test.path)
			client := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil)
			s, err := client.Connect(t.Context(), &mcp.CommandTransport{Command: command}, &mcp.ClientSessionOptions{ProtocolVersion: test.version})
			if err != nil {
				t.Fatalf("connect: %v\n%s", err, stderr)
			}
			if got := s.InitializeResult().ProtocolVersion; got != test.version {
				t.Errorf("the session has version %s, want %s", got, test.version)
			}
			if list, err := s.ListTools(t.Context(), nil); err != nil || len(list.Tools) != 1 || list.Tools[0].Name != "echo" {
				t.Errorf("tools: %+v, %v, want echo alone", list, err)
			}
			for _, size := range []int{1, 1 << 20} {
				text := strings.Repeat("é", size)
				result, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "echo", Arguments: echoArguments{text}})
				if err != nil || len(result.Content) != 1 || result.Content[0].(*mcp.TextContent).Text != text {
					t.Errorf("echo of %d characters: %v", size, err)
				}
			}
			_, err = s.CallTool(t.Context(), &mcp.CallToolParams{Name: "rm", Arguments: echoArguments{"x"}})
			if err == nil || !strings.Contains(err.Error(), `tool "rm" is denied by policy.deny_tools[0]`) {
				t.Errorf("denied call: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("the wrapper ended: %v\n%s", err, stderr)
			}
			if server.saw(`"name":"rm"`) {
				t.Error("the denied call has reached the server")
			}
			if got := server.saw("DELETE "); got != test.session {
				t.Errorf("the end of the session was told: %v, want %v", got, test.session)
			}
			if got := stderr.String(); got != "" {
				t.Errorf("stderr: %s", got)
			}
		})
	}
}

// TestRemoteServersThatFail: the client is answered, stderr says why, and the exit code who ended the session.
func TestRemoteServersThatFail(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	status := func(code int) *remote {
		return serveRemote(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
	}
	silent := serveRemote(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "event: endpoint\ndata: /post\n\n")
			w.(http.Flusher).Flush()
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	for _, test := range []struct {
		name, url, stdout, stderr string
		code                      int
	}{
		{"nobody listens", gone.URL, `"id":0,"error":{"code":-32603,"message":"server unreachable; the request was not executed"}`, "refused", 0},
		{"not authorized", status(401).URL, `"id":0,"error":{"code":-32603,"message":"server refused the request`, "status 401", 0},
		{"broken", status(500).URL, `"id":0,"error":{"code":-32603`, "status 500", 0},
		{"no event stream", status(404).URL + "/sse", "", "status 404", 125},
		{"nobody has an event stream", gone.URL + "/sse", "", "refused", 125},
		{"the stream ends", silent.URL + "/sse", ``, "the server has ended the session", 1},
		{"no URL for it", "http://mcp.example.com/mcp", "", "--unsafe-http", 125},
	} {
		t.Run(test.name, func(t *testing.T) {
			command, stderr := wrapRemote(t, test.url)
			stdin, err := command.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			var stdout bytes.Buffer
			command.Stdout = &stdout
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(stdin, hello) // it may have ended
			if test.code == 0 {
				_ = stdin.Close()
			}
			_ = command.Wait()
			if got := command.ProcessState.ExitCode(); got != test.code {
				t.Errorf("exit code %d, want %d", got, test.code)
			}
			if !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("stdout %q, stderr %q, want %q and %q", &stdout, stderr, test.stdout, test.stderr)
			}
		})
	}
}

// TestSignalEndsARemoteSession: the server is told, what is in flight is answered, and the code is the signal's.
func TestSignalEndsARemoteSession(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // no signal can be sent to one process
	}
	called := make(chan struct{})
	server := officialServer()
	mcp.AddTool(server, &mcp.Tool{Name: "wait"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ echoArguments) (*mcp.CallToolResult, any, error) {
		close(called)
		<-ctx.Done()
		return nil, nil, ctx.Err()
	})
	remote := serveRemote(t, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	command, stderr := wrapRemote(t, remote.URL)
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	command.Stdout = &stdout
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(stdin, hello+`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"wait","arguments":{"text":""}}}
`)
	select {
	case <-called:
	case <-time.After(10 * time.Second):
		t.Fatalf("the call does not come: %s %s", &stdout, stderr)
	}
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	if got := command.ProcessState.ExitCode(); got != 130 {
		t.Errorf("exit code %d, want 130", got)
	}
	if want := `"id":2,"error":{"code":-32603,"message":"server exited; the request may have been executed"`; !strings.Contains(stdout.String(), want) {
		t.Errorf("stdout %q, want %q", &stdout, want)
	}
	if !remote.saw("DELETE ") {
		t.Error("the server is not told")
	}
}
