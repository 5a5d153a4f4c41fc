package peers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// visitOrFail connects a client under its own name.
func visitOrFail(ctx context.Context, t *testing.T, client, url string) *guest {
	t.Helper()
	g, err := visit(ctx, client, url, legacy, &bearer{token: client + "-token"})
	if err != nil {
		t.Fatalf("connect %s: %v", client, err)
	}
	t.Cleanup(func() { _ = g.close() })
	return g
}

// TestClientsShareAChild lets four clients, whose ids are the same, call one child at once: everyone gets their own answers.
func TestClientsShareAChild(t *testing.T) {
	t.Parallel()
	d := diary(filepath.Join(t.TempDir(), "diary"))
	g := startGateway(t, build(t, "./cmd/mcpx"), twoClients+"servers: [ { name: shared, "+child(d)+" } ]\n")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var calls sync.WaitGroup
	for i, client := range []string{"go-sdk", "go-sdk", "mcp-go", "mcp-go"} {
		visitor := visitOrFail(ctx, t, client, g.url+"shared")
		for j := range 100 {
			calls.Go(func() {
				text := fmt.Sprintf("call %d of client %d", j, i)
				visitor.expect(ctx, t, "echo", text, text)
			})
		}
	}
	calls.Wait()
	if got := d.count("echo"); got != 400 {
		t.Errorf("the child has seen %d calls, want 400", got)
	}
	if got := d.count("started"); got != 1 {
		t.Errorf("%d children were started", got)
	}
}

// TestSessionsOutliveReloads: open sessions go by the new rules, with the child that they have.
func TestSessionsOutliveReloads(t *testing.T) {
	t.Parallel()
	d := diary(filepath.Join(t.TempDir(), "diary"))
	entry := func(denied string) string {
		return twoClients + "servers: [ { name: shared, policy: { deny_tools: [" + denied + "] }, " + child(d) + " } ]\n"
	}
	g := startGateway(t, build(t, "./cmd/mcpx"), entry("forbidden"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var visitors []*guest
	for client := range remoteClients {
		visitors = append(visitors, visitOrFail(ctx, t, client, g.url+"shared"))
	}
	for _, v := range visitors {
		v.expect(ctx, t, "echo", "before", "before")
	}
	if !g.reload(t, entry("forbidden, echo")) {
		return
	}
	for _, v := range visitors {
		if _, err := v.text(ctx, "echo", "during"); err == nil || !strings.Contains(err.Error(), "policy.deny_tools[1]") {
			t.Errorf("after the reload the call says %v", err)
		}
	}
	g.reload(t, entry("forbidden"))
	for _, v := range visitors {
		v.expect(ctx, t, "echo", "after", "after")
	}
	if got := d.count("started"); got != 1 {
		t.Errorf("%d children were started", got)
	}
}

// TestSessionsOutliveACrash: the call in flight fails, and the session goes on with another child.
func TestSessionsOutliveACrash(t *testing.T) {
	t.Parallel()
	d := diary(filepath.Join(t.TempDir(), "diary"))
	g := startGateway(t, build(t, "./cmd/mcpx"), twoClients+"servers: [ { name: shared, "+child(d)+" } ]\n")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for client := range remoteClients {
		v := visitOrFail(ctx, t, client, g.url+"shared")
		v.expect(ctx, t, "echo", "before", "before")
		if text, err := v.text(ctx, "crash", ""); err == nil {
			t.Errorf("%s: the call in which the child ends gives %q", client, text)
		}
		recovered(ctx, t, v)
	}
}

// recovered waits until calls of a session are answered again: a child that has failed is started after a pause.
func recovered(ctx context.Context, t *testing.T, v *guest) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := v.text(ctx, "echo", "after")
		if err == nil && text == "after" {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the session does not recover: %q, %v", text, err)
		}
	}
}

// TestServerForgetsSessions starts a server again: the client learns that its session is over, and a new one works.
func TestServerForgetsSessions(t *testing.T) {
	t.Parallel()
	d := diary(filepath.Join(t.TempDir(), "diary"))
	var current atomic.Pointer[mcp.StreamableHTTPHandler]
	restart := func() {
		s := actor(d)
		current.Store(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil))
	}
	restart()
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { current.Load().ServeHTTP(w, r) }))
	t.Cleanup(served.CloseClientConnections)
	g := startGateway(t, build(t, "./cmd/mcpx"), twoClients+fmt.Sprintf("servers: [ { name: web, url: %q } ]\n", served.URL))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for client := range remoteClients {
		v := visitOrFail(ctx, t, client, g.url+"web")
		v.expect(ctx, t, "echo", "before", "before")
		restart()
		if _, err := v.text(ctx, "echo", "lost"); err == nil || !strings.Contains(err.Error(), "session") {
			t.Errorf("%s: in a session that the server has forgotten the call says %v", client, err)
		}
		visitOrFail(ctx, t, client, g.url+"web").expect(ctx, t, "echo", "after", "after")
	}
}

