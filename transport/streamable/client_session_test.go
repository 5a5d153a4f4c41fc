package streamable_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/streamable"
)

const (
	hello       = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`
	welcome     = `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}`
	initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	accepted    = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
)

// sessionServer keeps a session, and answers 404 when gone says that it has forgotten it.
func sessionServer(t *testing.T, gone func() bool) *backend {
	var b *backend
	b = serve(t, func(conn net.Conn, nth int) bool {
		heads, _ := b.seen()
		head := heads[nth]
		response := strings.Replace(jsonResponse(answer), "\r\n", "\r\nMcp-Session-Id: ignored\r\n", 1)
		switch {
		case strings.Contains(head, "initialize\""):
			response = strings.Replace(jsonResponse(welcome), "\r\n", "\r\nmcp-session-id: s-1\r\n", 1)
		case gone():
			response = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 75\r\n\r\n" +
				`{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"no session!"}}`
		case !strings.Contains(head, `"id"`):
			response = accepted
		}
		_, err := io.WriteString(conn, response)
		return err == nil
	})
	return b
}

func TestSessionFromInitializeToDelete(t *testing.T) {
	gone := false
	b := sessionServer(t, func() bool { return gone })
	client := newClient(t, streamable.ClientOptions{URL: b.url, Headers: map[string]string{"Authorization": "Bearer x"}})
	ctx := testContext(t)
	var got arrivals
	calls := []error{
		client.Call(ctx, message(t, hello), got.take),
		client.Send(ctx, message(t, initialized)),
		client.Call(ctx, message(t, callTool), got.take),
	}
	if id := client.SessionID(); id != "s-1" {
		t.Errorf("session id %q", id)
	}
	gone = true
	calls = append(calls, client.Call(ctx, message(t, callTool), got.take), client.Send(ctx, message(t, initialized)), client.Listen(ctx, "", got.take))
	gone = false
	calls = append(calls, client.Close(), client.Close(), client.Call(ctx, message(t, callTool), got.take))

	ends := make([]string, len(calls))
	for i, err := range calls {
		ends[i] = outcome(err)
	}
	const lost = "session has ended 404"
	if diff := cmp.Diff([]string{"", "", "", lost, lost, lost, "", "", "session has ended"}, ends); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(arrivals{"200 " + welcome, "200 " + answer}, got); diff != "" {
		t.Errorf("arrivals (-want +got):\n%s", diff)
	}
	const in = " Mcp-Session-Id=s-1 Mcp-Protocol-Version=2025-06-18 Authorization=Bearer x"
	heads, _ := b.seen()
	if diff := cmp.Diff([]string{
		"POST /mcp Authorization=Bearer x " + hello,
		"POST /mcp" + in + " " + initialized,
		"POST /mcp" + in + " " + callTool,
		"POST /mcp" + in + " " + callTool,
		"POST /mcp" + in + " " + initialized,
		"GET /mcp" + in,
		"DELETE /mcp" + in,
	}, heads); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// A server that lets a good-bye pass without an answer is not told of each session of a thousand.
func TestDeafServerIsToldOnce(t *testing.T) {
	const sessions = 5
	b := serve(t, func(conn net.Conn, nth int) bool {
		if nth < sessions {
			_, _ = io.WriteString(conn, strings.Replace(jsonResponse(welcome), "\r\n", "\r\nmcp-session-id: s-1\r\n", 1))
		}
		return true
	})
	pool, err := streamable.NewPool(streamable.ClientOptions{URL: b.url})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var clients []*streamable.Client
	for range sessions {
		client := streamable.NewClient(pool)
		if err := client.Call(testContext(t), message(t, hello), new(arrivals).take); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, client)
	}
	for _, client := range clients {
		if err := client.Close(); err == nil {
			t.Error("the end of a session that nobody has taken is no error")
		}
	}
	if heads, _ := b.seen(); len(heads) != sessions+1 {
		t.Errorf("%d requests, want %d and one end: %q", len(heads), sessions, heads)
	}
}

func TestModernRequestsMirrorTheirBody(t *testing.T) {
	for _, c := range []struct{ name, method, params, want string }{
		{"a tool", "tools/call", `"name":"get weather"`, "Mcp-Method=tools/call Mcp-Name=get weather"},
		{"a resource", "resources/read", `"uri":"file:///a"`, "Mcp-Method=resources/read Mcp-Name=file:///a"},
		{"a task", "tasks/get", `"taskId":"1"`, "Mcp-Method=tasks/get Mcp-Name=1"},
		{"nothing to name", "tools/list", `"cursor":"x"`, "Mcp-Method=tools/list"},
		{"no name", "tools/call", `"arguments":{}`, "Mcp-Method=tools/call"},
		{"beyond ASCII", "tools/call", `"name":"ä"`, "Mcp-Method=tools/call Mcp-Name==?base64?w6Q=?="},
		{"a new line", "tools/call", `"name":"a\r\nX: y"`, "Mcp-Method=tools/call Mcp-Name==?base64?YQ0KWDogeQ==?="},
		{"space around", "tools/call", `"name":" a"`, "Mcp-Method=tools/call Mcp-Name==?base64?IGE=?="},
		{"what looks encoded", "tools/call", `"name":"=?base64?YQ==?="`, "Mcp-Method=tools/call Mcp-Name==?base64?PT9iYXNlNjQ/WVE9PT89?="},
	} {
		t.Run(c.name, func(t *testing.T) {
			request := `{"jsonrpc":"2.0","id":7,"method":"` + c.method + `","params":{` + c.params + `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
			b := serve(t, always(jsonResponse(answer)))
			client := newClient(t, streamable.ClientOptions{URL: b.url})
			if err := client.Call(testContext(t), message(t, request), new(arrivals).take); err != nil {
				t.Fatal(err)
			}
			want := "POST /mcp Mcp-Protocol-Version=2026-07-28 " + c.want + " " + request
			if heads, _ := b.seen(); len(heads) != 1 || heads[0] != want {
				t.Errorf("got  %q\nwant %q", heads, want)
			}
		})
	}
}

