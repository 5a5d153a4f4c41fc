package streamable_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/streamable"
)

// BenchmarkCall compares a Call with the same request through http.Transport, where the answer is read whole and scanned
// too.
func BenchmarkCall(b *testing.B) {
	for _, size := range []int{200, 10 << 10, 1 << 20} {
		body := fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":%q}]}}`, strings.Repeat("x", size))
		url := repeat(b, []byte(jsonResponse(body)))
		request := message(b, callTool)
		ctx := b.Context()
		b.Run(fmt.Sprintf("client/%d", size), func(b *testing.B) {
			client := newClient(b, streamable.ClientOptions{URL: url})
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if err := client.Call(ctx, request, func(transport.Arrival) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("net-http/%d", size), func(b *testing.B) {
			t := &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true}
			defer t.CloseIdleConnections()
			var text bytes.Buffer
			var scanner jsonrpc.Scanner
			var m jsonrpc.Message
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(request.Raw))
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Accept", "application/json, text/event-stream")
				response, err := t.RoundTrip(r)
				if err != nil {
					b.Fatal(err)
				}
				text.Reset()
				if _, err := io.Copy(&text, response.Body); err != nil {
					b.Fatal(err)
				}
				_ = response.Body.Close()
				if fault := scanner.Scan(text.Bytes(), &m); fault != nil {
					b.Fatal(fault)
				}
			}
		})
	}
}

// repeat starts a server that answers everything that comes in one piece with the same bytes, and does as little as possible.
func repeat(b *testing.B, response []byte) (url string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 64<<10)
				for n := 0; ; {
					got, err := conn.Read(buf[n:])
					if n += got; err != nil {
						return
					}
					if buf[n-1] == '}' { // net/http sends a head and its body one after the other
						if _, err := conn.Write(response); err != nil {
							return
						}
						n = 0
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String() + "/mcp"
}
