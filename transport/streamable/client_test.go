package streamable_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/streamable"
)

// A backend answers on a raw socket, byte by byte as a test wants it.
type backend struct {
	url string

	mu    sync.Mutex
	heads []string // of the requests, with their bodies; guarded by mu
	conns int      // guarded by mu
}

// serve starts a backend. script is called for each request of each connection, which it ends by returning false.
func serve(t testing.TB, script func(conn net.Conn, nth int) bool) *backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{url: "http://" + l.Addr().String() + "/mcp"}
	var work sync.WaitGroup
	var open sync.Map
	t.Cleanup(func() {
		_ = l.Close()
		open.Range(func(conn, _ any) bool { return conn.(net.Conn).Close() == nil || true })
		work.Wait()
	})
	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Store(conn, nil)
			b.mu.Lock()
			b.conns++
			b.mu.Unlock()
			work.Go(func() {
				defer conn.Close()
				b.talk(conn, script)
			})
		}
	})
	return b
}

func (b *backend) talk(conn net.Conn, script func(net.Conn, int) bool) {
	r := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		b.mu.Lock()
		nth := len(b.heads)
		b.heads = append(b.heads, describe(req, body))
		b.mu.Unlock()
		if !script(conn, nth) {
			return
		}
	}
}

// describe is what of a request matters here.
func describe(r *http.Request, body []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", r.Method, r.URL)
	for _, name := range []string{"Mcp-Session-Id", "Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Last-Event-Id", "Authorization", "Traceparent", "Tracestate", "X"} {
		if v, ok := r.Header[name]; ok {
			fmt.Fprintf(&b, " %s=%s", name, strings.Join(v, "|"))
		}
	}
	if len(body) > 0 {
		fmt.Fprintf(&b, " %s", body)
	}
	return b.String()
}

func (b *backend) seen() ([]string, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.heads...), b.conns
}

// always answers every request with the same bytes; they end the connection if they say so.
func always(response string) func(net.Conn, int) bool {
	return func(conn net.Conn, _ int) bool {
		_, err := io.WriteString(conn, response)
		return err == nil && !strings.Contains(response, "Connection: close")
	}
}