// TestWrongCredential: a client is told that it was not let in, and no more.
func TestWrongCredential(t *testing.T) {
	t.Parallel()
	d := diary(filepath.Join(t.TempDir(), "diary"))
	g := startGateway(t, build(t, "./cmd/mcpx"), twoClients+"servers: [ { name: shared, "+child(d)+" } ]\n")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for client := range remoteClients {
		for _, version := range []string{legacy, modern} {
			for _, token := range []string{"", "wrong-token"} {
				_, err := visit(ctx, client, g.url+"shared", version, &bearer{token: token})
				if err == nil || !strings.Contains(strings.ToLower(err.Error()), "authoriz") {
					t.Errorf("%s, %s with token %q: %v", client, version, token, err)
				}
			}
		}
	}
	if got := d.count("started"); got != 0 {
		t.Errorf("%d children were started for strangers", got)
	}
}

// TestClientResumes breaks the connection in the middle of a call: the client asks for the rest and gets it, and the server has
// run the call once.
func TestClientResumes(t *testing.T) {
	t.Parallel()
	d := diary(filepath.Join(t.TempDir(), "diary"))
	s := actor(d)
	served := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s },
		&mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)}))
	t.Cleanup(served.CloseClientConnections)
	gw := startGateway(t, build(t, "./cmd/mcpx"), twoClients+fmt.Sprintf("servers: [ { name: web, url: %q } ]\n", served.URL))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cut := &cutter{bearer: &bearer{token: "go-sdk-token"}, resumed: make(chan int, 16)}
	options := sdkOptions(func(any) {})
	progress := make(chan struct{}, 16)
	options.ProgressNotificationHandler = func(context.Context, *mcp.ProgressNotificationClientRequest) { progress <- struct{}{} }
	session, err := connectSDKWith(ctx, &mcp.StreamableClientTransport{Endpoint: gw.url + "web", HTTPClient: &http.Client{Transport: cut}}, legacy, options)
	if err != nil {
		t.Fatal(err)
	}
	defer session.close()
	v := &guest{session: session}
	cut.armed.Store(true)
	done := make(chan error, 1)
	go func() {
		text, err := v.text(ctx, progressing, t.Name())
		if err == nil && text != "done" {
			err = errors.New(text)
		}
		done <- err
	}()
	for status := 0; status != http.StatusOK; {
		select {
		case status = <-cut.resumed:
			t.Logf("the client asks for the rest: %d", status)
		case err := <-done:
			t.Fatalf("the call ends before it is resumed: %v", err)
		case <-ctx.Done():
			t.Fatal("the client does not ask for the rest")
		}
	}
	d.note("progressed " + t.Name())
	if err := <-done; err != nil {
		t.Errorf("the call that was cut: %v", err)
	}
	for range 3 {
		select {
		case <-progress:
		case <-ctx.Done():
			t.Fatal("progress is lost")
		}
	}
	if got := d.count(progressing); got != 1 {
		t.Errorf("the server has run the call %d times", got)
	}
}

// A cutter breaks the connection of one answer behind its first notification.
type cutter struct {
	*bearer
	armed   atomic.Bool
	resumed chan int // statuses of requests that ask for the rest of a stream
}

func (c *cutter) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.bearer.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodGet && r.Header.Get("Last-Event-Id") != "" {
		c.resumed <- response.StatusCode
	}
	if r.Method == http.MethodPost && strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") && c.armed.Swap(false) {
		response.Body = &cutBody{ReadCloser: response.Body}
	}
	return response, nil
}

type cutBody struct {
	io.ReadCloser
	seen []byte
}

func (b *cutBody) Read(p []byte) (int, error) {
	if i := bytes.Index(b.seen, []byte("notifications/progress")); i >= 0 && bytes.Contains(b.seen[i:], []byte("\n\n")) {
		_ = b.Close()
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), 16)])
	b.seen = append(b.seen, p[:n]...)
	return n, err
}
