package jsonrpc

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

const (
	everyByte = 0x0101010101010101
	highBits  = 0x80 * everyByte
)

// special returns a word whose lowest set bit lies in the first byte of w (little endian) that a JSON string
// cannot hold as it is or that has to be looked at: a control character, a quote, a backslash, anything
// beyond ASCII. Bits above that one say nothing.
func special(w uint64) uint64 {
	control := w - 0x20*everyByte
	quote := w ^ '"'*everyByte
	slash := w ^ '\\'*everyByte
	return (control&^w | (quote-everyByte)&^quote | (slash-everyByte)&^slash | w) & highBits
}

// str reads the string whose opening quote is at i. It returns the end behind the closing quote, or -1, and
// whether the string holds an escape.
func (s *Scanner) str(i int) (end int, escaped bool) {
	b := s.b
	for i++; ; {
		for i+8 <= len(b) {
			if w := special(binary.LittleEndian.Uint64(b[i:])); w != 0 {
				i += bits.TrailingZeros64(w) >> 3
				break
			}
			i += 8
		}
		if i >= len(b) {
			return s.fail(i, ParseError, "the text ends inside a string"), false
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, escaped
		case c == '\\':
			escaped = true
			if i = s.escape(i); i < 0 {
				return -1, false
			}
		case c < ' ':
			return s.fail(i, ParseError, "a control character inside a string"), false
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && size == 1 {
				return s.fail(i, ParseError, "not UTF-8"), false
			}
			i += size
		}
	}
}

// escape reads the escape whose backslash is at i. A surrogate must come with its other half: what an unpaired
// one means differs from parser to parser.
func (s *Scanner) escape(i int) int {
	b := s.b
	if i+1 >= len(b) {
		return s.fail(i, ParseError, "the text ends inside a string")
	}
	if b[i+1] != 'u' {
		if unescaped[b[i+1]] == 0 {
			return s.fail(i, ParseError, "not a JSON escape")
		}
		return i + 2
	}
	r, ok := hex4(b[i+2:])
	if !ok {
		return s.fail(i, ParseError, "not a JSON escape")
	}
	i += 6
	if r < 0xd800 || r > 0xdfff {
		return i
	}
	if r < 0xdc00 && i+1 < len(b) && b[i] == '\\' && b[i+1] == 'u' {
		if low, ok := hex4(b[i+2:]); ok && 0xdc00 <= low && low <= 0xdfff {
			return i + 6
		}
	}
	return s.fail(i, ParseError, "an unpaired surrogate")
}

// compact takes the white space between tokens out of a valid text, in place.
func compact(b []byte) []byte {
	out := b[:0]
	for i := 0; i < len(b); {
		switch b[i] {
		case ' ', '\t', '\n', '\r':
			i++
		case '"':
			end := skipString(b, i)
			out = append(out, b[i:end]...)
			i = end
		default:
			out = append(out, b[i])
			i++
		}
	}
	return out
}