func TestNothingSplitsARequest(t *testing.T) {
	b := serve(t, always(jsonResponse(answer)))
	client := newClient(t, streamable.ClientOptions{URL: b.url})
	version := strings.Replace(newCall, "2026-07-28", `2026-07-28\r\nX: y`, 1)
	method := strings.Replace(newCall, "tools/call", `a\nb`, 1)
	for _, c := range []struct {
		name, request string
		params        []string
	}{
		{"a version", version, nil},
		{"a method", method, nil},
		{"a parameter's name", newCall, []string{"Mcp-Param-A\r\nX", "y"}},
		{"a parameter's value", newCall, []string{"Mcp-Param-A", "y\nX: z"}},
		{"another header", newCall, []string{"Authorization", "y"}},
	} {
		ctx := streamable.WithParams(testContext(t), c.params)
		if err := client.Call(ctx, message(t, c.request), new(arrivals).take); outcome(err) != "server cannot take such a message" {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if heads, _ := b.seen(); len(heads) > 0 {
		t.Errorf("sent: %q", heads)
	}
}

func TestAnswersToNotifications(t *testing.T) {
	for _, c := range []struct{ response, want string }{
		{accepted, ""},
		{"HTTP/1.1 204 No Content\r\n\r\n", ""},
		{jsonResponse("{}"), ""},
		{eventHead, ""},
		{"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno", "server refused the request 400"},
		{"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n", "server refused the request 503 after 3s"},
		{"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "server refused the request 302"},
		{"", "server unreachable"},
	} {
		b := serve(t, func(conn net.Conn, _ int) bool {
			_, _ = io.WriteString(conn, c.response)
			return false
		})
		client := newClient(t, streamable.ClientOptions{URL: b.url})
		if err := client.Send(testContext(t), message(t, initialized)); outcome(err) != c.want {
			t.Errorf("%q: %v, want %q", c.response, err, c.want)
		}
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	asked := make(chan struct{}, 8)
	b := serve(t, func(conn net.Conn, _ int) bool {
		_, _ = io.WriteString(conn, eventHead)
		asked <- struct{}{}
		_, _ = conn.Read(make([]byte, 1))
		return false
	})
	client := newClient(t, streamable.ClientOptions{URL: b.url})
	ends := make(chan error)
	for range 3 {
		go func() { ends <- client.Call(context.Background(), message(t, callTool), new(arrivals).take) }()
	}
	go func() { ends <- client.Listen(context.Background(), "", new(arrivals).take) }()
	for range 4 {
		<-asked
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	for range 4 {
		if err := <-ends; outcome(err) != "session has ended" {
			t.Errorf("ended with %v", err)
		}
	}
}

func TestClientsAreSmall(t *testing.T) {
	pool, err := streamable.NewPool(streamable.ClientOptions{URL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	const n = 10_000
	clients := make([]*streamable.Client, n)
	var before, after runtime.MemStats
	goroutines := runtime.NumGoroutine()
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range clients {
		clients[i] = streamable.NewClient(pool)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := int64(after.HeapAlloc-before.HeapAlloc) / n; each > 400 || runtime.NumGoroutine() > goroutines {
		t.Errorf("a client takes %d bytes (itself %d), %d goroutines for all", each, unsafe.Sizeof(*clients[0]), runtime.NumGoroutine()-goroutines)
	}
	runtime.KeepAlive(clients)
}

func TestManyCallsAtOnce(t *testing.T) {
	var b *backend
	b = serve(t, func(conn net.Conn, nth int) bool {
		heads, _ := b.seen()
		_, id, _ := strings.Cut(heads[nth], `"id":`)
		id, _, _ = strings.Cut(id, ",")
		_, err := io.WriteString(conn, jsonResponse(`{"jsonrpc":"2.0","id":`+id+`,"result":{"n":`+id+`}}`))
		return err == nil
	})
	client := newClient(t, streamable.ClientOptions{URL: b.url})
	ctx := testContext(t)
	ends := make(chan error)
	for worker := range 16 {
		go func() {
			for i := range 20 {
				id := worker*100 + i
				want := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{"n":%d}}`, id, id)
				m := message(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, id))
				err := client.Call(ctx, m, func(a transport.Arrival) error {
					if string(a.Message.Raw) != want {
						return fmt.Errorf("%s in place of %s", a.Message.Raw, want)
					}
					return nil
				})
				if err != nil {
					ends <- err
					return
				}
			}
			ends <- nil
		}()
	}
	for range 16 {
		if err := <-ends; err != nil {
			t.Error(err)
		}
	}
}
