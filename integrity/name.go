package integrity

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// hidden reports whether a reader cannot see a character for what it is: controls, format characters
// (bidirectional, zero-width, soft hyphen, tags), line and paragraph separators, variation selectors,
// characters that fonts leave blank, and the replacement character.
func hidden(r rune) bool {
	if r < 0x20 || r >= 0x7f && r < 0xa0 {
		return true
	}
	if r < 0x7f {
		return false
	}
	switch r {
	case '\u2028', '\u2029', '\u2800', utf8.RuneError:
		return true
	}
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// deceptive reports whether a name cannot be trusted to be what it looks like.
func deceptive(name string) bool {
	return !utf8.ValidString(name) || strings.ContainsFunc(name, hidden)
}

// skeleton maps names that people or programs may take for each other to one string: compatibility forms
// (full-width, ligatures, mathematical letters), case, white space around or inside, and the Cyrillic,
// Greek and other letters that look like Latin ones. It is smaller than UTS 39 on purpose: 1, l and I,
// 0 and O, rn and m stay apart, since plain ASCII names would otherwise be refused.
func skeleton(name string) string {
	if s, ok := asciiSkeleton(name); ok {
		return s
	}
	var b strings.Builder
	for _, r := range norm.NFKC.String(name) {
		r = foldRune(r)
		if latin, ok := lookalikes[r]; ok {
			r = latin
		}
		if unicode.IsSpace(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	// Normalised again: a letter that became Latin may join with an accent that follows it.
	return strings.TrimSpace(norm.NFKC.String(b.String()))
}

func asciiSkeleton(name string) (string, bool) {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return "", false
		}
	}
	return strings.TrimSpace(strings.ToLower(name)), true
}

// foldRune returns one rune for all those that are equal under simple case folding (K and U+212A, s and
// U+017F): the lower case one where there is one.
func foldRune(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return unicode.ToLower(least)
}

// foldName folds a member name as programs do that read JSON without regard to case (strings.EqualFold).
func foldName(name string) string {
	return strings.Map(foldRune, name)
}

// lookalikes maps a letter, lower case, to the Latin letter that it can be taken for.
var lookalikes = map[rune]rune{
	// Cyrillic
	'а': 'a', 'в': 'b', 'с': 'c', 'ԁ': 'd', 'е': 'e', 'ё': 'ë', 'ғ': 'f', 'ԍ': 'g', 'н': 'h', 'һ': 'h', 'і': 'i', 'ї': 'ï',
	'ј': 'j', 'к': 'k', 'ӏ': 'l', 'м': 'm', 'п': 'n', 'о': 'o', 'р': 'p', 'ԛ': 'q', 'г': 'r', 'ѕ': 's', 'т': 't',
	'ц': 'u', 'ѵ': 'v', 'ѡ': 'w', 'ԝ': 'w', 'х': 'x', 'у': 'y', 'ү': 'y', 'ӡ': '3', 'з': '3',
	// Greek
	'α': 'a', 'β': 'b', 'ϲ': 'c', 'ε': 'e', 'η': 'n', 'ι': 'i', 'ϳ': 'j', 'κ': 'k', 'μ': 'u', 'ν': 'v', 'ο': 'o', 'ρ': 'p',
	'σ': 'o', 'τ': 't', 'υ': 'u', 'χ': 'x', 'γ': 'y', 'ω': 'w', 'ζ': 'z',
	// Armenian, Cherokee's lower case forms aside
	'ո': 'n', 'ս': 'u', 'օ': 'o', 'հ': 'h', 'ց': 'g', 'յ': 'j', 'զ': 'q', 'ք': 'p',
	// Latin letters drawn like other Latin letters
	'ı': 'i', 'ȷ': 'j', 'ɑ': 'a', 'ɡ': 'g', 'ɩ': 'i', 'ʋ': 'v', 'ɯ': 'w', 'ʏ': 'y', 'ꜱ': 's', 'ᴄ': 'c', 'ᴏ': 'o', 'ᴠ': 'v', 'ᴡ': 'w', 'ᴢ': 'z',
	// dashes and low lines
	'‐': '-', '‑': '-', '‒': '-', '–': '-', '—': '-', '−': '-', 'ー': '-', '‿': '_',
	// signs that look like ASCII punctuation
	'․': '.', '∕': '/', '⁄': '/', '∶': ':', 'ː': ':', '։': ':', '׃': ':',
}