func jsonResponse(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

const eventHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

func newClient(t testing.TB, opt streamable.ClientOptions) *streamable.Client {
	t.Helper()
	pool, err := streamable.NewPool(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	client := streamable.NewClient(pool)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func message(t testing.TB, text string) *jsonrpc.Message {
	t.Helper()
	m := &jsonrpc.Message{}
	if fault := jsonrpc.Scan([]byte(text), m); fault != nil {
		t.Fatalf("%s: %v", text, fault)
	}
	return m
}

// arrivals collects what a call brings, one line each.
type arrivals []string

func (a *arrivals) take(got transport.Arrival) error {
	line := ""
	if got.Status != 0 {
		line = fmt.Sprintf("%d ", got.Status)
	}
	if got.EventID != "" {
		line += "id=" + got.EventID + " "
	}
	if got.Retry != 0 {
		line += "retry=" + got.Retry.String() + " "
	}
	if got.Message != nil {
		line += string(got.Message.Raw)
	}
	*a = append(*a, strings.TrimSuffix(line, " "))
	return nil
}

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// outcome says how a call ended: "" or a failure.
func outcome(err error) string {
	var failure *transport.Failure
	switch {
	case err == nil:
		return ""
	case errors.As(err, &failure) && failure.RetryAfter != 0:
		return fmt.Sprintf("%s %d after %v", failure.Cause, failure.Status, failure.RetryAfter)
	case errors.As(err, &failure) && failure.Status != 0:
		return fmt.Sprintf("%s %d", failure.Cause, failure.Status)
	case errors.As(err, &failure):
		return failure.Cause.String()
	}
	return err.Error()
}

const (
	callTool = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t"}}`
	answer   = `{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`
	report   = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`
)

func TestWhatServersAnswer(t *testing.T) {
	const (
		bad     = "server gave an invalid answer"
		broke   = "server unreachable"
		refused = "server refused the request"
		errIt   = `{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no"}}`
	)
	with := func(status, fields, body string) string {
		return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, fields, len(body), body)
	}
	typed := func(status, body string) string { return with(status, "Content-Type: application/json\r\n", body) }
	chunked := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, c := range []struct {
		name, response string
		want           arrivals
		end            string
	}{
		{"JSON", jsonResponse(answer), arrivals{"200 " + answer}, ""},
		{"JSON with space, made compact", jsonResponse("{\r\n \"jsonrpc\": \"2.0\",\r\n \"id\": 7, \"result\": {\"content\": []}}\n"), arrivals{"200 " + answer}, ""},
		{"a charset", with("200 OK", "Content-Type: Application/JSON; charset=\"UTF-8\"\r\n", answer), arrivals{"200 " + answer}, ""},
		{"another charset", with("200 OK", "Content-Type: application/json; charset=utf-16\r\n", answer), nil, bad},
		{"until the connection ends", "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + answer, arrivals{"200 " + answer}, ""},
		{"chunks", chunked + "5;x=y\r\n" + answer[:5] + "\r\n" + fmt.Sprintf("%X", len(answer)-5) + "\r\n" + answer[5:] + "\r\n0\r\nTrailer: x\r\n\r\n", arrivals{"200 " + answer}, ""},
		{"interim responses", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + jsonResponse(answer), arrivals{"200 " + answer}, ""},
		{"no end of interim responses", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 5000), nil, bad},
		{"another protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", nil, bad},
		{"an error", typed("404 Not Found", errIt), arrivals{"404 " + errIt}, ""},
		{"an error without an id", typed("400 Bad Request", `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no","data":1}}`),
			arrivals{`400 {"jsonrpc":"2.0","id":7,"error":{"code":-32700,"message":"no","data":1}}`}, ""},
		{"another's error", typed("400 Bad Request", strings.Replace(errIt, "7", "8", 1)), nil, refused + " 400"},
		{"a result with an HTTP error", typed("400 Bad Request", answer), nil, refused + " 400"},
		{"a policy's error", typed("403 Forbidden", errIt), arrivals{"403 " + errIt}, ""},
		{"a proxy's error", typed("403 Forbidden", strings.Replace(errIt, "7", "null", 1)), nil, refused + " 403"},
		{"credentials", with("401 Unauthorized", "WWW-Authenticate: Bearer\r\nContent-Type: application/json\r\n", errIt), nil, refused + " 401"},
		{"credentials for a proxy", typed("407 Proxy Authentication Required", errIt), nil, refused + " 407"},
		{"too many", with("429 Too Many Requests", "Retry-After: 7\r\n", "slow down"), nil, refused + " 429 after 7s"},
		{"failed", typed("500 Internal Server Error", errIt), nil, refused + " 500"},
		{"for a while", with("503 Service Unavailable", "Retry-After: 99999999\r\n", ""), nil, refused + " 503 after 24h0m0s"},
		{"a redirect", with("307 Temporary Redirect", "Location: http://127.0.0.1:1/\r\n", ""), nil, refused + " 307"},
		{"accepted", "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", nil, bad},
		{"nothing", "HTTP/1.1 204 No Content\r\n\r\n", nil, bad},
		{"an empty body", jsonResponse(""), nil, bad},
		{"the answer to another request", jsonResponse(strings.Replace(answer, "7", "8", 1)), nil, bad},
		{"the same number as text", jsonResponse(strings.Replace(answer, "7", `"7"`, 1)), nil, bad},
		{"no answer", jsonResponse(report), nil, bad},
		{"a request", jsonResponse(`{"jsonrpc":"2.0","id":7,"method":"ping"}`), nil, bad},
		{"a batch", jsonResponse("[" + answer + "]"), nil, bad},
		{"two answers", jsonResponse(answer + answer), nil, bad},
		{"a name twice", jsonResponse(`{"jsonrpc":"2.0","id":7,"id":7,"result":{}}`), nil, bad},
		{"deep", jsonResponse(`{"jsonrpc":"2.0","id":7,"result":{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}`), nil, bad},
		{"large", jsonResponse(`{"jsonrpc":"2.0","id":7,"result":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`), nil, bad},
		{"large, in chunks", chunked + "200000\r\n" + strings.Repeat(" ", 0x200000) + "\r\n0\r\n\r\n", nil, bad},
		{"text", with("200 OK", "Content-Type: text/plain\r\n", answer), nil, bad},
		{"no media type", with("200 OK", "", answer), nil, bad},
		{"two media types", with("200 OK", "Content-Type: text/event-stream\r\nContent-Type: application/json\r\n", answer), nil, bad},
		{"compressed", with("200 OK", "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", "\x1f\x8b"), nil, bad},
		{"identity", with("200 OK", "Content-Type: application/json\r\nContent-Encoding: identity\r\n", answer), arrivals{"200 " + answer}, ""},
		{"shorter than it says", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\nConnection: close\r\n\r\n" + answer, nil, broke},
		{"longer than it says", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n" + answer, nil, bad},
		{"says more than may be", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n" + answer, nil, bad},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", nil, bad},
		{"a signed length", "HTTP/1.1 200 OK\r\nContent-Length: +48\r\n\r\n", nil, bad},
		{"two framings", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", nil, bad},
		{"another framing", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", nil, bad},
		{"chunks of an old version", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", nil, bad},
		{"a chunk without a size", chunked + "x\r\n", nil, bad},
		{"a chunk of a huge size", chunked + "ffffffffffffffffff\r\n", nil, bad},
		{"a chunk longer than it says", chunked + "2\r\n{}}\r\n0\r\n\r\n", nil, bad},
		{"an endless chunk extension", chunked + "2;" + strings.Repeat("x", 2000) + "\r\n{}\r\n0\r\n\r\n", nil, bad},
		{"chunks that break off", chunked + "5\r\n" + answer[:5] + "\r\nConnection: close", nil, broke},
		{"a flood of headers", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 20000), nil, bad},
		{"a folded header", "HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", nil, bad},
		{"space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n", nil, bad},
		{"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n", nil, bad},
		{"a NUL", "HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", nil, bad},
		{"another version", "HTTP/2.0 200 OK\r\n\r\n", nil, bad},
		{"no HTTP", "SSH-2.0-OpenSSH_9.7\r\n\r\n", nil, bad},
		{"the end", "Connection: close", nil, broke},
		{"a session id that splits", with("200 OK", "Content-Type: application/json\r\nMcp-Session-Id: a b\r\n", answer), nil, bad},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := serve(t, func(conn net.Conn, _ int) bool {
				response, ends := strings.CutSuffix(c.response, "Connection: close")
				_, err := io.WriteString(conn, response)
				return err == nil && !ends && !strings.Contains(c.response, "Connection: close") && !strings.HasPrefix(c.response, "HTTP/1.0")
			})
			client := newClient(t, streamable.ClientOptions{URL: b.url, MaxMessage: 1 << 20, Timeout: 10 * time.Second})
			var got arrivals
			err := client.Call(testContext(t), message(t, callTool), got.take)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("arrivals (-want +got):\n%s", diff)
			}
			if end := outcome(err); end != c.end {
				t.Errorf("ended with %q (%v), want %q", end, err, c.end)
			}
		})
	}
}
