package main

import (
	"fmt"
	"strings"
	"unicode"
)

// count gives "1 server" or "3 servers".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// choices gives "a, b or c".
func choices(words []string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	default:
		return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	}
}

// printable makes text from outside safe for a terminal: what could move the cursor, change the
// direction of writing or hide is shown as an escape. Line feeds stay.
func printable(s string) string {
	safe := func(r rune) bool { return r == '\n' || unicode.IsPrint(r) }
	if strings.IndexFunc(s, func(r rune) bool { return !safe(r) || r == unicode.ReplacementChar }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if safe(r) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, "\\u%04x", r)
	}
	return b.String()
}

// nearest gives the word of words that was probably meant by got, or "".
func nearest(got string, words []string) string {
	plain := func(s string) string {
		return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s))
	}
	best, bestDistance := "", 1+max(1, min(3, len(got)/3))
	for _, word := range words {
		if plain(word) == plain(got) {
			return word
		}
		if d := distance(plain(got), plain(word)); d < bestDistance {
			best, bestDistance = word, d
		}
	}
	return best
}

// distance is the number of single-byte edits between a and b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
