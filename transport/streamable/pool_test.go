package streamable_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/streamable"
)

func TestConnectionsAreUsedAgain(t *testing.T) {
	chunked := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n30\r\n" + answer + "\r\n0\r\n\r\n"
	for _, c := range []struct {
		name, response string
		conns          int // for ten calls
	}{
		{"a length", jsonResponse(answer), 1},
		{"chunks", chunked, 1},
		{"a refusal", "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nslow", 1},
		{"more than the response", jsonResponse(answer) + "HTTP/1.1 200 OK\r\n", 10},
		{"the end of it", strings.Replace(jsonResponse(answer), "\r\n", "\r\nConnection: Keep-Alive, Close\r\n", 1), 10},
		{"an old version", strings.Replace(jsonResponse(answer), "1.1", "1.0", 1), 10},
		{"the wrong length", strings.Replace(jsonResponse(answer), "48", "47", 1), 10},
		{"an invalid answer", jsonResponse("{}"), 1},
		{"a body that nobody reads", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 99999999\r\n\r\n", 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := serve(t, always(c.response))
			client := newClient(t, streamable.ClientOptions{URL: b.url})
			for range 10 {
				_ = client.Call(testContext(t), message(t, callTool), new(arrivals).take)
			}
			if heads, conns := b.seen(); conns != c.conns || len(heads) != 10 {
				t.Errorf("%d requests over %d connections, want 10 over %d", len(heads), conns, c.conns)
			}
		})
	}
}

func TestClosedIdleConnectionIsNotUsed(t *testing.T) {
	closed := make(chan struct{})
	b := serve(t, func(conn net.Conn, _ int) bool {
		_, _ = io.WriteString(conn, jsonResponse(answer))
		_ = conn.Close() // without a word in the response
		closed <- struct{}{}
		return false
	})
	client := newClient(t, streamable.ClientOptions{URL: b.url})
	for range 20 {
		if err := client.Call(testContext(t), message(t, callTool), new(arrivals).take); err != nil {
			t.Fatal(err)
		}
		<-closed
	}
}

// A request that was sent may have been executed. That the connection was an old one does not change that.
func TestNoRequestIsSentTwice(t *testing.T) {
	b := serve(t, func(conn net.Conn, nth int) bool {
		if nth%2 == 0 {
			_, _ = io.WriteString(conn, jsonResponse(answer))
			return true
		}
		return false
	})
	client := newClient(t, streamable.ClientOptions{URL: b.url})
	for i := range 6 {
		err := client.Call(testContext(t), message(t, callTool), new(arrivals).take)
		if want := i%2 == 1; (outcome(err) == "server unreachable") != want {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if heads, _ := b.seen(); len(heads) != 6 {
		t.Errorf("%d requests for 6 calls", len(heads))
	}
}

func TestContextEndsACallAtOnce(t *testing.T) {
	for _, c := range []struct{ name, response string }{
		{"before the head", ""},
		{"in a body", strings.Replace(jsonResponse(answer), "48", "4800", 1)},
		{"in a stream", strings.Replace(eventHead, "Connection: close\r\n", "", 1) + event(report)},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked, ended := make(chan struct{}), make(chan error)
			b := serve(t, func(conn net.Conn, _ int) bool {
				_, _ = io.WriteString(conn, c.response)
				close(asked)
				_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
				_, err := conn.Read(make([]byte, 1))
				ended <- err
				return false
			})
			client := newClient(t, streamable.ClientOptions{URL: b.url})
			ctx, cancel := context.WithCancel(testContext(t))
			go func() { <-asked; cancel() }()
			if err := client.Call(ctx, message(t, callTool), new(arrivals).take); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if err := <-ended; errors.Is(err, context.DeadlineExceeded) || err == nil {
				t.Errorf("the server read %v, want the end", err)
			}
		})
	}
	t.Run("before it begins", func(t *testing.T) {
		b := serve(t, always(jsonResponse(answer)))
		ctx, cancel := context.WithCancel(testContext(t))
		cancel()
		client := newClient(t, streamable.ClientOptions{URL: b.url})
		if err := client.Call(ctx, message(t, callTool), new(arrivals).take); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if heads, conns := b.seen(); len(heads)+conns > 0 {
			t.Errorf("the server saw %q", heads)
		}
	})
}

