package policy

import (
	"bytes"
	"errors"
	"fmt"
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

// A glob is a compiled pattern. Most patterns need no automaton: they are texts with stars between them.
type glob struct {
	text    string         // the pattern
	parts   []string       // the texts between stars that pass over anything; one part: no star
	re      *regexp.Regexp // every other pattern
	classes bool           // the pattern holds a set such as [a-z]
}

// exact reports whether the pattern matches one text only, parts[0].
func (g *glob) exact() bool { return g.re == nil && len(g.parts) == 1 }

func (g *glob) match(name []byte) bool {
	if g.re != nil {
		return g.re.Match(name)
	}
	return g.matchParts(name)
}

// matchParts is match for a pattern without an automaton. It keeps the name off the heap. Taking each part at its
// first place is right, since the star behind it passes over anything.
func (g *glob) matchParts(name []byte) bool {
	first, last := g.parts[0], g.parts[len(g.parts)-1]
	if len(g.parts) == 1 {
		return string(name) == first
	}
	if len(name) < len(first)+len(last) || string(name[:len(first)]) != first || string(name[len(name)-len(last):]) != last {
		return false
	}
	name = name[len(first) : len(name)-len(last)]
	for _, part := range g.parts[1 : len(g.parts)-1] {
		i := bytes.Index(name, []byte(part))
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return true
}

// compileGlob translates a pattern. Go's regexp package guarantees that matching is linear.
func compileGlob(pattern string, s syntax) (*glob, error) {
	switch {
	case pattern == "":
		return nil, errors.New("is empty")
	case len(pattern) > maxPattern:
		return nil, fmt.Errorf("is longer than %d bytes", maxPattern)
	case !utf8.ValidString(pattern):
		return nil, errors.New("is not UTF-8")
	}
	t := translator{syntax: s, rest: pattern}
	if err := t.run(); err != nil {
		return nil, err
	}
	if !t.automaton {
		return &glob{text: pattern, parts: append(t.parts, t.part.String())}, nil
	}
	re, err := regexp.Compile(`\A(?s:` + t.expr.String() + `)\z`)
	if err != nil {
		return nil, errors.New("is not a pattern")
	}
	return &glob{text: pattern, re: re, classes: t.classes}, nil
}

// A translator turns one pattern into a regular expression and, as long as that will do, into parts.
type translator struct {
	syntax    syntax
	rest      string
	expr      strings.Builder
	parts     []string
	part      strings.Builder // the last one
	depth     int             // open braces
	automaton bool            // parts will not do
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
	t.part.WriteRune(r)
}

func (t *translator) wildcard(expr string) {
	t.expr.WriteString(expr)
	t.automaton = true
}

func (t *translator) one() string {
	if t.syntax == uriSyntax {
		return `[^/]`
	}
	return `.`
}

func (t *translator) star() {
	free := t.syntax == nameSyntax
	for strings.HasPrefix(t.rest, "*") {
		t.rest, free = t.rest[1:], true
	}
	if !free {
		t.wildcard(`[^/]*`)
		return
	}
	t.expr.WriteString(`.*`)
	t.parts = append(t.parts, t.part.String())
	t.part.Reset()
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
