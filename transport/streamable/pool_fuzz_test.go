package streamable

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A tape is a connection of which only Read is used.
type tape struct {
	net.Conn
	io.Reader
}

func (t tape) Read(p []byte) (int, error) { return t.Reader.Read(p) }

// slowly gives a byte at a time.
type slowly struct{ io.Reader }

func (s slowly) Read(p []byte) (int, error) { return s.Reader.Read(p[:min(1, len(p))]) }

func readResponse(src io.Reader) (head, []byte, error) {
	var in inbound
	in.reset(tape{Reader: src})
	if err := in.readHead(); err != nil {
		return in.head, nil, err
	}
	body, err := in.whole(1 << 16)
	return in.head, bytes.Clone(body), err
}

// FuzzResponse holds what is read of a response against net/http: whatever is taken here must be taken there and mean the
// same, and how the bytes come must not matter.
func FuzzResponse(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\n{\r\n1\r\n}\r\n0\r\nX: y\r\n\r\nrest",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0;\r\r00\r00\r\n\r\n0",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n " + strings.Repeat("x", 100) + "\r\n\r\n",
		"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 404 Not Found\r\nconnection: close, x\r\n\r\nuntil the end",
		"HTTP/1.0 200 OK\r\nMcp-Session-Id: abc\r\nRetry-After: 3\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200 \r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nxy",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, body, err := readResponse(bytes.NewReader(raw))
		slowHead, slowBody, slowErr := readResponse(slowly{bytes.NewReader(raw)})
		if (err == nil) != (slowErr == nil) || h != slowHead || !bytes.Equal(body, slowBody) {
			t.Fatalf("at once %+v %q %v, slowly %+v %q %v", h, body, err, slowHead, slowBody, slowErr)
		}
		if err != nil {
			return
		}
		r := bufio.NewReader(bytes.NewReader(raw))
		response, err := http.ReadResponse(r, nil)
		for err == nil && response.StatusCode < 200 {
			response, err = http.ReadResponse(r, nil)
		}
		if err != nil {
			t.Fatalf("net/http does not take it: %v", err)
		}
		defer response.Body.Close()
		want, err := io.ReadAll(response.Body)
		if err != nil && !ofTrailers(err) {
			t.Fatalf("net/http does not take the body: %v", err)
		}
		if !bytes.Equal(body, want) || h.status != response.StatusCode || h.session != response.Header.Get("Mcp-Session-Id") {
			t.Errorf("got %+v %q, net/http %v %q", h, body, response, want)
		}
		if response.Close && !h.last {
			t.Errorf("%+v: net/http closes the connection", h)
		}
	})
}

// ofTrailers reports whether net/http, which had read the whole body, refuses what follows it and is passed over here.
func ofTrailers(err error) bool {
	text := err.Error()
	return strings.Contains(text, "trailer") || strings.Contains(text, "malformed MIME") ||
		text == "message too large" // textproto, of a first line that begins with a space
}

func TestHeaderValuesComeBack(t *testing.T) {
	for _, value := range []string{"", "a", "a b", " a", "a ", "\t", "ä", "a\r\nb", "=?base64?", "=?base64?YQ==?=", "\x7f", "?="} {
		encoded := string(appendEncoded(nil, []byte(value)))
		if got, ok := decodeHeader(encoded); !ok || got != value || !fieldValue(encoded) {
			t.Errorf("%q became %q and then %q, %v", value, encoded, got, ok)
		}
	}
}
