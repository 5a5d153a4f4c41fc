package policy

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// hidden reports whether a character is one that people cannot see or that changes how others look: controls,
// bidi marks, zero-width characters and whatever else Unicode says to ignore when it is displayed.
func hidden(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// clean reports whether a text is UTF-8 without hidden characters.
func clean(text []byte) bool {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size <= 1 || hidden(r) {
			return false
		}
		i += size
	}
	return true
}

// maxFold bounds the names that are folded, in bytes: more than twice the growth that a change of case can give the
// longest pattern, and little enough that a message full of names costs little.
const maxFold = 8 * maxPattern

// fold returns the key that names share which people or careless parsers take for one another: they differ by
// case (simple folding: K and the Kelvin sign, s and the long s), compatibility forms (NFKC), hidden
// characters, or white space at the ends. The key of an ASCII name up to cap(buf) lies in buf. A name too long to
// be anything's twin is its own key.
func fold(buf []byte, name []byte) []byte {
	if len(name) > maxFold {
		return name
	}
	name = bytes.TrimSpace(name)
	if key, ok := foldASCII(buf[:0], name); ok {
		return key
	}
	key := make([]byte, 0, len(name))
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRune(name[i:])
		if !hidden(r) {
			key = append(key, name[i:i+size]...)
		}
		i += size
	}
	// Folding can undo a normal form and the other way round; two rounds settle it.
	for range 2 {
		key = bytes.Map(foldRune, norm.NFKC.Bytes(key))
	}
	return bytes.TrimSpace(norm.NFKC.Bytes(key))
}

func foldASCII(buf, name []byte) ([]byte, bool) {
	for _, c := range name {
		if c < ' ' || c >= 0x7f {
			return nil, false
		}
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		buf = append(buf, c)
	}
	return buf, true
}

func ascii(name []byte) bool {
	for _, c := range name {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// foldRune returns the least character that equals r under simple folding.
func foldRune(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return least
}

func foldString(name string) string { return string(fold(nil, []byte(name))) }
