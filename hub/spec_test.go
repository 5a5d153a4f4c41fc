package hub_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/auth"
	"github.com/rohitgs28/mcpx/policy"
)

const result = `{"jsonrpc":"2.0","id":%s,"result":{}}`

func answerWith(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, result, idOf(body))
}

// A gated server holds each call until it is let go, and counts them.
type gated struct {
	began chan string // bodies of calls
	let   chan struct{}
	runs  atomic.Int64
}

func newGated() *gated { return &gated{began: make(chan string, 64), let: make(chan struct{})} }

func (s *gated) serve(w http.ResponseWriter, r *http.Request, body string) {
	s.runs.Add(1)
	s.began <- body
	select {
	case <-s.let:
		answerWith(w, body)
	case <-r.Context().Done():
	}
}

// stream opens a request without an end and returns the body of its response.
func (g *gateway) stream(ctx context.Context, method, path, body string, heads ...string) io.ReadCloser {
	g.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, g.url+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Content-Type", "application/json")
	for _, line := range heads {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { resp.Body.Close() })
	return resp.Body
}

const (
	listen      = `{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},` + meta + `}}`
	acknowledge = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{\"notifications\":{}," +
		"\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":\"l\"}}}\n\n"
)

var listenHeads = []string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: subscriptions/listen"}

// listening is a server of both eras whose streams are open until their client goes.
func listening(t testing.TB) string {
	return serving(t, func(w http.ResponseWriter, r *http.Request, body string) {
		switch {
		case r.Method == http.MethodGet, strings.Contains(body, "subscriptions/listen"):
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, acknowledge)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case r.Method == http.MethodDelete:
		default:
			answerWith(w, body)
		}
	})
}

// "Reload … what is in flight ends on the old configuration": a request at a server whose entry changes, or goes, is answered.
func TestReloadLetsRequestsEnd(t *testing.T) {
	for _, row := range []struct {
		name  string
		heads func(g *gateway) []string
	}{
		{"bare", func(*gateway) []string { return nil }},
		{"session", func(g *gateway) []string {
			return []string{"Mcp-Session-Id: " + g.sessionAt("s")}
		}},
	} {
		for _, change := range []string{"changed", "gone"} {
			t.Run(row.name+", "+change, func(t *testing.T) {
				s := newGated()
				at := serving(t, s.serve)
				g := start(t, config(hub.Server{Name: "s", URL: at}))
				heads := row.heads(g)
				answered := make(chan answer, 1)
				go func() { answered <- g.post("s", callTool(7, "t"), heads...) }()
				<-s.began
				next := config()
				if change == "changed" {
					next = config(hub.Server{Name: "s", URL: at, Headers: map[string]string{"X-New": "1"}})
				}
				if err := g.hub.Reload(next); err != nil {
					t.Fatal(err)
				}
				if got := g.post("s", listTools, heads...); heads != nil && got.status != 404 {
					t.Errorf("a session at a server that is served no more: %+v", got)
				}
				close(s.let)
				if got := <-answered; got.status != 200 || !strings.Contains(got.body, `"id":7,"result"`) {
					t.Errorf("what was in flight: %+v", got)
				}
				if n := s.runs.Load(); n != 1 {
					t.Errorf("the call ran %d times", n)
				}
			})
		}
	}
}

// sessionAt opens a session and returns its id.
func (g *gateway) sessionAt(server string, heads ...string) string {
	g.t.Helper()
	got := g.post(server, initialize, heads...)
	id := got.header.Get("Mcp-Session-Id")
	if got.status != 200 || id == "" {
		g.t.Fatalf("initialize: %+v", got)
	}
	return id
}

// A call that is under way when the gateway stops all of a sudden is not made a second time.
func TestNoCallRunsTwice(t *testing.T) {
	s := newGated()
	g := start(t, config(hub.Server{Name: "s", URL: serving(t, s.serve), RequestTimeout: 300 * time.Millisecond}))
	got := g.post("s", callTool(7, "t")) // nobody lets it go
	if got.status != 504 || !strings.Contains(got.body, "may have been executed") {
		t.Errorf("%+v", got)
	}
	if n := s.runs.Load(); n != 1 {
		t.Errorf("the call ran %d times", n)
	}
}

