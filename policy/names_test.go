package policy

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCharactersThatFoldTogetherShareAKey(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		other := unicode.SimpleFold(r)
		if other == r {
			continue
		}
		if a, b := foldString("x"+string(r)), foldString("x"+string(other)); a != b {
			t.Errorf("%U and %U have keys %q and %q", r, other, a, b)
		}
	}
	for a, b := range map[string]string{"ﬁle": "FILE", "①": "1", "ｄ": "D", "e\u0301": "É", " a\t": "A", "a\u200d": "a", "Å": "\u212b"} {
		if foldString(a) != foldString(b) {
			t.Errorf("%q and %q have keys %q and %q", a, b, foldString(a), foldString(b))
		}
	}
	for a, b := range map[string]string{"a": "b", "a_b": "ab", "ß": "b", "\u0430": "a"} {
		if foldString(a) == foldString(b) {
			t.Errorf("%q and %q share a key", a, b)
		}
	}
}

// What any parser that ignores case takes for the same name has the same key.
func FuzzFold(f *testing.F) {
	for _, seed := range [][2]string{{"task", "TAS\u212a"}, {"\u017f", "S"}, {"ǅ", "ǆ"}, {"İ", "i"}, {"ς", "Σ"}, {"K\u0301", "k\u0301"}, {"a", "b"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if !utf8.ValidString(a) || !utf8.ValidString(b) { // no scanned message holds such names
			return
		}
		if strings.EqualFold(a, b) && foldString(a) != foldString(b) {
			t.Errorf("%q and %q have keys %q and %q", a, b, foldString(a), foldString(b))
		}
		if key := foldString(a); len(a) <= maxFold && len(key) <= maxFold && foldString(key) != key {
			t.Errorf("%q has key %q, which has key %q", a, key, foldString(key))
		}
	})
}
