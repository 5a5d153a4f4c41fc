package jsonrpc

import (
	"fmt"
	"math"
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
	if !m.ID.IsZero() {
		m.id = s.parts[partRequestID]
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