// Many who come while the gateway shakes hands with a server that says nothing wait for one handshake, not one after another.
func TestOneHandshakeForAllWhoWait(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or net/http does not see that the client goes
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	g := start(t, config(hub.Server{Name: "s", URL: silent.URL, RequestTimeout: 500 * time.Millisecond}))
	began := time.Now()
	var all sync.WaitGroup
	for id := range 4 {
		all.Go(func() {
			if got := g.post("s", callTool(id, "t")); got.status != 504 {
				t.Errorf("%+v", got)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took > 1900*time.Millisecond {
		t.Errorf("four requests took %v at a server with a timeout of 500ms", took)
	}
}

// One client's bare cancellation names a request by its own id, under which the server knows another client's.
func TestBareCancellationReachesNobodyElse(t *testing.T) {
	var cancelled atomic.Bool
	s := newGated()
	behind, err := url.Parse(serving(t, s.serve))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "notifications/cancelled") {
			cancelled.Store(true)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	g := start(t, config(hub.Server{Name: "s", URL: front.URL}))
	answered := make(chan answer, 1)
	go func() { answered <- g.post("s", callTool(77, "t")) }()
	body := <-s.began
	if got := g.post("s", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":`+idOf(body)+`}}`); got.status != 202 {
		t.Errorf("%+v", got)
	}
	close(s.let)
	if got := <-answered; got.status != 200 {
		t.Errorf("%+v", got)
	}
	if cancelled.Load() {
		t.Error("the server was told to cancel a request of another client")
	}
}

// Whose credential a reload takes away has nothing open any more; all others go on.
func TestReloadEndsWhatIsRevoked(t *testing.T) {
	at := listening(t)
	with := func(clients ...auth.Client) hub.Config {
		cfg := config(hub.Server{Name: "s", URL: at})
		cfg.Auth = auth.Config{Enabled: true, Type: auth.Bearer, Clients: clients}
		return cfg
	}
	ann, bob := auth.Client{Name: "ann", Token: "token-of-ann"}, auth.Client{Name: "bob", Token: "token-of-bob"}
	stolen := auth.Client{Name: "eve", Token: "stolen"}
	g := start(t, with(ann, bob, stolen))
	type open struct {
		get, listen io.Reader
		session     []string
	}
	all := map[string]open{}
	for _, c := range []auth.Client{ann, bob, stolen} {
		head := "Authorization: Bearer " + c.Token
		session := []string{head, "Mcp-Session-Id: " + g.sessionAt("s", head)}
		all[c.Name] = open{
			g.stream(t.Context(), "GET", "/mcp/s", "", session...),
			g.stream(t.Context(), "POST", "/mcp/s", listen, append([]string{head}, listenHeads...)...),
			session,
		}
	}
	if err := g.hub.Reload(with(ann, auth.Client{Name: "eve", Token: "renewed"})); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bob", "eve"} {
		ends(t, name+"'s GET stream", all[name].get)
		ends(t, name+"'s subscription", all[name].listen)
	}
	renewed := []string{"Authorization: Bearer renewed", all["eve"].session[1]}
	if got := g.post("s", listTools, renewed...); got.status != 404 {
		t.Errorf("the session of a stolen token: %+v", got)
	}
	if got := g.post("s", listTools, all["ann"].session...); got.status != 200 {
		t.Errorf("a session that has nothing to do with it: %+v", got)
	}
}

// ends fails unless the body of a response comes to its end soon.
func ends(t *testing.T, what string, body io.Reader) {
	t.Helper()
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.Copy(io.Discard, body)
	}()
	select {
	case <-over:
	case <-time.After(5 * time.Second):
		t.Errorf("%s is still open", what)
	}
}

// At shutdown what is in flight is answered, and what has no end is ended: neither holds the other up.
func TestShutdownEndsStreamsAndLetsRequestsEnd(t *testing.T) {
	s := newGated()
	slow, quiet := serving(t, s.serve), listening(t)
	g := start(t, config(hub.Server{Name: "slow", URL: slow}, hub.Server{Name: "quiet", URL: quiet}))
	session := "Mcp-Session-Id: " + g.sessionAt("quiet")
	get := g.stream(t.Context(), "GET", "/mcp/quiet", "", session)
	subscription := g.stream(t.Context(), "POST", "/mcp/quiet", listen, listenHeads...)
	answered := make(chan answer, 1)
	go func() { answered <- g.post("slow", callTool(7, "t")) }()
	<-s.began
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		g.stop()
	}()
	ends(t, "the GET stream", get)
	ends(t, "the subscription", subscription)
	close(s.let)
	if got := <-answered; got.status != 200 {
		t.Errorf("what was in flight: %+v", got)
	}
	select {
	case <-stopped:
	case <-time.After(5 * time.Second):
		t.Error("the gateway does not stop")
	}
	if resp, err := http.Get(g.url + "/healthz"); err == nil {
		resp.Body.Close()
		t.Error("it still answers")
	}
}

// Nothing is left of a gateway that has stopped.
func TestNothingIsLeftRunning(t *testing.T) {
	at := listening(t)
	before := runtime.NumGoroutine()
	g := start(t, config(hub.Server{Name: "s", URL: at}))
	var open []io.Closer
	for range 20 {
		session := "Mcp-Session-Id: " + g.sessionAt("s")
		open = append(open, g.stream(t.Context(), "GET", "/mcp/s", "", session), g.stream(t.Context(), "POST", "/mcp/s", listen, listenHeads...))
		g.post("s", callTool(1, "t"))
	}
	g.do("GET", "/health", "")
	g.stop()
	for _, body := range open {
		body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before+5 && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if now := runtime.NumGoroutine(); now > before+5 {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines are left of %d\n%s", now, before, stacks[:runtime.Stack(stacks, true)])
	}
}

// A subscription goes by the rules of the configuration that is in force, not by those that it began with.
func TestSubscriptionFollowsTheRules(t *testing.T) {
	more := make(chan struct{})
	at := serving(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, acknowledge)
		_ = http.NewResponseController(w).Flush()
		<-more
		fmt.Fprint(w, `data: {"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///secret","_meta":{"io.modelcontextprotocol/subscriptionId":"l"}}}`+"\n\n")
		fmt.Fprint(w, `data: {"jsonrpc":"2.0","id":"l","result":{"resultType":"complete"}}`+"\n\n")
	})
	g := start(t, config(hub.Server{Name: "s", URL: at}))
	subscription := g.stream(t.Context(), "POST", "/mcp/s", listen, listenHeads...)
	if err := g.hub.Reload(config(hub.Server{Name: "s", URL: at, Policy: policy.Config{DenyResources: []string{"file:///secret"}}})); err != nil {
		t.Fatal(err)
	}
	close(more)
	text := new(strings.Builder)
	if _, err := io.Copy(text, subscription); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text.String(), "secret") || !strings.Contains(text.String(), `"id":"l"`) {
		t.Errorf("the client was told: %s", text)
	}
}

// A request that has surely not reached its server is answered so: it may be made again.
func TestWhatWasNotSentSaysSo(t *testing.T) {
	for name, server := range map[string]hub.Server{
		"nobody listens":             {Name: "s", URL: "http://127.0.0.1:1/mcp"},
		"the command does not exist": {Name: "s", Command: "no-such-program-here", Transport: "stdio"},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, config(server))
			for range 6 { // the last ones are the breaker's
				got := g.post("s", listTools)
				if got.status < 500 || !strings.Contains(got.body, "was not executed") {
					t.Errorf("%+v", got)
				}
			}
		})
	}
}
