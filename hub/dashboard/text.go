package dashboard

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a page shows of one text from outside, in bytes.
const (
	maxShort = 200      // in a table or a line; all of it is one click away
	maxText  = 64 << 10 // of anything
)

// maxMarks is how many combining marks may follow each other: more of them paint over the lines above and below.
const maxMarks = 3

// A segment is a piece of text from outside: text that can be shown, or a character that cannot be seen, by its code and name.
type segment struct {
	Text string // "" when Code is set
	Code string // U+202E
	Name string // RIGHT-TO-LEFT OVERRIDE
}

// segments cuts a text into what can be shown and what must be named. A newline and a tab stay as they are where block says so.
func segments(text string, block bool) []segment {
	var found []segment
	plain, marks := 0, 0
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if combining := unicode.In(r, unicode.Mn, unicode.Me); combining {
			marks++
		} else {
			marks = 0
		}
		if ((r == utf8.RuneError && n == 1) || hidden(r) || marks > maxMarks) && !(block && (r == '\n' || r == '\t')) {
			if plain < i {
				found = append(found, segment{Text: text[plain:i]})
			}
			found = append(found, named(r, text[i:i+n]))
			plain = i + n
		}
		i += n
	}
	if plain < len(text) {
		found = append(found, segment{Text: text[plain:]})
	}
	return found
}

// named returns the mark that stands for a character, whose bytes are raw.
func named(r rune, raw string) segment {
	if r == utf8.RuneError && len(raw) == 1 {
		return segment{Code: fmt.Sprintf("0x%02X", raw[0]), Name: "BYTE THAT IS NOT UTF-8"}
	}
	return segment{Code: fmt.Sprintf("U+%04X", r), Name: characterName(r)}
}

// hidden says whether a character is one that a reader cannot see, or that acts on the text around it.
func hidden(r rune) bool {
	switch {
	case r == ' ':
		return false
	case r < 0x7f:
		return r < ' '
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zs, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs,
		unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point, unicode.Noncharacter_Code_Point):
		return true
	}
	return r == 0x2800 // a pattern of Braille without dots
}

// plain is a text where no mark-up can be: in titles, in labels for screen readers, in the values of forms. A character that
// cannot be seen is written as \u{202E}; [unplain] reads it. A text that looks so itself has its backslash written that way.
func plain(text string) string {
	if !strings.ContainsFunc(text, hidden) && !strings.Contains(text, `\u{`) && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case hidden(r), r == '\\' && strings.HasPrefix(text[i:], `\u{`):
			fmt.Fprintf(&b, `\u{%X}`, r)
		default:
			b.WriteRune(r) // U+FFFD for bytes that are not UTF-8
		}
	}
	return b.String()
}

// unplain reads what [plain] wrote. What is no such notation stays as it is.
func unplain(text string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, `\u{`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		digits, rest, closed := strings.Cut(after, "}")
		code, err := strconv.ParseUint(digits, 16, 32)
		if !closed || err != nil || code > unicode.MaxRune || !utf8.ValidRune(rune(code)) {
			b.WriteString(`\u{`)
			text = after
			continue
		}
		b.WriteRune(rune(code))
		text = rest
	}
}

// clip cuts a text to at most limit bytes, at the beginning of a character.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// A passage is a text that is longer than a line: its beginning, and all of it as far as a page shows any text.
type passage struct {
	Head, All string
	Long      bool
	Cut       int // how many bytes are not shown at all
}

func passageOf(text string) passage {
	all := clip(text, maxText)
	head := clip(text, maxShort)
	if line, _, more := strings.Cut(head, "\n"); more && line != "" {
		head = line
	}
	return passage{Head: head, All: all, Long: len(head) < len(text), Cut: len(text) - len(all)}
}
