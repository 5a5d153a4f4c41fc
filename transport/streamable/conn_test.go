package streamable_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/streamable"
)

func newConn(t *testing.T, opt streamable.ClientOptions) *streamable.Conn {
	t.Helper()
	pool, err := streamable.NewPool(opt)
	if err != nil {
		t.Fatal(err)
	}
	c := streamable.NewConn(streamable.NewClient(pool), nil)
	t.Cleanup(func() { _ = c.Close(); _ = pool.Close() })
	return c
}

func write(t *testing.T, c *streamable.Conn, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := c.Write(testContext(t), message(t, text)); err != nil {
			t.Fatal(err)
		}
	}
}

// read returns the next n messages, sorted: what belongs to different requests has no order.
func read(t *testing.T, c *streamable.Conn, n int) []string {
	t.Helper()
	var got []string
	dst := make([]jsonrpc.Message, 4)
	for len(got) < n {
		k, err := c.Read(testContext(t), dst)
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		for _, m := range dst[:k] {
			got = append(got, string(m.Raw))
		}
	}
	slices.Sort(got)
	return got
}

// methodServer answers by what a request contains; the first match counts. "" is an endless stream with nothing in it.
func methodServer(t *testing.T, answers ...[2]string) *backend {
	var b *backend
	b = serve(t, func(conn net.Conn, nth int) bool {
		heads, _ := b.seen()
		for _, a := range answers {
			if !strings.Contains(heads[nth], a[0]) {
				continue
			}
			if a[1] == "" {
				_, _ = io.WriteString(conn, eventHead)
				_, _ = conn.Read(make([]byte, 1))
				return false
			}
			_, err := io.WriteString(conn, a[1])
			return err == nil && a[1] != eventHead && !strings.HasPrefix(a[1], eventHead)
		}
		_, err := io.WriteString(conn, accepted)
		return err == nil
	})
	return b
}

func withSession(response string) string {
	return strings.Replace(response, "\r\n", "\r\nMcp-Session-Id: s-1\r\n", 1)
}

