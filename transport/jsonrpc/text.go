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
// beyond ASCII. Bits above that one say nothing: a subtraction borrows from the byte above only where the byte itself
// is one of those.
func special(w uint64) uint64 {
	quoteOrControl := (w ^ 0x02*everyByte) - 0x21*everyByte // these alone are less than 0x21 once 0x02 is flipped
	slash := (w ^ '\\'*everyByte) - everyByte
	return (quoteOrControl | slash | w) & highBits
}

// str reads the string whose opening quote is at i. It returns the end behind the closing quote, or -1, and
// whether the string holds an escape.
func (s *Scanner) str(i int) (end int, escaped bool) {
	b := s.b
	i++
	for {
		if i+8 <= len(b) {
			w := special(binary.LittleEndian.Uint64(b[i:]))
			if w == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(w) >> 3
		}
		if i+1 >= len(b) {
			return s.strEnd(i), escaped
		}
		switch c := b[i]; {
		case c == '\\':
			escaped = true
			if unescaped[b[i+1]] != 0 {
				i += 2
			} else if i = s.unicodeEscape(i); i < 0 {
				return -1, false
			}
		case c == '"':
			return i + 1, escaped
		case c < ' ':
			return s.fail(i, ParseError, "a control character inside a string"), false
		case c < utf8.RuneSelf:
			i++
		case 0xc2 <= c && c < 0xe0 && b[i+1]&0xc0 == 0x80:
			i += 2
		default:
			r, size := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && size == 1 {
				return s.fail(i, ParseError, "not UTF-8"), false
			}
			i += size
		}
	}
}

// strEnd reads what may be the last byte of the text.
func (s *Scanner) strEnd(i int) int {
	switch {
	case i < len(s.b) && s.b[i] == '"':
		return i + 1
	case i < len(s.b) && s.b[i] < ' ':
		return s.fail(i, ParseError, "a control character inside a string")
	case i < len(s.b) && s.b[i] >= utf8.RuneSelf:
		return s.fail(i, ParseError, "not UTF-8")
	}
	return s.fail(i, ParseError, "the text ends inside a string")
}

// unicodeEscape reads the escape whose backslash is at i and whose next byte is no simple escape. A surrogate must come
// with its other half: what an unpaired one means differs from parser to parser.
func (s *Scanner) unicodeEscape(i int) int {
	b := s.b
	r, ok := hex4(b[i+2:])
	if b[i+1] != 'u' || !ok {
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
