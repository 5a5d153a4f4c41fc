package jsonrpc

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

const (
	// DefaultMaxDepth is how deep objects and arrays may nest; the message itself is level 1.
	DefaultMaxDepth = 64

	maxNames      = 10_000  // members of one object
	maxNameLength = 1 << 10 // bytes of a member's name
)

// A Scanner scans messages one after the other and reuses its memory. It is not safe for concurrent use.
// The zero Scanner is ready.
type Scanner struct {
	MaxDepth int // 0: DefaultMaxDepth

	b        []byte
	m        *Message
	maxDepth int
	parts    [partError + 1]span // the envelope's members
	names    []name              // of the objects being read, innermost last
	scratch  []byte              // names that had escapes, without them
	spaces   int                 // white space bytes between tokens
	fault    *Fault
}

// A name is a part of Scanner.b, or of Scanner.scratch if it had escapes.
type name struct {
	start, end uint32
	escaped    bool
}

// Scan reads the one message that raw holds into m. White space between tokens is taken out of raw in place.
// Where it returns a fault, m is Invalid and carries the same fault, the id if one could be read safely, and the
// method if there was one.
//
// Refused are the attacks E1 to E9 and E13 of the threat list (SECURITY.md).
func (s *Scanner) Scan(raw []byte, m *Message) *Fault {
	s.start(raw, m)
	if s.message() && s.spaces > 0 {
		// The spans belong to the spaced text: take the spaces out and read what will be forwarded.
		s.start(compact(raw), m)
		s.message()
	}
	if s.fault != nil {
		m.Kind, m.Fault = Invalid, s.fault
		salvage(m)
	}
	fault := s.fault
	s.b, s.m, s.fault = nil, nil, nil
	return fault
}

// Scan is Scanner.Scan with the default limits.
func Scan(raw []byte, m *Message) *Fault {
	var s Scanner
	return s.Scan(raw, m)
}

// Valid reports what is wrong with a JSON value from outside that is no message, such as a flag's, by the same rules.
func Valid(value []byte) error {
	s := Scanner{b: value, m: &Message{}, maxDepth: DefaultMaxDepth}
	if end := s.value(s.space(0), 1, nil); end < 0 || s.space(end) != len(value) {
		s.fail(end, ParseError, "text after the value")
		return fmt.Errorf("%s at byte %d", s.fault.Reason, s.fault.Offset)
	}
	return nil
}

func (s *Scanner) start(raw []byte, m *Message) {
	*m = Message{Raw: raw}
	s.b, s.m, s.fault, s.spaces = raw, m, nil, 0
	s.parts = [partError + 1]span{}
	s.names, s.scratch = s.names[:0], s.scratch[:0]
	s.maxDepth = s.MaxDepth
	if s.maxDepth <= 0 {
		s.maxDepth = DefaultMaxDepth
	}
}

// fail records the first fault and returns -1, the position after a value that is none.
func (s *Scanner) fail(at, code int, reason string) int {
	if s.fault == nil {
		s.fault = &Fault{Code: code, Reason: reason, Offset: max(at, 0)}
	}
	return -1
}

// message reads the whole text and reports whether it is one message.
func (s *Scanner) message() bool {
	if len(s.b) > math.MaxInt32 {
		return s.fail(0, InvalidRequest, "message too long") >= 0
	}
	i := s.space(0)
	if i >= len(s.b) || s.b[i] != '{' {
		return s.noObject(i)
	}
	end := s.object(i, 1, envelope)
	if end < 0 {
		return false
	}
	if end = s.space(end); end != len(s.b) {
		return s.fail(end, ParseError, "text after the message") >= 0
	}
	return s.classify()
}

func (s *Scanner) noObject(i int) bool {
	if i < len(s.b) && s.b[i] == '[' {
		return s.fail(i, InvalidRequest, "batches are not accepted") >= 0
	}
	s.fail(i, ParseError, "not a JSON object")
	s.fault.Junk = true
	return false
}

// classify decides what the message is: exactly one of request, notification, result and error.
func (s *Scanner) classify() bool {
	m := s.m
	if string(m.at(s.parts[partVersion])) != `"2.0"` {
		return s.fail(0, InvalidRequest, `"jsonrpc" must be "2.0"`) >= 0
	}
	id := m.at(s.parts[partRequestID])
	hasMethod, hasResult, hasError := s.parts[partMethod].end > 0, s.parts[partResult].end > 0, s.parts[partError].end > 0
	if id != nil && !(hasError && string(id) == "null") {
		var ok bool
		if m.ID, ok = ParseID(id); !ok {
			m.ID = ID{}
			return s.fail(0, InvalidRequest, "the id must be a string of at most 256 bytes or an integer of at most 2^53-1") >= 0
		}
	}
	switch {
	case hasMethod && !hasResult && !hasError:
		return s.call()
	case hasResult && !hasMethod && !hasError:
		return s.answer(Result, partResult)
	case hasError && !hasMethod && !hasResult:
		return s.answer(Error, partError)
	}
	return s.fail(0, InvalidRequest, "a message has exactly one of method, result and error") >= 0
}

func (s *Scanner) call() bool {
	m := s.m
	method, ok := Text(m.at(s.parts[partMethod]))
	if !ok || len(method) == 0 || hasNUL(method) {
		return s.fail(0, InvalidRequest, "the method must be a string") >= 0
	}
	if p := s.parts[partParams]; p.end > 0 && s.b[p.start] != '{' {
		return s.fail(int(p.start), InvalidRequest, "params must be an object") >= 0
	}
	for _, f := range [...]Field{Name, URI, RefName, RefURI} {
		if text, _ := m.Text(f); hasNUL(text) {
			return s.fail(int(m.fields[f].start), InvalidRequest, "a name or URI with a NUL character") >= 0
		}
	}
	m.Method, m.params = intern(method), s.parts[partParams]
	m.Kind = Notification
	if !m.ID.IsZero() {
		m.Kind = Request
	}
	return true
}

func (s *Scanner) answer(kind Kind, part part) bool {
	m, p := s.m, s.parts[part]
	if s.b[p.start] != '{' || s.parts[partParams].end > 0 {
		return s.fail(int(p.start), InvalidRequest, "an answer carries one object, result or error, and no params") >= 0
	}
	if kind == Result {
		m.result = p
		if m.ID.IsZero() {
			return s.fail(0, InvalidRequest, "a result without an id") >= 0
		}
	} else {
		m.failure = p
		code := m.Field(Code)
		if _, ok := m.Text(ErrorMessage); !ok || len(code) == 0 || !safeInteger(code) {
			return s.fail(int(p.start), InvalidRequest, "an error has an integer code and a message") >= 0
		}
	}
	m.Kind = kind
	return true
}

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
