package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

const hexDigits = "0123456789abcdef"

// plain holds the bytes that stand for themselves in a JSON string.
var plain = func() (t [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendText appends s as a JSON string, whatever bytes it holds: what is not UTF-8 becomes U+FFFD, and control
// characters, also those that only some readers take for line ends, are escaped. What is longer than limit is cut and
// says so.
func appendText[T string | []byte](b []byte, s T, limit int) []byte {
	b = append(b, '"')
	cut := 0
	if len(s) > limit {
		end := limit
		for end > limit-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		cut = len(s) - end
		s = s[:end]
	}
	start := 0
	for i := plainPrefix(s); i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		if c < utf8.RuneSelf {
			b = appendEscape(b, rune(c))
			i++
			start = i
			continue
		}
		r, size := decodeRune(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(b, `\ufffd`...)
		case r < 0xa0, r == '\u2028', r == '\u2029':
			b = appendEscape(b, r)
		default:
			b = append(b, s[i:i+size]...)
		}
		i += size
		start = i
	}
	b = append(b, s[start:]...)
	if cut > 0 {
		b = append(b, cutMark...)
		b = strconv.AppendInt(b, int64(cut), 10)
		b = append(b, cutUnit...)
	}
	return append(b, '"')
}

// What follows a text that was cut: the mark, how much is missing, the unit.
const (
	cutMark = "…(+"
	cutUnit = " bytes)"
)

// IsCut reports whether a text of an event looks as if the log had its beginning alone.
func IsCut(text string) bool {
	text, whole := strings.CutSuffix(text, cutUnit)
	at := strings.LastIndex(text, cutMark)
	if !whole || at < 0 {
		return false
	}
	missing := text[at+len(cutMark):]
	return missing != "" && strings.Trim(missing, "0123456789") == ""
}

// plainPrefix is how many of the first bytes of s stand for themselves, at least: nearly always all.
func plainPrefix[T string | []byte](s T) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		_ = s[i+7] // the compiler makes one load of the eight
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		// The high bit of a byte that is none of these gets set only beside one that is.
		control, deleted, quote, slash := w-' '*ones, w+ones, (w^'"'*ones)-ones, (w^'\\'*ones)-ones
		if (w|control|deleted|quote|slash)&high != 0 {
			break
		}
	}
	for i < len(s) && plain[s[i]] {
		i++
	}
	return i
}

func decodeRune[T string | []byte](s T) (rune, int) {
	var head [utf8.UTFMax]byte
	return utf8.DecodeRune(head[:copy(head[:], s)])
}

func appendEscape(b []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// appendHex appends a hash as encoding/hex does, in half the time.
func appendHex(b []byte, sum *[sha256.Size]byte) []byte {
	for i := 0; i < len(sum); i += 4 {
		b = binary.LittleEndian.AppendUint64(b, hex8(uint64(binary.BigEndian.Uint32(sum[i:]))))
	}
	return b
}

// appendID appends a request's raw id token. What is no valid token, or a long one, is recorded as text.
func appendID(b, token []byte) []byte {
	if len(token) > maxToken || !validID(token) {
		return appendText(b, token, maxToken)
	}
	return append(b, token...)
}

func validID(token []byte) bool {
	if token[0] == '"' {
		if inner := len(token) - 1; inner > 0 && token[inner] == '"' && allPlain(token[1:inner]) {
			return true
		}
	} else if len(token) < 16 && allDigits(token) && (token[0] != '0' || len(token) == 1) {
		return true
	}
	return isJSON(token)
}

func allPlain(s []byte) bool {
	for _, c := range s {
		if !plain[c] {
			return false
		}
	}
	return true
}

func allDigits(s []byte) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// isJSON reports whether s is one valid JSON value that has no raw control character, not even between tokens.
func isJSON(s []byte) bool {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRune(s[i:])
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return false
		}
		i += size
	}
	return jsontext.Value(s).IsValid()
}