func TestOnlySilenceTimesOut(t *testing.T) {
	const timeout = 150 * time.Millisecond
	slow := func(pieces int) func(net.Conn, int) bool {
		return func(conn net.Conn, _ int) bool {
			response := jsonResponse(answer)
			step := len(response)/pieces + 1
			for len(response) > 0 {
				n := min(step, len(response))
				_, _ = io.WriteString(conn, response[:n])
				response = response[n:]
				<-time.After(timeout / 3)
			}
			return true
		}
	}
	b := serve(t, slow(12)) // four times the timeout
	client := newClient(t, streamable.ClientOptions{URL: b.url, Timeout: timeout})
	for range 2 { // the second on the same connection
		if err := client.Call(testContext(t), message(t, callTool), new(arrivals).take); err != nil {
			t.Errorf("a slow answer: %v", err)
		}
	}
	for _, part := range []string{"", jsonResponse(answer)[:20], jsonResponse(answer)[:90]} {
		silent := serve(t, func(conn net.Conn, _ int) bool {
			_, _ = io.WriteString(conn, part)
			_, _ = conn.Read(make([]byte, 1))
			return false
		})
		client := newClient(t, streamable.ClientOptions{URL: silent.url, Timeout: timeout})
		start := time.Now()
		err := client.Call(testContext(t), message(t, callTool), new(arrivals).take)
		if took := time.Since(start); outcome(err) != "server did not answer in time" || took < timeout {
			t.Errorf("silence after %q: %v after %v", part, err, took)
		}
	}
}

func TestServerThatDoesNotRead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // the kernel accepts; nobody reads
	client := newClient(t, streamable.ClientOptions{URL: "http://" + l.Addr().String(), Timeout: 200 * time.Millisecond})
	large := message(t, `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"`+strings.Repeat("x", 16<<20)+`"}}`)
	if err := client.Call(testContext(t), large, new(arrivals).take); outcome(err) != "server did not answer in time" {
		t.Errorf("got %v", err)
	}
}

func TestLongMessagesBothWays(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 3<<16)
	long := `{"jsonrpc":"2.0","id":7,"result":{"text":"` + text + `"}}`
	for _, secure := range []bool{false, true} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || !strings.Contains(string(body), text) || r.ProtoMajor != 1 {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, long) // in chunks
		}))
		opt := streamable.ClientOptions{}
		var conns atomic.Int32
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				conns.Add(1)
			}
		}
		if secure {
			s.EnableHTTP2 = true // offered, and not taken
			s.StartTLS()
			authorities := x509.NewCertPool()
			authorities.AddCert(s.Certificate())
			opt.TLS = &tls.Config{RootCAs: authorities}
		} else {
			s.Start()
		}
		defer s.Close()
		opt.URL = s.URL
		client := newClient(t, opt)
		request := message(t, `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t","arguments":{"text":"`+text+`"}}}`)
		for range 3 {
			var got arrivals
			if err := client.Call(testContext(t), request, got.take); err != nil || len(got) != 1 || got[0] != "200 "+long {
				t.Errorf("secure %v: %d arrivals, %v", secure, len(got), err)
			}
		}
		if n := conns.Load(); n != 1 {
			t.Errorf("secure %v: %d connections", secure, n)
		}
	}
}

func TestUnknownAuthorityIsRefused(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	client := newClient(t, streamable.ClientOptions{URL: s.URL})
	err := client.Call(testContext(t), message(t, callTool), new(arrivals).take)
	var unknown x509.UnknownAuthorityError
	if outcome(err) != "server unreachable" || !errors.As(err, &unknown) {
		t.Errorf("got %v", err)
	}
}

