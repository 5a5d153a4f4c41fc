package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gomcp "github.com/mark3labs/mcp-go/mcp"
	mcpgo "github.com/mark3labs/mcp-go/server"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

func message(t testing.TB, raw string) *jsonrpc.Message {
	t.Helper()
	m := &jsonrpc.Message{}
	if fault := jsonrpc.Scan([]byte(raw), m); fault != nil {
		t.Fatalf("%s: %v", raw, fault)
	}
	return m
}

// read returns a copy of the next message.
func read(t testing.TB, c transport.Conn) (jsonrpc.Message, error) {
	t.Helper()
	stop := time.AfterFunc(patience, func() { _ = c.Close() })
	defer stop.Stop()
	var dst [1]jsonrpc.Message
	if _, err := c.Read(t.Context(), dst[:]); err != nil {
		return jsonrpc.Message{}, err
	}
	return *dst[0].Clone(), nil
}

func write(t testing.TB, c transport.Conn, raw string) {
	t.Helper()
	if err := c.Write(t.Context(), message(t, raw)); err != nil {
		t.Fatal(err)
	}
}

func serve(t testing.TB, handler http.Handler) string {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

type echo struct {
	Text string `json:"text"`
}

func goSDKServer() http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "echo"}, func(_ context.Context, _ *mcp.CallToolRequest, in echo) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: in.Text}}}, nil, nil
	})
	return mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return server }, nil)
}

func mcpGoServer() http.Handler {
	server := mcpgo.NewMCPServer("s", "1")
	server.AddTool(gomcp.NewTool("echo", gomcp.WithString("text")), func(_ context.Context, r gomcp.CallToolRequest) (*gomcp.CallToolResult, error) {
		return gomcp.NewToolResultText(r.GetString("text", "")), nil
	})
	return mcpgo.NewSSEServer(server)
}

// TestSessionsWithRealServers holds a whole session with each library's server, with answers from 0 to 1 MB.
func TestSessionsWithRealServers(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler http.Handler
	}{
		{"go-sdk", goSDKServer()},
		{"mcp-go", mcpGoServer()},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Dial(t.Context(), Options{URL: serve(t, test.handler) + "/sse"})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			write(t, c, `{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
			m, err := read(t, c)
			if version, _ := m.Text(jsonrpc.ProtocolVersion); err != nil || m.Kind != jsonrpc.Result || string(m.ID.Token()) != `"i"` {
				t.Fatalf("initialize: %s (version %s), %v", m.Raw, version, err)
			}
			write(t, c, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
			for i, size := range []int{0, 10, 4 << 10, 1 << 20, 10} {
				text := strings.Repeat("é\u2028", size/4)
				write(t, c, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"echo","arguments":{"text":%q}}}`, i, text))
				m, err := read(t, c)
				if err != nil || m.Kind != jsonrpc.Result || string(m.ID.Token()) != fmt.Sprint(i) || len(m.Raw) < len(text) {
					t.Fatalf("answer of %d bytes: %.200s, %v", size, m.Raw, err)
				}
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := read(t, c); !errors.Is(err, io.EOF) {
				t.Errorf("after Close: %v, want EOF", err)
			}
			if err := c.Write(t.Context(), message(t, `{"jsonrpc":"2.0","method":"x"}`)); err == nil {
				t.Error("a message can be written after Close")
			}
		})
	}
}

// stream answers a GET with these events and stays until the client goes, or ends at once.
func stream(events string, stay bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = io.WriteString(w, events)
		w.(http.Flusher).Flush()
		if stay {
			<-r.Context().Done()
		}
	}
}

func TestServersThatAreRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		server http.HandlerFunc
		cause  transport.FailureCause
		text   string
	}{
		{"not found", http.NotFound, transport.Refused, "status 404"},
		{"not authorized", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, transport.Refused, "status 401"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://other.example/sse", http.StatusTemporaryRedirect)
		}, transport.Refused, `"http://other.example/sse"`},
		{"no event stream", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }, transport.BadAnswer, `"text/plain"`},
		{"stream that ends", stream("", false), transport.BadAnswer, "no endpoint event"},
		{"stream without endpoint", stream(strings.Repeat("data: {}\n\n", maxPreface), true), transport.BadAnswer, "no endpoint event"},
		{"endpoint elsewhere", stream("event: endpoint\ndata: http://other.example/message\n\n", true), transport.BadAnswer, "same origin"},
		{"endpoint without scheme", stream("event: endpoint\ndata: //other.example/message\n\n", true), transport.BadAnswer, "same origin"},
		{"endpoint by another scheme", stream("event: endpoint\ndata: https://127.0.0.1/message\n\n", true), transport.BadAnswer, "same origin"},
		{"endpoint that is no URL", stream("event: endpoint\ndata: :%\n\n", true), transport.BadAnswer, "same origin"},
		{"event over the limit", stream("event: endpoint\ndata: "+strings.Repeat("x", 5000), true), transport.BadAnswer, "too long"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Dial(t.Context(), Options{URL: serve(t, test.server), MaxMessage: 4000})
			failure, _ := errors.AsType[*transport.Failure](err)
			if c != nil || failure == nil || failure.Cause != test.cause || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, want cause %q and %q", err, test.cause, test.text)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		server := httptest.NewServer(nil)
		server.Close()
		_, err := Dial(t.Context(), Options{URL: server.URL})
		if failure, _ := errors.AsType[*transport.Failure](err); failure == nil || failure.Cause != transport.Unreachable {
			t.Errorf("got %v", err)
		}
	})
	t.Run("silent", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := Dial(ctx, Options{URL: serve(t, stream("", true))}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	for _, bad := range []string{"", "/sse", "ftp://127.0.0.1/", "http:///x", "http://%zz"} {
		if _, err := Dial(t.Context(), Options{URL: bad}); err == nil {
			t.Errorf("URL %q is accepted", bad)
		}
	}
}

// TestTheStreamIsReadAsItIs: bad messages are delivered as such, other events are no messages, the end says what it means.
func TestTheStreamIsReadAsItIs(t *testing.T) {
	events := "event: endpoint\ndata: ?session=1\n\n" +
		"event: ping\ndata: 1\n\nid: 1\n\ndata: \n\n" +
		"event: message\ndata: {\"jsonrpc\":\"2.0\",\ndata: \"method\":\"a\"}\n\n" +
		"data: {\"jsonrpc\":\"2.0\",\"method\":\"a\",\"method\":\"b\"}\n\n" +
		"data: hello\n\n"
	c, err := Dial(t.Context(), Options{URL: serve(t, stream(events, false))})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if m, err := read(t, c); err != nil || string(m.Raw) != `{"jsonrpc":"2.0","method":"a"}` {
		t.Errorf("message of two lines: %s, %v", m.Raw, err)
	}
	for range 2 {
		if m, err := read(t, c); err != nil || m.Kind != jsonrpc.Invalid || m.Fault == nil {
			t.Errorf("bad message: %s is a %v, %v", m.Raw, m.Kind, err)
		}
	}
	for range 2 {
		_, err = read(t, c)
		if failure, _ := errors.AsType[*transport.Failure](err); failure == nil || failure.Cause != transport.SessionGone {
			t.Errorf("end of the stream: %v", err)
		}
	}
}

// TestRefusedPosts: a request that the server does not take has an answer, and the session goes on.
func TestRefusedPosts(t *testing.T) {
	var posts atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		stream("event: endpoint\ndata: http://"+r.Host+"/post\n\n", true)(w, r)
	})
	mux.HandleFunc("POST /post", func(w http.ResponseWriter, r *http.Request) {
		posts.Add(1)
		if r.Header.Get("Authorization") != "Bearer t" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("headers of a POST: %v", r.Header)
		}
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(body), "cut"):
			panic(http.ErrAbortHandler)
		case strings.Contains(string(body), "moved"):
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case strings.Contains(string(body), "gone"):
			w.WriteHeader(http.StatusNotFound)
		default:
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	c, err := Dial(t.Context(), Options{URL: serve(t, mux), Headers: map[string]string{"Authorization": "Bearer t"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	write(t, c, `{"jsonrpc":"2.0","method":"many"}`)
	for _, test := range []struct{ method, want string }{
		{"cut", "server unreachable; the request may have been executed"},
		{"moved", "server refused the request"},
		{"gone", "session has ended"},
		{"many", "server refused the request"},
	} {
		write(t, c, `{"jsonrpc":"2.0","id":7,"method":"`+test.method+`"}`)
		want := `{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"` + test.want + `"}}`
		if m, err := read(t, c); err != nil || string(m.Raw) != want {
			t.Errorf("%s: got %s, %v, want %s", test.method, m.Raw, err, want)
		}
	}
	if got := posts.Load(); got != 5 {
		t.Errorf("%d POSTs, want 5", got)
	}
}

// TestCloseEndsReadAndWrite: whatever the server does not do.
func TestCloseEndsReadAndWrite(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", stream("event: endpoint\ndata: /post\n\n", true))
	posted := make(chan struct{})
	mux.HandleFunc("POST /post", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(posted)
		<-r.Context().Done()
	})
	c, err := Dial(t.Context(), Options{URL: serve(t, mux)})
	if err != nil {
		t.Fatal(err)
	}
	m := message(t, `{"jsonrpc":"2.0","method":"x"}`)
	ends := make(chan error, 2)
	go func() { ends <- c.Write(context.Background(), m) }()
	go func() { _, err := c.Read(context.Background(), make([]jsonrpc.Message, 1)); ends <- err }()
	<-posted
	if err := c.CloseWrite(); err != nil {
		t.Error(err)
	}
	_ = c.Close()
	for range 2 {
		select {
		case <-ends:
		case <-time.After(patience):
			t.Fatal("Close leaves somebody waiting")
		}
	}
	_ = c.Close()
}

// TestCloseLeavesNoConnection: a session that is over costs neither side anything.
func TestCloseLeavesNoConnection(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", stream("event: endpoint\ndata: /post\n\n", true))
	mux.HandleFunc("POST /post", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	mux.HandleFunc("GET /none", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	server := httptest.NewUnstartedServer(mux)
	var open atomic.Int32
	none := make(chan struct{}, 100)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			if open.Add(-1) == 0 {
				none <- struct{}{}
			}
		case http.StateActive, http.StateIdle, http.StateHijacked:
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c, err := Dial(t.Context(), Options{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(t.Context(), message(t, `{"jsonrpc":"2.0","method":"x"}`)); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if _, err := Dial(t.Context(), Options{URL: server.URL + "/none"}); err == nil {
		t.Error("there is no stream")
	}
	for deadline := time.After(patience); open.Load() > 0; {
		select {
		case <-none:
		case <-deadline:
			t.Fatalf("%d connections are still open", open.Load())
		}
	}
}
