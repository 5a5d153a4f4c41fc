package jsonrpc

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// The functions of this file build messages of our own. They are scanned like any other, so that nothing leaves
// that would not be let in.

// NewError returns the error answer to a request. A zero id is left out (MCP: the id is omitted where it could
// not be read). data is raw JSON, nil for none.
func NewError(id ID, code int, message string, data []byte) *Message {
	b := appendHead(id)
	b = append(b, `,"error":{"code":`...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, `,"message":`...)
	b = AppendString(b, message)
	if data != nil {
		b = append(append(b, `,"data":`...), data...)
	}
	return own(append(b, `}}`...))
}

// NewResult returns the answer to a request; result is a raw JSON object.
func NewResult(id ID, result []byte) *Message {
	b := append(appendHead(id), `,"result":`...)
	return own(append(append(b, result...), '}'))
}

// NewRequest returns a request of our own, a notification if the id is zero; params is a raw JSON object, nil for none.
func NewRequest(id ID, method string, params []byte) *Message {
	b := append(appendHead(id), `,"method":`...)
	b = AppendString(b, method)
	if params != nil {
		b = append(append(b, `,"params":`...), params...)
	}
	return own(append(b, '}'))
}

// StringID returns the id of that text, which must be a valid one.
func StringID(text string) ID { return ID{AppendString(nil, text)} }

// Replace returns m with another value in place of a known member's, everything else byte for byte.
func (m *Message) Replace(f Field, value []byte) *Message {
	s := m.fields[f]
	return own(slices.Concat(m.Raw[:s.start], value, m.Raw[s.end:]))
}

// ReplaceResult returns m with another result object, everything else byte for byte.
func (m *Message) ReplaceResult(object []byte) *Message {
	return own(slices.Concat(m.Raw[:m.result.start], object, m.Raw[m.result.end:]))
}

// Without returns a JSON object less the members of that name.
func Without(object []byte, name string) []byte {
	b := []byte{'{'}
	for n, value := range Members(object) {
		if string(n) == name {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(AppendString(b, string(n)), ':')
		b = append(b, value...)
	}
	return append(b, '}')
}

// AppendString appends text as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendString[T string | []byte](dst []byte, text T) []byte {
	dst, _ = jsontext.AppendQuote(dst, text) // the error tells of bad UTF-8, which is mended
	return dst
}

func appendHead(id ID) []byte {
	b := append(make([]byte, 0, 256), `{"jsonrpc":"2.0"`...)
	if id.IsZero() {
		return b
	}
	return append(append(b, `,"id":`...), id.token...)
}

func own(raw []byte) *Message {
	m := &Message{}
	_ = Scan(raw, m) // it is our own
	m.Own = true
	return m
}
