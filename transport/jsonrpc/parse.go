package jsonrpc

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// value reads the value at i and returns its end, or -1.
func (s *Scanner) value(i, depth int, known object) int {
	if i >= len(s.b) {
		return s.fail(i, ParseError, "the text ends inside a value")
	}
	switch c := s.b[i]; c {
	case '"':
		end, _ := s.str(i)
		return end
	case '{':
		return s.object(i, depth, known)
	case '[':
		return s.array(i, depth)
	case 't':
		return s.literal(i, "true")
	case 'f':
		return s.literal(i, "false")
	case 'n':
		return s.literal(i, "null")
	default:
		if c == '-' || '0' <= c && c <= '9' {
			return s.number(i)
		}
	}
	return s.fail(i, ParseError, "not a JSON value")
}

func (s *Scanner) array(i, depth int) int {
	if depth > s.maxDepth {
		return s.fail(i, InvalidRequest, "nested too deeply")
	}
	if i = s.space(i + 1); i < len(s.b) && s.b[i] == ']' {
		return i + 1
	}
	for {
		if i = s.value(i, depth+1, nil); i < 0 {
			return i
		}
		if i = s.space(i); i >= len(s.b) {
			return s.fail(i, ParseError, "the text ends inside an array")
		}
		switch s.b[i] {
		case ',':
			i = s.space(i + 1)
		case ']':
			return i + 1
		default:
			return s.fail(i, ParseError, "a comma or ] is missing")
		}
	}
}

func (s *Scanner) object(i, depth int, known object) int {
	if depth > s.maxDepth {
		return s.fail(i, InvalidRequest, "nested too deeply")
	}
	first, scratch := len(s.names), len(s.scratch)
	if i = s.space(i + 1); i < len(s.b) && s.b[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(s.b) || s.b[i] != '"' {
			return s.fail(i, ParseError, "a member's name is missing")
		}
		if len(s.names)-first >= maxNames {
			return s.fail(i, InvalidRequest, "too many members in one object")
		}
		if i = s.member(i, depth, known); i < 0 {
			return i
		}
		if i = s.space(i); i >= len(s.b) {
			return s.fail(i, ParseError, "the text ends inside an object")
		}
		switch s.b[i] {
		case ',':
			i = s.space(i + 1)
			continue
		case '}':
		default:
			return s.fail(i, ParseError, "a comma or } is missing")
		}
		if s.repeated(s.names[first:]) {
			return s.fail(i, ParseError, "a member's name occurs twice in one object")
		}
		s.names, s.scratch = s.names[:first], s.scratch[:scratch]
		return i + 1
	}
}

// member reads a name and its value and notes the value's place if the protocol knows the name.
func (s *Scanner) member(i, depth int, known object) int {
	end, escaped := s.str(i)
	if end < 0 {
		return end
	}
	n := name{uint32(i + 1), uint32(end - 1), escaped} //nolint:gosec // message bounds it
	if escaped {
		start := len(s.scratch)
		s.scratch, _ = unescape(s.scratch, s.b[i+1:end-1])
		n.start, n.end = uint32(start), uint32(len(s.scratch)) //nolint:gosec // message bounds it
		if hasNUL(s.scratch[start:]) {
			return s.fail(i, InvalidRequest, "a member's name with a NUL character")
		}
	}
	if n.end-n.start > maxNameLength {
		return s.fail(i, InvalidRequest, "a member's name is too long")
	}
	s.names = append(s.names, n)
	colon := s.space(end)
	if colon >= len(s.b) || s.b[colon] != ':' {
		return s.fail(colon, ParseError, "a colon is missing")
	}
	start := s.space(colon + 1)
	if known == nil {
		return s.value(start, depth+1, nil)
	}
	k, twin := known.find(s.text(n))
	if twin {
		return s.fail(i, InvalidRequest, "a member's name differs from one of the protocol's only by case")
	}
	if k == nil {
		return s.value(start, depth+1, nil)
	}
	end = s.value(start, depth+1, k.object)
	if end < 0 {
		return end
	}
	found := span{uint32(start), uint32(end)} //nolint:gosec // message bounds it
	if k.field != noField {
		s.m.fields[k.field] = found
	}
	s.parts[k.part] = found
	return end
}

func (s *Scanner) text(n name) []byte {
	if n.escaped {
		return s.scratch[n.start:n.end]
	}
	return s.b[n.start:n.end]
}

// repeated reports whether two of an object's names are equal.
func (s *Scanner) repeated(names []name) bool {
	if len(names) <= 16 {
		for i, n := range names {
			for _, other := range names[:i] {
				if n.end-n.start == other.end-other.start && bytes.Equal(s.text(n), s.text(other)) {
					return true
				}
			}
		}
		return false
	}
	slices.SortFunc(names, func(a, b name) int { return bytes.Compare(s.text(a), s.text(b)) })
	for i, n := range names[1:] {
		if bytes.Equal(s.text(n), s.text(names[i])) {
			return true
		}
	}
	return false
}

// find returns the known member of that name, or reports that the name is only a twin of one.
func (o object) find(text []byte) (k *member, twin bool) {
	for i := range o {
		if o[i].name == string(text) {
			return &o[i], false
		}
	}
	for i := range o {
		// Folding may change a name's length in bytes, never its number of characters.
		if known := o[i].name; (len(known) == len(text) || !isASCII(text)) && bytes.EqualFold([]byte(known), text) {
			return nil, true
		}
	}
	return nil, false
}

func isASCII(text []byte) bool {
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// space returns where the next token begins.
func (s *Scanner) space(i int) int {
	if i < 0 || i >= len(s.b) || s.b[i] > ' ' {
		return i
	}
	end := space(s.b, i)
	s.spaces += end - i
	return end
}

func (s *Scanner) literal(i int, word string) int {
	if end := i + len(word); end <= len(s.b) && string(s.b[i:end]) == word {
		return end
	}
	return s.fail(i, ParseError, "not a JSON value")
}

// number reads a number by the grammar of RFC 8259 section 6.
func (s *Scanner) number(i int) int {
	b := s.b
	if b[i] == '-' {
		i++
	}
	switch {
	case i < len(b) && b[i] == '0':
		i++
	case i < len(b) && '1' <= b[i] && b[i] <= '9':
		i = digits(b, i)
	default:
		return s.fail(i, ParseError, "not a JSON number")
	}
	if i < len(b) && b[i] == '.' {
		end := digits(b, i+1)
		if end == i+1 {
			return s.fail(i, ParseError, "not a JSON number")
		}
		i = end
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		end := digits(b, i)
		if end == i {
			return s.fail(i, ParseError, "not a JSON number")
		}
		i = end
	}
	return i
}

func digits(b []byte, i int) int {
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	return i
}
