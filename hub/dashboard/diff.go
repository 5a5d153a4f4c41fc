package dashboard

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of the work of one comparison, and of all that are on one page: the products of the numbers of words. A million takes
// about 10 ms, and whoever has a hub token can propose thousands of changes.
const (
	maxDiff     = 1 << 20
	maxPageDiff = 16 << 20
)

// maxChance is how many bytes between two changes are taken to be the same by chance.
const maxChance = 5

// A part is a run of words that are on both sides, or on one alone.
type part struct {
	Text    string
	Changed bool
}

// A change is a Change laid out: both sides in parts.
type change struct {
	Path     string
	Word     string // changed, added or removed
	Old, New []part
	Cut      bool // one side is longer than a page shows
}

// A comparer lays out the changes of one page.
type comparer struct {
	done int // work
}

func (k *comparer) lay(c Change) change {
	laid := change{Path: c.Path, Word: "changed", Cut: len(c.Old) > maxText || len(c.New) > maxText}
	was, is := clip(c.Old, maxText), clip(c.New, maxText)
	switch {
	case was == "":
		laid.Word = "added"
		laid.New = []part{{Text: is}}
	case is == "":
		laid.Word = "removed"
		laid.Old = []part{{Text: was}}
	default:
		laid.Old, laid.New = k.compare(words(was), words(is))
	}
	return laid
}

// words cuts a text into words, runs of spaces, and single other characters, so that what cannot be seen stands alone.
func words(text string) []string {
	var found []string
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		class := classOf(r)
		end := n
		for class != other && end < len(text) {
			r, n = utf8.DecodeRuneInString(text[end:])
			if classOf(r) != class {
				break
			}
			end += n
		}
		found = append(found, text[:end])
		text = text[end:]
	}
	return found
}

type class int

const (
	other class = iota
	letter
	space
)

func classOf(r rune) class {
	switch {
	case r == ' ':
		return space
	case r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
		return letter
	}
	return other
}

// compare marks the words that are on one side alone. Texts that are too long to compare word by word, and those after too much work,
// are compared from both ends.
func (k *comparer) compare(was, is []string) (old, now []part) {
	head := 0
	for head < len(was) && head < len(is) && was[head] == is[head] {
		head++
	}
	tail := 0
	for tail < len(was)-head && tail < len(is)-head && was[len(was)-1-tail] == is[len(is)-1-tail] {
		tail++
	}
	a, b := was[head:len(was)-tail], is[head:len(is)-tail]
	keepA, keepB := k.common(a, b)

	side := func(all, middle []string, keep []bool) []part {
		var parts partList
		parts.add(false, all[:head]...)
		for i, word := range middle {
			parts.add(!keep[i], word)
		}
		parts.add(false, all[len(all)-tail:]...)
		return parts.parts()
	}
	return side(was, a, keepA), side(is, b, keepB)
}

// common finds a longest sequence of words that both sides have, and says which words of each side belong to it.
func (k *comparer) common(a, b []string) (inA, inB []bool) {
	inA, inB = make([]bool, len(a)), make([]bool, len(b))
	work := len(a) * len(b)
	if work > maxDiff || k.done+work > maxPageDiff {
		return inA, inB
	}
	k.done += work
	width := len(b) + 1
	length := make([]int32, (len(a)+1)*width) // of the longest that a[i:] and b[j:] have
	for i, was := range slices.Backward(a) {
		for j, is := range slices.Backward(b) {
			if was == is {
				length[i*width+j] = length[(i+1)*width+j+1] + 1
			} else {
				length[i*width+j] = max(length[(i+1)*width+j], length[i*width+j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			inA[i], inB[j] = true, true
			i, j = i+1, j+1
		case length[(i+1)*width+j] >= length[i*width+j+1]:
			i++
		default:
			j++
		}
	}
	return inA, inB
}

// A partList joins words of the same state.
type partList struct {
	done    []part
	text    strings.Builder
	changed bool
}

func (l *partList) add(changed bool, words ...string) {
	for _, word := range words {
		if changed != l.changed {
			l.flush()
			l.changed = changed
		}
		l.text.WriteString(word)
	}
}

func (l *partList) flush() {
	if l.text.Len() > 0 {
		l.done = append(l.done, part{Text: l.text.String(), Changed: l.changed})
		l.text.Reset()
	}
}

// parts returns the runs. What is the same by chance, a space or a short word between changes, is part of the change: a reader
// sees one sentence go and another come.
func (l *partList) parts() []part {
	l.flush()
	var joined []part
	for i, p := range l.done {
		if !p.Changed && len(p.Text) <= maxChance && i > 0 && i+1 < len(l.done) {
			p.Changed = true
		}
		if n := len(joined); n > 0 && joined[n-1].Changed == p.Changed {
			joined[n-1].Text += p.Text
			continue
		}
		joined = append(joined, p)
	}
	return joined
}
