package audit

import (
	"strings"
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
	s := string(line) // the texts of r are parts of this copy
	if !strings.HasPrefix(s, "{") {
		return false
	}
	next := 0 // of written
	for at := 1; ; at++ {
		name, ok := plainText(s[at:])
		if !ok {
			return false
		}
		for next < len(written) && written[next] != name {
			next++
		}
		if next == len(written) {
			return false
		}
		next++
		if at += len(name) + len(`""`); at >= len(s) || s[at] != ':' {
			return false
		}
		at++
		n := r.readMember(name, s[at:], line[at:])
		if at += n; n == 0 || at >= len(s) {
			return false
		}
		if s[at] == ',' {
			continue
		}
		return strings.TrimLeft(s[at:], " ") == "}"
	}
}

// readMember reads the value that s begins with, and raw, which is the same. It returns how long the value is, 0 if it is none that a
// Log writes.
func (r *Record) readMember(name, s string, raw []byte) int {
	if text, ok := plainText(s); ok {
		n := len(text) + len(`""`)
		if to := r.text(name); to != nil {
			*to = text
			return n
		}
		if r.set(name, raw[:n]) != nil {
			return 0
		}
		return n
	}
	n := plainNumber(s)
	if n == 0 && strings.HasPrefix(s, "{") {
		if n = objectEnd(s); !jsontext.Value(raw[:n]).IsValid() {
			return 0
		}
	}
	if n == 0 || r.set(name, raw[:n]) != nil {
		return 0
	}
	return n
}

// plainText returns the JSON string that s begins with, if it has no escape.
func plainText(s string) (text string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", false
	}
	ascii := true
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			text = s[1:i]
			return text, ascii || utf8.ValidString(text)
		case c == '\\' || c < ' ':
			return "", false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", false
}

// plainNumber returns how long the number is that s begins with, 0 if it is none, or none without sign and exponent.
func plainNumber(s string) int {
	whole := digitsIn(s)
	if whole == 0 || whole > 1 && s[0] == '0' {
		return 0
	}
	if whole == len(s) || s[whole] != '.' {
		return whole
	}
	fraction := digitsIn(s[whole+1:])
	if fraction == 0 {
		return 0
	}
	return whole + 1 + fraction
}

func digitsIn(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

// objectEnd returns where the object ends that s begins with, if it is one, and 0 if it has no end.
func objectEnd(s string) int {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
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
