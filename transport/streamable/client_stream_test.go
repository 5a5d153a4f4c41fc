package streamable_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/streamable"
)

const newCall = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`

func event(data string) string { return "data: " + data + "\n\n" }

func TestWhatStreamsBring(t *testing.T) {
	const (
		bad   = "server gave an invalid answer"
		broke = "server unreachable"
	)
	ask := `{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}`
	for _, c := range []struct {
		name, events string
		want         arrivals
		end          string
	}{
		{"an answer", event(answer), arrivals{answer}, ""},
		{"what belongs to the request, then the answer", event(report) + event(ask) + event(answer), arrivals{report, ask, answer}, ""},
		{"nothing after the answer", event(answer) + event(report), arrivals{answer}, ""},
		{"ids and times", "id: 1\nretry: 20\ndata:\n\nid: 2\n" + event(answer), arrivals{"id=1 retry=20ms", "id=2 " + answer}, ""},
		{"comments and other types", ": hello\n\nevent: x\n" + event("junk") + "event: message\n" + event(answer), arrivals{answer}, ""},
		{"data on several lines", "data: {\"jsonrpc\":\"2.0\",\r\ndata: \"id\":7,\"result\":{\"content\":[]}}\r\n\r\n", arrivals{answer}, ""},
		{"an error without an id", event(`{"jsonrpc":"2.0","error":{"code":1,"message":"no"}}`), arrivals{`{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"no"}}`}, ""},
		{"the answer to another request", event(report) + event(strings.Replace(answer, "7", "8", 1)), arrivals{report}, bad},
		{"a batch", event("[" + answer + "]"), nil, bad},
		{"junk", event("hello"), nil, bad},
		{"no answer", event(report), arrivals{report}, broke},
		{"an answer that breaks off", "data: " + answer, nil, broke},
		{"an event that is too long", event(`"` + strings.Repeat("x", 2<<20) + `"`), nil, bad},
		{"a line that does not end", "data: " + strings.Repeat("x", 4<<20), nil, bad},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := serve(t, always(eventHead+c.events))
			client := newClient(t, streamable.ClientOptions{URL: b.url, MaxMessage: 1 << 20})
			var got arrivals
			err := client.Call(testContext(t), message(t, newCall), got.take)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("arrivals (-want +got):\n%s", diff)
			}
			if end := outcome(err); end != c.end {
				t.Errorf("ended with %q (%v), want %q", end, err, c.end)
			}
		})
	}
}

func TestEventsArriveAsTheyCome(t *testing.T) {
	next := make(chan struct{})
	b := serve(t, func(conn net.Conn, _ int) bool {
		_, _ = io.WriteString(conn, eventHead)
		for range 3 {
			_, _ = io.WriteString(conn, event(report))
			<-next
		}
		_, _ = io.WriteString(conn, event(answer))
		return false
	})
	client := newClient(t, streamable.ClientOptions{URL: b.url})
	n := 0
	err := client.Call(testContext(t), message(t, callTool), func(transport.Arrival) error {
		if n++; n <= 3 {
			next <- struct{}{} // the server sends no more before this one was here
		}
		return nil
	})
	if err != nil || n != 4 {
		t.Errorf("%d arrivals and %v, want 4", n, err)
	}
}

func TestStreamsAreResumed(t *testing.T) {
	const first = "id: a1\nretry: 1\ndata:\n\n"
	gone := "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	down := "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
	none := "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n"
	for _, c := range []struct {
		name, request string
		responses     []string // the last one for all that follow
		want          arrivals
		end           string
		requests      []string
	}{
		{"at once", callTool, []string{eventHead + first, eventHead + "id: a2\n" + event(answer)},
			arrivals{"id=a1 retry=1ms", "id=a2 " + answer}, "", []string{"POST", "GET Last-Event-Id=a1"}},
		{"again and again", callTool, []string{eventHead + first, eventHead + "id: a2\n" + event(report), eventHead, down, "", eventHead + event(answer)},
			arrivals{"id=a1 retry=1ms", "id=a2 " + report, answer}, "",
			[]string{"POST", "GET Last-Event-Id=a1", "GET Last-Event-Id=a2", "GET Last-Event-Id=a2", "GET Last-Event-Id=a2", "GET Last-Event-Id=a2"}},
		{"not for ever", callTool, []string{eventHead + first, eventHead}, arrivals{"id=a1 retry=1ms"}, "server unreachable",
			[]string{"POST", "GET Last-Event-Id=a1", "GET Last-Event-Id=a1", "GET Last-Event-Id=a1", "GET Last-Event-Id=a1", "GET Last-Event-Id=a1"}},
		{"not where that is not offered", callTool, []string{eventHead + first, none}, arrivals{"id=a1 retry=1ms"}, "server unreachable 405",
			[]string{"POST", "GET Last-Event-Id=a1"}},
		{"not without a session", callTool, []string{eventHead + first, gone}, arrivals{"id=a1 retry=1ms"}, "server unreachable 404",
			[]string{"POST", "GET Last-Event-Id=a1"}},
		{"not without an id", callTool, []string{eventHead + "retry: 1\n\n"}, arrivals{"retry=1ms"}, "server unreachable", []string{"POST"}},
		{"not in the modern era", newCall, []string{eventHead + first}, arrivals{"id=a1 retry=1ms"}, "server unreachable",
			[]string{"POST"}},
		{"not with another's answer", callTool, []string{eventHead + first, eventHead + event(strings.Replace(answer, "7", "8", 1))},
			arrivals{"id=a1 retry=1ms"}, "server gave an invalid answer", []string{"POST", "GET Last-Event-Id=a1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := serve(t, func(conn net.Conn, nth int) bool {
				_, _ = io.WriteString(conn, c.responses[min(nth, len(c.responses)-1)])
				return false
			})
			client := newClient(t, streamable.ClientOptions{URL: b.url})
			var got arrivals
			err := client.Call(testContext(t), message(t, c.request), got.take)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("arrivals (-want +got):\n%s", diff)
			}
			if end := outcome(err); end != c.end {
				t.Errorf("ended with %q (%v), want %q", end, err, c.end)
			}
			heads, _ := b.seen()
			for i, head := range heads {
				method, rest, _ := strings.Cut(head, " ")
				heads[i] = method
				if _, id, ok := strings.Cut(rest, "Last-Event-Id="); ok {
					heads[i] += " Last-Event-Id=" + id
				}
			}
			if diff := cmp.Diff(c.requests, heads); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConnectionOfAStreamIsUsedAgain(t *testing.T) {
	chunk := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }
	b := serve(t, func(conn net.Conn, _ int) bool {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk(event(answer)))
		_, _ = io.WriteString(conn, "0\r\n\r\n") // a server ends the stream a moment after the answer
		return true
	})
	client := newClient(t, streamable.ClientOptions{URL: b.url})
	for range 20 {
		if err := client.Call(testContext(t), message(t, callTool), new(arrivals).take); err != nil {
			t.Fatal(err)
		}
	}
	if _, conns := b.seen(); conns > 5 { // a busy machine may be late now and then
		t.Errorf("%d connections for 20 calls", conns)
	}
}

func TestYieldEndsACall(t *testing.T) {
	b := serve(t, func(conn net.Conn, _ int) bool {
		_, _ = io.WriteString(conn, eventHead+"id: 1\n"+event(report))
		_, _ = conn.Read(make([]byte, 1)) // returns when the client closes
		return false
	})
	client := newClient(t, streamable.ClientOptions{URL: b.url})
	enough := errors.New("enough")
	if err := client.Call(testContext(t), message(t, callTool), func(transport.Arrival) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v, want what yield returned", err)
	}
}

func TestListen(t *testing.T) {
	for _, c := range []struct {
		name, response string
		want           arrivals
		end            string
	}{
		{"what comes", eventHead + "id: 5\n" + event(report) + event(answer), arrivals{"", "id=5 " + report, answer}, ""}, // the empty one: the stream is open
		{"no such stream", "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n", nil, transport.ErrNoStream.Error()},
		{"JSON", jsonResponse(answer), nil, "server gave an invalid answer"},
		{"junk", eventHead + event("hello"), arrivals{""}, "server gave an invalid answer"},
		{"refused", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", nil, "server refused the request 400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := serve(t, always(c.response))
			client := newClient(t, streamable.ClientOptions{URL: b.url})
			var got arrivals
			err := client.Listen(testContext(t), "4", got.take)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("arrivals (-want +got):\n%s", diff)
			}
			if end := outcome(err); end != c.end {
				t.Errorf("ended with %q (%v), want %q", end, err, c.end)
			}
			if heads, _ := b.seen(); len(heads) != 1 || heads[0] != "GET /mcp Last-Event-Id=4" {
				t.Errorf("requests: %q", heads)
			}
		})
	}
}

func TestSilentStreamOutlivesTheTimeout(t *testing.T) {
	const timeout = 100 * time.Millisecond
	b := serve(t, func(conn net.Conn, _ int) bool {
		_, _ = io.WriteString(conn, eventHead)
		<-time.After(3 * timeout)
		_, _ = io.WriteString(conn, event(`{"jsonrpc":"2.0","id":7,"result":{}}`))
		return false
	})
	client := newClient(t, streamable.ClientOptions{URL: b.url, Timeout: timeout})
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var got arrivals
	if err := client.Listen(ctx, "", got.take); err != nil || len(got) != 2 || got[0] != "" {
		t.Errorf("Listen: %q, %v", got, err)
	}
	if err := client.Call(ctx, message(t, `{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":{}}`), got.take); err != nil {
		t.Errorf("subscriptions/listen: %v", err)
	}
	if err := client.Call(ctx, message(t, callTool), got.take); outcome(err) != "server did not answer in time" {
		t.Errorf("tools/call: %v", err)
	}
}