func TestIdleConnectionsEnd(t *testing.T) {
	ended := make(chan struct{}, 10)
	b := serve(t, func(conn net.Conn, _ int) bool {
		_, _ = io.WriteString(conn, jsonResponse(answer))
		_, err := conn.Read(make([]byte, 1))
		if err != nil {
			ended <- struct{}{}
		}
		return false
	})
	for _, c := range []struct {
		name string
		opt  streamable.ClientOptions
		kept int // of four, until the pool is closed
	}{
		{"in time", streamable.ClientOptions{IdleTimeout: 50 * time.Millisecond}, 0},
		{"beyond the limit", streamable.ClientOptions{MaxIdle: 3}, 3},
		{"with the pool", streamable.ClientOptions{}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.opt.URL = b.url
			pool, err := streamable.NewPool(c.opt)
			if err != nil {
				t.Fatal(err)
			}
			client := streamable.NewClient(pool)
			var all, calls sync.WaitGroup
			all.Add(4)
			for range 4 {
				calls.Go(func() {
					_ = client.Call(testContext(t), message(t, callTool), func(transport.Arrival) error {
						all.Done()
						all.Wait() // four connections at once
						return nil
					})
				})
			}
			calls.Wait()
			for range 4 - c.kept {
				<-ended
			}
			select {
			case <-ended:
				t.Error("one more was closed")
			default:
			}
			_ = pool.Close()
			for range c.kept {
				<-ended
			}
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	const secret = "s3cret"
	header := func(name, value string) map[string]string { return map[string]string{name: value} }
	for _, c := range []struct {
		name string
		opt  streamable.ClientOptions
		want string // "" for none
	}{
		{"plain", streamable.ClientOptions{URL: "http://127.0.0.1:1/mcp?key=" + secret, Headers: header("X-Key", secret)}, ""},
		{"IPv6", streamable.ClientOptions{URL: "https://[::1]/mcp"}, ""},
		{"another host", streamable.ClientOptions{URL: "http://127.0.0.1:1", Headers: header("host", "a.example")}, ""},
		{"no URL", streamable.ClientOptions{URL: "\x00" + secret}, "parse URL"},
		{"another scheme", streamable.ClientOptions{URL: "ftp://" + secret}, "http://"},
		{"no host", streamable.ClientOptions{URL: "http:///" + secret}, "no host"},
		{"a user", streamable.ClientOptions{URL: "http://u:" + secret + "@h/"}, "headers"},
		{"a space", streamable.ClientOptions{URL: "http://h/?a b" + secret}, "escaped"},
		{"no header's name", streamable.ClientOptions{URL: "http://h", Headers: header("a b", secret)}, `"a b"`},
		{"a header that splits", streamable.ClientOptions{URL: "http://h", Headers: header("A", secret+"\r\nB: c")}, "control character"},
		{"a header of ours", streamable.ClientOptions{URL: "http://h", Headers: header("content-Length", secret)}, "set by the transport"},
		{"no host in Host", streamable.ClientOptions{URL: "http://h", Headers: header("Host", secret+" x")}, "host"},
	} {
		_, err := streamable.NewPool(c.opt)
		switch {
		case (err == nil) != (c.want == ""), err != nil && !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		case err != nil && strings.Contains(err.Error(), secret):
			t.Errorf("%s: the error tells a secret: %v", c.name, err)
		}
	}
}

// A server that sends something now and then, but no answer, does not hold a request for ever: neither in a stream, nor in a
// body, nor by streams that end and are resumed.
func TestDripEnds(t *testing.T) {
	const timeout = 40 * time.Millisecond
	drip := func(head, drop string) func(net.Conn, int) bool {
		return func(conn net.Conn, _ int) bool {
			for text := head; ; text = drop {
				if _, err := io.WriteString(conn, text); err != nil {
					return false
				}
				<-time.After(timeout / 4)
			}
		}
	}
	for name, script := range map[string]func(net.Conn, int) bool{
		"comments": drip(eventHead, ":\n\n"),
		"progress": drip(eventHead, event(report)),
		"a body":   drip("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n", " "),
		"resumed": func(conn net.Conn, _ int) bool {
			_, _ = io.WriteString(conn, eventHead+"id: 1\nretry: 10\n"+event(report))
			<-time.After(timeout / 4)
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := serve(t, script)
			client := newClient(t, streamable.ClientOptions{URL: b.url, Timeout: timeout})
			start := time.Now()
			err := client.Call(testContext(t), message(t, callTool), func(transport.Arrival) error { return nil })
			if outcome(err) != "server did not answer in time" {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
	}
}
