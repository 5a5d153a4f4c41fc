package integrity

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Visible returns s for a terminal or a log: characters that a reader cannot see are written as \u escapes,
// so that nothing a server says can move the cursor, hide or reorder text.
func Visible(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				fmt.Fprintf(&b, `\x%02x`, s[i])
				continue
			}
		}
		if !hidden(r) {
			b.WriteRune(r)
			continue
		}
		b.Write(appendEscape(nil, r))
	}
	return b.String()
}

// appendEscape appends a character as JSON writes it when it is escaped.
func appendEscape(dst []byte, r rune) []byte {
	if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
		return fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(dst, `\u%04x`, r)
}
