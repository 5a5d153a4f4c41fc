package jsonrpc

// A Kind tells what a message is (JSON-RPC 2.0 sections 4 and 5).
type Kind uint8

const (
	Invalid      Kind = iota // not a message that may be forwarded; Message.Fault says why
	Request                  // method and id
	Notification             // method, no id
	Result                   // id and result
	Error                    // error; the id is empty where the sender could not read one
)

func (k Kind) String() string {
	switch k {
	case Request:
		return "request"
	case Notification:
		return "notification"
	case Result:
		return "result"
	case Error:
		return "error"
	case Invalid:
	}
	return "invalid"
}

// A Message is one scanned message. Its slices are parts of Raw and live as long as Raw does.
type Message struct {
	Raw    []byte // compact JSON on one line, without a newline
	Kind   Kind
	ID     ID
	Method string // requests and notifications
	Fault  *Fault // Invalid only
	Own    bool   // made here, not received

	Beside *TraceContext // what came with the message, such as in HTTP headers; nil: nothing

	id, params, result, failure span // id is not known of what was refused
	fields                      [fieldCount]span
}

// A span is a part of Message.Raw; an absent member has none (end 0).
type span struct{ start, end uint32 }

func (m *Message) at(s span) []byte {
	if s.end == 0 {
		return nil
	}
	return m.Raw[s.start:s.end:s.end]
}

// Params returns the raw params object, nil where there is none.
func (m *Message) Params() []byte { return m.at(m.params) }

// Result returns the raw result object, nil where there is none.
func (m *Message) Result() []byte { return m.at(m.result) }

// Failure returns the raw error object, nil where there is none.
func (m *Message) Failure() []byte { return m.at(m.failure) }

// Field returns the raw value of a known member, nil where it is absent.
func (m *Message) Field(f Field) []byte { return m.at(m.fields[f]) }

// Text returns what a known member says, and whether it is present and a string.
func (m *Message) Text(f Field) ([]byte, bool) { return Text(m.Field(f)) }

// Clone returns a copy that shares no memory with m.
func (m *Message) Clone() *Message {
	c := *m
	c.Raw = append([]byte(nil), m.Raw...)
	c.ID = m.ID.Clone()
	if m.Beside != nil {
		c.Beside = &TraceContext{append([]byte(nil), m.Beside.Traceparent...), append([]byte(nil), m.Beside.Tracestate...)}
	}
	return &c
}

// A Fault says why a message was refused.
type Fault struct {
	Code   int    // JSON-RPC error code: ParseError or InvalidRequest
	Reason string // names the rule, never the content
	Offset int    // bytes into the line
	Junk   bool   // no JSON object or array at all: a banner, a stray print
	Silent bool   // it looked like an answer or a notification, so it must not be answered
}

func (f *Fault) Error() string { return f.Reason }

// Error codes of JSON-RPC 2.0 section 5.1.
const (
	ParseError     = -32700
	InvalidRequest = -32600
	MethodNotFound = -32601
	InvalidParams  = -32602
	InternalError  = -32603
)
