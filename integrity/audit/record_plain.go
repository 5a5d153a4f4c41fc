package audit

import (
	"bytes"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// written are the members of an event in the order in which a Log writes them.
var written = [...]string{
	"time", "id", "seq", "prev", "source", "instance", "host", "user", "server", "client", "client_info", "server_info", "session",
	"era", "request_id", "method", "target", "decision", "rule", "reason", "outcome", "latency_ms", "bytes_in", "bytes_out",
	"trace_id", "args", "kind",
}

// readWritten reads a line as a Log writes nearly all of its lines: known members in their order, without a space but those
// that fill up a page, and no text with an escape. Whoever reads many events spends most of the time on this, and the order alone
// says that no name is there twice. It reports false of any other line, which may be an event all the same: then r is not to be used.
func (r *Record) readWritten(line []byte) bool {
	if len(line) == 0 || line[0] != '{' {
		return false
	}
	next := 0 // of written
	for at := 1; ; at++ {
		name, ok := plainText(line[at:])
		if !ok {
			return false
		}
		for next < len(written) && written[next] != string(name) {
			next++
		}
		if next == len(written) {
			return false
		}
		if at += len(name) + len(`""`); at >= len(line) || line[at] != ':' {
			return false
		}
		at++
		n := r.readMember(written[next], line[at:])
		next++
		if at += n; n == 0 || at >= len(line) {
			return false
		}
		if line[at] == ',' {
			continue
		}
		return string(bytes.TrimLeft(line[at:], " ")) == "}"
	}
}

// readMember reads the value that b begins with. It returns how long the value is, 0 if it is none that a Log writes. Each text has
// memory of its own: who keeps the name of a tool must not keep the whole line.
func (r *Record) readMember(name string, b []byte) int {
	n := 0
	if text, ok := plainText(b); ok {
		n = len(text) + len(`""`)
		if to := r.text(name); to != nil {
			*to = string(text)
			return n
		}
	} else if n = plainNumber(b); n == 0 && len(b) > 0 && b[0] == '{' {
		if n = objectEnd(b); !jsontext.Value(b[:n]).IsValid() {
			return 0
		}
	}
	if n == 0 || r.set(name, b[:n]) != nil {
		return 0
	}
	return n
}

// plainText returns the JSON string that b begins with, if it has no escape.
func plainText(b []byte) (text []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, false
	}
	ascii := true
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			text = b[1:i]
			return text, ascii || utf8.Valid(text)
		case c == '\\' || c < ' ':
			return nil, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, false
}

// plainNumber returns how long the number is that b begins with, 0 if it is none, or none without sign and exponent.
func plainNumber(b []byte) int {
	whole := digitsIn(b)
	if whole == 0 || whole > 1 && b[0] == '0' {
		return 0
	}
	if whole == len(b) || b[whole] != '.' {
		return whole
	}
	fraction := digitsIn(b[whole+1:])
	if fraction == 0 {
		return 0
	}
	return whole + 1 + fraction
}

func digitsIn(b []byte) int {
	n := 0
	for n < len(b) && '0' <= b[n] && b[n] <= '9' {
		n++
	}
	return n
}

// objectEnd returns where the braces close that b begins with, 0 if they do not.
func objectEnd(b []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}
