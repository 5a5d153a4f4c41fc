package policy

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxPattern bounds a pattern, in bytes.
const maxPattern = 1024

// A syntax says which characters a pattern's wildcards pass over.
type syntax uint8

const (
	nameSyntax syntax = iota // *: anything
	uriSyntax                // * and ? stop at a slash, ** does not
)

// A glob is a compiled pattern. Most patterns need no automaton: they are a text, or a text and a final star.
type glob struct {
	literal string         // the text, or its part before the final star
	prefix  bool           // a final star
	re      *regexp.Regexp // everything else
	classes bool           // the pattern holds a set such as [a-z]
}

func (g *glob) exact() bool { return g.re == nil && !g.prefix }

func (g *glob) match(name []byte) bool {
	if g.re != nil {
		return g.re.Match(name)
	}
	return g.matchPlain(name)
}

// matchPlain is match for a pattern without an automaton. It keeps the name off the heap.
func (g *glob) matchPlain(name []byte) bool {
	if g.prefix {
		return len(name) >= len(g.literal) && string(name[:len(g.literal)]) == g.literal
	}
	return string(name) == g.literal
}

// compileGlob translates a pattern. Go's regexp package guarantees that matching is linear.
func compileGlob(pattern string, s syntax) (*glob, error) {
	switch {
	case pattern == "":
		return nil, errors.New("is empty")
	case len(pattern) > maxPattern:
		return nil, errors.New("is longer than 1024 bytes")
	case !utf8.ValidString(pattern):
		return nil, errors.New("is not UTF-8")
	}
	t := translator{syntax: s, rest: pattern}
	if err := t.run(); err != nil {
		return nil, err
	}
	g := &glob{literal: t.literal.String(), classes: t.classes}
	switch {
	case !t.wild:
		return g, nil
	case t.finalStar:
		g.prefix = true
		return g, nil
	}
	re, err := regexp.Compile(`\A(?s:` + t.expr.String() + `)\z`)
	if err != nil {
		return nil, errors.New("is not a pattern")
	}
	return &glob{re: re, classes: t.classes}, nil
}

// A translator turns one pattern into a regular expression and, while that is all there is, into a literal.
type translator struct {
	syntax    syntax
	rest      string
	expr      strings.Builder
	literal   strings.Builder
	depth     int  // open braces
	wild      bool // a wildcard was seen
	finalStar bool // the only wildcard is a star without limits at the end
	classes   bool
}

func (t *translator) run() error {
	for t.rest != "" {
		r, size := utf8.DecodeRuneInString(t.rest)
		t.rest = t.rest[size:]
		if err := t.step(r); err != nil {
			return err
		}
	}
	if t.depth > 0 {
		return errors.New("has a { without its }")
	}
	return nil
}

func (t *translator) step(r rune) error {
	switch {
	case r == '*':
		t.star()
	case r == '?':
		t.wildcard(t.one())
	case r == '[':
		return t.class()
	case r == '{':
		t.depth++
		t.wildcard(`(?:`)
	case r == '}':
		if t.depth == 0 {
			return errors.New("has a } without its {")
		}
		t.depth--
		t.wildcard(`)`)
	case r == ',' && t.depth > 0:
		t.wildcard(`|`)
	case r == '\\':
		if t.rest == "" {
			return errors.New(`ends with \`)
		}
		next, size := utf8.DecodeRuneInString(t.rest)
		t.rest = t.rest[size:]
		t.text(next)
	default:
		t.text(r)
	}
	return nil
}

func (t *translator) text(r rune) {
	t.expr.WriteString(regexp.QuoteMeta(string(r)))
	if !t.wild {
		t.literal.WriteRune(r)
	}
}

func (t *translator) wildcard(expr string) {
	t.expr.WriteString(expr)
	t.wild, t.finalStar = true, false
}

func (t *translator) one() string {
	if t.syntax == uriSyntax {
		return `[^/]`
	}
	return `.`
}

func (t *translator) star() {
	first, free := !t.wild, t.syntax == nameSyntax
	for strings.HasPrefix(t.rest, "*") {
		t.rest, free = t.rest[1:], true
	}
	if !free {
		t.wildcard(`[^/]*`)
		return
	}
	t.wildcard(`.*`)
	t.finalStar = first && t.rest == ""
}

func (t *translator) class() error {
	end := strings.IndexByte(t.rest, ']')
	if end == 0 || end == 1 && (t.rest[0] == '!' || t.rest[0] == '^') { // a ] that comes first is one of the set
		if next := strings.IndexByte(t.rest[end+1:], ']'); next >= 0 {
			end += next + 1
		} else {
			end = -1
		}
	}
	if end < 0 {
		return errors.New("has a [ without its ]")
	}
	set := t.rest[:end]
	t.rest = t.rest[end+1:]
	t.classes = true
	negated := set[0] == '!' || set[0] == '^'
	if negated {
		set = set[1:]
	}
	var expr strings.Builder
	for runes := []rune(set); len(runes) > 0; {
		low, high := runes[0], runes[0]
		runes = runes[1:]
		if len(runes) > 1 && runes[0] == '-' {
			high, runes = runes[1], runes[2:]
		}
		if high < low {
			return errors.New("has a range inside [ ] that runs backwards")
		}
		if t.syntax == uriSyntax && low <= '/' && '/' <= high {
			return errors.New("has a / inside [ ]")
		}
		expr.WriteString(quoteInClass(low) + `-` + quoteInClass(high))
	}
	switch {
	case negated && t.syntax == uriSyntax:
		t.wildcard(`[^/` + expr.String() + `]`)
	case negated:
		t.wildcard(`[^` + expr.String() + `]`)
	default:
		t.wildcard(`[` + expr.String() + `]`)
	}
	return nil
}

func quoteInClass(r rune) string {
	if strings.ContainsRune(`\^-[]&~`, r) {
		return `\` + string(r)
	}
	return string(r)
}
