package jsonrpc

import (
	"bytes"
	"iter"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions of this file read JSON that a scan has already accepted: compact or not, but valid, with
// unique names and paired surrogates. On anything else they stop early; they never read out of bounds.

// Members yields the members of a JSON object in their order: the name without quotes and escapes, and the
// value's raw text. Anything but an object yields nothing.
func Members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for i := open(object, '{'); i < len(object) && object[i] == '"'; {
			end := skip(object, i)
			name, ok := Text(object[i:end])
			start := space(object, end)
			if !ok || start >= len(object) || object[start] != ':' {
				return
			}
			start = space(object, start+1)
			end = skip(object, start)
			if end == start || !yield(name, object[start:end]) {
				return
			}
			i = next(object, end)
		}
	}
}

// HasTwin reports whether an object has a member that a parser which folds case would take for one of those names, and that is not
// spelt so. In what a scan knows of there is none.
func HasTwin(object []byte, names ...string) bool {
	for member := range Members(object) {
		for _, name := range names {
			if string(member) != name && bytes.EqualFold(member, []byte(name)) {
				return true
			}
		}
	}
	return false
}

// Elements yields the raw text of each element of a JSON array. Anything but an array yields nothing.
func Elements(array []byte) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		for i := open(array, '['); i < len(array) && array[i] != ']'; {
			end := skip(array, i)
			if end == i || !yield(array[i:end]) {
				return
			}
			i = next(array, end)
		}
	}
}

// Member returns the raw value of the member of that exact name, nil where there is none.
func Member(object []byte, name string) []byte {
	for n, v := range Members(object) {
		if string(n) == name {
			return v
		}
	}
	return nil
}

// Text returns what a JSON string says, without quotes and escapes, and whether the token is a string.
// Without an escape it is a part of the token itself; nothing is allocated.
func Text(token []byte) ([]byte, bool) { return TextInto(nil, token) }

// TextInto is [Text] for many tokens: a text that holds an escape is written to the memory of buf, or to more if that is too little.
func TextInto(buf, token []byte) ([]byte, bool) {
	if len(token) < 2 || token[0] != '"' || token[len(token)-1] != '"' {
		return nil, false
	}
	inner := token[1 : len(token)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	return unescape(slices.Grow(buf[:0], len(inner)), inner)
}

func unescape(dst, s []byte) ([]byte, bool) {
	for len(s) > 0 {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...), true
		}
		if i+1 >= len(s) {
			return nil, false
		}
		dst = append(dst, s[:i]...)
		if s[i+1] != 'u' {
			c := unescaped[s[i+1]]
			if c == 0 {
				return nil, false
			}
			dst, s = append(dst, c), s[i+2:]
			continue
		}
		r, ok := hex4(s[i+2:])
		if !ok {
			return nil, false
		}
		s = s[i+6:]
		if utf16.IsSurrogate(r) {
			if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
				return nil, false
			}
			low, ok := hex4(s[2:])
			if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
				return nil, false
			}
			s = s[6:]
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, true
}

// unescaped maps the letter after a backslash to what it stands for, zero where JSON has no such escape.
var unescaped = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func hex4(s []byte) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range s[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// open returns where the first member or element of a value begins that starts with the given bracket.
func open(b []byte, bracket byte) int {
	i := space(b, 0)
	if i >= len(b) || b[i] != bracket {
		return len(b)
	}
	return space(b, i+1)
}

// next returns where the member or element after a comma begins, len(b) at the end.
func next(b []byte, i int) int {
	i = space(b, i)
	if i >= len(b) || b[i] != ',' {
		return len(b)
	}
	return space(b, i+1)
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skip returns the end of the value that begins at i.
func skip(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = skipString(b, i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth <= 0 {
				return i
			}
			i++
			continue
		default:
			i = skipLiteral(b, i)
		}
		if depth <= 0 {
			return i
		}
	}
	return len(b)
}

func skipString(b []byte, i int) int {
	for i++; ; {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			return len(b)
		}
		i += j + 1
		slashes := 0
		for k := i - 2; b[k] == '\\'; k-- {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
	}
}

func skipLiteral(b []byte, i int) int {
	for i < len(b) {
		switch b[i] {
		case ',', ':', '}', ']', ' ', '\t', '\n', '\r':
			return i
		}
		i++
	}
	return i
}
