package streamable

import (
	"bytes"
	"strconv"
	"time"
)

// A media is what a body claims to be.
type media uint8

const (
	mediaNone  media = iota // it says nothing
	mediaOther              // what no MCP server answers with
	mediaJSON
	mediaEvents
)

// A head is what is read of a response's head. Everything else in it is checked and dropped.
type head struct {
	status     int
	length     int64         // of the body, -1: not said
	chunked    bool          // the body comes in chunks
	last       bool          // the connection ends with this response
	media      media         // of the body
	encoded    bool          // the body is not what it would be as it is
	session    string        // Mcp-Session-Id
	retryAfter time.Duration // 0: not said
}

// A malformed is a response that is none, or that two readers could read differently.
type malformed string

func (m malformed) Error() string { return "malformed HTTP response: " + string(m) }

// maxSession bounds a session id, in bytes: some servers put a signed token there.
const maxSession = 4 << 10

// parse reads a whole head, from the status line to the empty line (RFC 9112). It takes nothing that it need not take: no
// bare line feeds, no folded lines, no two framings.
func (h *head) parse(b []byte) error {
	*h = head{length: -1}
	line, b, err := cutLine(b)
	if err != nil {
		return err
	}
	if err := h.statusLine(line); err != nil {
		return err
	}
	old := h.last // HTTP/1.0, which has no chunks
	seen := seenFields{}
	for {
		if line, b, err = cutLine(b); err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 0 || !token(line[:colon]) {
			return malformed("a header line without a name")
		}
		value := bytes.Trim(line[colon+1:], " \t")
		if !fieldValue(value) {
			return malformed("a control character in a header")
		}
		if err := h.field(line[:colon], value, &seen); err != nil {
			return err
		}
	}
	if h.chunked && h.length >= 0 {
		return malformed("both Transfer-Encoding and Content-Length")
	}
	if h.chunked && old {
		return malformed("Transfer-Encoding in HTTP/1.0")
	}
	if h.status < 200 || h.status == 204 || h.status == 304 {
		h.length, h.chunked = 0, false
	}
	return nil
}

func cutLine(b []byte) (line, rest []byte, err error) {
	end := bytes.IndexByte(b, '\n')
	if end < 1 || b[end-1] != '\r' {
		return nil, nil, malformed("a line that does not end in CR LF")
	}
	return b[:end-1], b[end+1:], nil
}

func (h *head) statusLine(line []byte) error {
	const version, code, phrase = len("HTTP/1.x"), len("HTTP/1.x "), len("HTTP/1.x 200")
	if len(line) < phrase || string(line[:version-1]) != "HTTP/1." || line[version] != ' ' || len(line) > phrase && line[phrase] != ' ' {
		return malformed("no status line of HTTP/1")
	}
	switch line[version-1] {
	case '0':
		h.last = true
	case '1':
	default:
		return malformed("no status line of HTTP/1")
	}
	for _, c := range line[code:phrase] {
		if c < '0' || c > '9' {
			return malformed("no status")
		}
		h.status = 10*h.status + int(c-'0')
	}
	if h.status < 100 || h.status > 599 || !fieldValue(bytes.Trim(line[phrase:], " \t")) {
		return malformed("no status")
	}
	return nil
}

// seenFields are those of which one is enough.
type seenFields struct{ media, session bool }

func (h *head) field(name, value []byte, seen *seenFields) error {
	switch len(name) {
	case len("Connection"):
		if fold(name, "connection") {
			for option := range bytes.SplitSeq(value, []byte{','}) {
				h.last = h.last || fold(bytes.Trim(option, " \t"), "close")
			}
		}
	case len("Retry-After"):
		if fold(name, "retry-after") {
			h.retryAfter = retryTime(value)
		}
	case len("Content-Type"):
		if fold(name, "content-type") {
			if seen.media {
				return malformed("Content-Type twice")
			}
			seen.media = true
			h.media = mediaOf(value)
		}
	case len("Content-Length"): // and Mcp-Session-Id
		switch {
		case fold(name, "content-length"):
			return h.contentLength(value)
		case fold(name, "mcp-session-id"):
			if seen.session || !visible(value) || len(value) > maxSession {
				return malformed("an Mcp-Session-Id that is not one visible word")
			}
			seen.session = true
			h.session = string(value)
		}
	case len("Content-Encoding"):
		if fold(name, "content-encoding") {
			h.encoded = h.encoded || !fold(value, "identity")
		}
	case len("Transfer-Encoding"):
		if fold(name, "transfer-encoding") {
			if h.chunked || !fold(value, "chunked") {
				return malformed("a Transfer-Encoding that is not chunked alone")
			}
			h.chunked = true
		}
	}
	return nil
}

// contentLength takes one number, or the same one several times (RFC 9110 section 8.6).
func (h *head) contentLength(value []byte) error {
	const most = 18 // digits, which fit
	if len(value) == 0 || len(value) > most {
		return malformed("a Content-Length that is no number")
	}
	var n int64
	for _, c := range value {
		if c < '0' || c > '9' {
			return malformed("a Content-Length that is no number")
		}
		n = 10*n + int64(c-'0')
	}
	if h.length >= 0 && h.length != n {
		return malformed("two lengths")
	}
	h.length = n
	return nil
}

func mediaOf(value []byte) media {
	kind, params, _ := bytes.Cut(value, []byte{';'})
	for param := range bytes.SplitSeq(params, []byte{';'}) {
		key, charset, _ := bytes.Cut(bytes.Trim(param, " \t"), []byte{'='})
		charset = bytes.Trim(charset, `"`)
		if fold(key, "charset") && !fold(charset, "utf-8") && !fold(charset, "utf8") {
			return mediaOther
		}
	}
	switch kind = bytes.Trim(kind, " \t"); {
	case fold(kind, "application/json"):
		return mediaJSON
	case fold(kind, "text/event-stream"):
		return mediaEvents
	}
	return mediaOther
}

// retryTime reads seconds or a date; 0: it says nothing that could be followed.
func retryTime(value []byte) time.Duration {
	const longest = 24 * time.Hour
	wait := time.Duration(0)
	if seconds, err := strconv.ParseUint(string(value), 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if date, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", string(value)); err == nil {
		wait = time.Until(date)
	}
	return min(max(wait, 0), longest)
}

// fold reports whether text is the word, which is lower-case ASCII, in any case.
func fold(text []byte, word string) bool {
	if len(text) != len(word) {
		return false
	}
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}