func TestConnIsASession(t *testing.T) {
	unasked := `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`
	b := methodServer(t,
		[2]string{"initialize\"", withSession(jsonResponse(welcome))},
		[2]string{"GET /mcp Mcp-Session-Id=s-1 Mcp-Protocol-Version=2025-06-18 Last", ""},
		[2]string{"GET", eventHead + "id: 9\nretry: 1\n" + event(unasked)},
		[2]string{"tools/call", eventHead + event(report) + event(answer)})
	c := newConn(t, streamable.ClientOptions{URL: b.url})
	write(t, c, hello)
	if got := read(t, c, 1); got[0] != welcome {
		t.Fatalf("got %q", got)
	}
	write(t, c, initialized, callTool)
	if diff := cmp.Diff([]string{answer, report, unasked}, read(t, c, 3)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	for ctx := testContext(t); ctx.Err() == nil; { // the stream of what comes unasked is asked for again, behind what has come
		if heads, _ := b.seen(); slices.Contains(heads, "GET /mcp Mcp-Session-Id=s-1 Mcp-Protocol-Version=2025-06-18 Last-Event-Id=9") {
			break
		}
		<-time.After(time.Millisecond)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if n, err := c.Read(testContext(t), make([]jsonrpc.Message, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("after Close: %d, %v", n, err)
	}
	heads, _ := b.seen()
	if last := heads[len(heads)-1]; !strings.HasPrefix(last, "DELETE /mcp Mcp-Session-Id=s-1") {
		t.Errorf("the last request is %q", last)
	}
	if heads[1] != "POST /mcp Mcp-Session-Id=s-1 Mcp-Protocol-Version=2025-06-18 "+initialized {
		t.Errorf("the second request is %q", heads[1])
	}
}

func TestConnKeepsTheOrderOfNotifications(t *testing.T) {
	b := serve(t, always(accepted))
	c := newConn(t, streamable.ClientOptions{URL: b.url})
	var want []string
	for i := range 50 {
		text := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/x","params":{"n":%d}}`, i)
		want = append(want, "POST /mcp "+text)
		write(t, c, text)
	}
	if err := c.Close(); err != nil { // what was written is sent
		t.Error(err)
	}
	heads, _ := b.seen()
	if diff := cmp.Diff(want, heads); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestConnAnswersWhatFails(t *testing.T) {
	failed := func(text string) string {
		return `{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"` + text + `"}}`
	}
	for _, c := range []struct{ name, response, want string }{
		{"an HTTP error", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", failed("server refused the request; the request may have been executed")},
		{"an invalid answer", jsonResponse("[]"), failed("server gave an invalid answer; the request may have been executed")},
		{"no answer", eventHead, failed("server unreachable; the request may have been executed")},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := serve(t, always(c.response))
			conn := newConn(t, streamable.ClientOptions{URL: b.url})
			write(t, conn, callTool)
			if got := read(t, conn, 1); got[0] != c.want {
				t.Errorf("got  %s\nwant %s", got[0], c.want)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		nobody := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nobody") }
		pool, err := streamable.NewPool(streamable.ClientOptions{URL: "http://127.0.0.1:1", Dial: nobody})
		if err != nil {
			t.Fatal(err)
		}
		why := make(chan string, 2)
		conn := streamable.NewConn(streamable.NewClient(pool), func(err error) { why <- err.Error() })
		defer conn.Close()
		write(t, conn, initialized, callTool)
		for _, want := range []string{"send notification: server unreachable: nobody", "call tools/call: server unreachable: nobody"} {
			if got := <-why; got != want { // the client is not told who or what was not there
				t.Errorf("told %q, want %q", got, want)
			}
		}
		if got, want := read(t, conn, 1), failed("server unreachable; the request was not executed"); got[0] != want {
			t.Errorf("got  %s\nwant %s", got[0], want)
		}
	})
}

func TestConnEndsWithItsSession(t *testing.T) {
	b := methodServer(t,
		[2]string{"initialize\"", withSession(jsonResponse(welcome))},
		[2]string{"tools/call", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"})
	c := newConn(t, streamable.ClientOptions{URL: b.url})
	write(t, c, hello)
	read(t, c, 1)
	write(t, c, callTool)
	if got := read(t, c, 1); !strings.Contains(got[0], "session has ended") {
		t.Errorf("got %q", got)
	}
	var failure *transport.Failure
	if _, err := c.Read(testContext(t), make([]jsonrpc.Message, 1)); !errors.As(err, &failure) || failure.Cause != transport.SessionGone {
		t.Errorf("then %v", err)
	}
}

func TestConnCancels(t *testing.T) {
	const cancelled = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`
	for _, c := range []struct {
		name, request string
		told          bool // by the notification; otherwise by the end of the connection
	}{
		{"in a session", callTool, true},
		{"a single request", newCall, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked, ended, notified := make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
			var b *backend
			b = serve(t, func(conn net.Conn, nth int) bool {
				heads, _ := b.seen()
				if strings.Contains(heads[nth], "cancelled") {
					_, _ = io.WriteString(conn, accepted)
					notified <- struct{}{}
					return true
				}
				asked <- struct{}{}
				_, _ = io.WriteString(conn, eventHead)
				_, _ = conn.Read(make([]byte, 1))
				ended <- struct{}{}
				return false
			})
			conn := newConn(t, streamable.ClientOptions{URL: b.url})
			write(t, conn, c.request)
			<-asked
			write(t, conn, cancelled)
			if c.told {
				<-notified
				if heads, _ := b.seen(); len(heads) != 2 || !strings.Contains(heads[0], "tools/call") {
					t.Errorf("requests: %q", heads)
				}
				select {
				case <-ended:
					t.Error("the connection of the request ended")
				default:
				}
				return
			}
			<-ended
			_ = conn.Close()
			if heads, _ := b.seen(); len(heads) > 1 {
				t.Errorf("requests: %q", heads)
			}
		})
	}
}

func TestConnIsCrowded(t *testing.T) {
	b := methodServer(t, [2]string{"tools/call", ""})
	c := newConn(t, streamable.ClientOptions{URL: b.url})
	write(t, c, callTool)
	write(t, c, callTool) // the same id again
	if got := read(t, c, 1); !strings.Contains(got[0], "not asked for the moment; the request was not executed") {
		t.Errorf("got %q", got)
	}
	if heads, _ := b.seen(); len(heads) > 1 {
		t.Errorf("requests: %q", heads)
	}
}

// Whoever has an answer may use its id again at once.
func TestConnTakesAnIDAgain(t *testing.T) {
	b := methodServer(t, [2]string{"tools/call", jsonResponse(answer)})
	c := newConn(t, streamable.ClientOptions{URL: b.url})
	for i := range 500 {
		write(t, c, callTool)
		if got := read(t, c, 1); got[0] != answer {
			t.Fatalf("call %d: %s", i, got[0])
		}
	}
}

// A client that speaks over a pipe knows nothing of headers: the connection adds those that the server's tools ask for.
func TestConnAddsParamHeaders(t *testing.T) {
	tool := func(name, properties string) string {
		return `{"name":"` + name + `","inputSchema":{"type":"object","properties":{` + properties + `}}}`
	}
	good := tool("t", `"region":{"type":"string","x-mcp-header":"Region"},"deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}},"plain":{"type":"string"}`)
	list := func(tools ...string) string {
		return `{"jsonrpc":"2.0","id":1,"result":{"tools":[` + strings.Join(tools, ",") + `],"resultType":"complete"}}`
	}
	bad := []string{
		tool("object", `"a":{"type":"object","x-mcp-header":"A"}`),
		tool("twice", `"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}`),
		tool("split", `"a":{"type":"string","x-mcp-header":"A\r\nB"}`),
		tool("empty", `"a":{"type":"string","x-mcp-header":""}`),
	}
	got := make(chan string, 8)
	server := paramServer(t, list(append([]string{good}, bad...)...), got)
	c := newConn(t, streamable.ClientOptions{URL: server})
	meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`
	write(t, c, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+meta+`}}`)
	if seen := read(t, c, 1); seen[0] != list(good) {
		t.Errorf("got  %s\nwant %s", seen[0], list(good))
	}
	for _, step := range []struct{ name, args, want string }{
		{"t", `"region":"eu west","deep":{"n":42},"plain":"x"`, "Mcp-Param-N=42 Mcp-Param-Region=eu west"},
		{"t", `"region":"ü","deep":{"n":42.0}`, "Mcp-Param-N=42 Mcp-Param-Region==?base64?w7w=?="},
		{"t", `"region":null`, ""},
		{"split", `"a":"x"`, ""},
	} {
		write(t, c, `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"`+step.name+`","arguments":{`+step.args+`},`+meta+`}}`)
		if seen := read(t, c, 1); seen[0] != answer {
			t.Fatalf("%s{%s}: answer %s", step.name, step.args, seen[0])
		}
		if headers := <-got; headers != step.want {
			t.Errorf("%s{%s}: got %q, want %q", step.name, step.args, headers, step.want)
		}
	}
}

// paramServer lists tools, and says of each call which Mcp-Param headers it had.
func paramServer(t *testing.T, list string, got chan<- string) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Mcp-Method") == "tools/list" {
			_, _ = io.WriteString(w, list)
			return
		}
		var params []string
		for name, values := range r.Header {
			if strings.HasPrefix(name, "Mcp-Param-") {
				params = append(params, name+"="+strings.Join(values, "|"))
			}
		}
		slices.Sort(params)
		got <- strings.Join(params, " ")
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.URL
}
