package telemetry

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
)

// A message is one of OTLP as it is built: protobuf, whose wire format is frozen, and so are the numbers of OTLP's fields. We write
// it by hand, since the generated types cost every start of every wrapper a fifth of a millisecond, and every attribute four
// allocations. Tests read it with the generated ones. Zero values are left out, as proto3 wants it.
type message []byte

// The wire types of protobuf ("Encoding").
const (
	varintType  = 0
	fixed64Type = 1
	bytesType   = 2
	fixed32Type = 5
)

func (m message) tag(field, kind int) message {
	return binary.AppendUvarint(m, uint64(field)<<3|uint64(kind)) //nolint:gosec // constants
}

func (m message) varint(field int, v uint64) message {
	if v == 0 {
		return m
	}
	return binary.AppendUvarint(m.tag(field, varintType), v)
}

func (m message) fixed64(field int, v uint64) message {
	if v == 0 {
		return m
	}
	return binary.LittleEndian.AppendUint64(m.tag(field, fixed64Type), v)
}

func (m message) fixed32(field int, v uint32) message {
	return binary.LittleEndian.AppendUint32(m.tag(field, fixed32Type), v)
}

// double is that of a field that says whether it is there: zero too is written.
func (m message) double(field int, v float64) message {
	return binary.LittleEndian.AppendUint64(m.tag(field, fixed64Type), math.Float64bits(v))
}

func (m message) bytes(field int, v []byte) message {
	if len(v) == 0 {
		return m
	}
	return append(binary.AppendUvarint(m.tag(field, bytesType), uint64(len(v))), v...)
}

func (m message) text(field int, v string) message {
	if v == "" {
		return m
	}
	return append(binary.AppendUvarint(m.tag(field, bytesType), uint64(len(v))), v...)
}

// inner adds a message, also an empty one.
func (m message) inner(field int, fill func(message) message) message {
	m = m.tag(field, bytesType)
	start := len(m)
	m = fill(m)
	var size [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(size[:], uint64(len(m)-start)) //nolint:gosec // not negative
	return slices.Insert(m, start, size[:n]...)
}

// packed adds a list of numbers of 64 bits.
func (m message) packed(field, n int, at func(i int) uint64) message {
	if n == 0 {
		return m
	}
	m = binary.AppendUvarint(m.tag(field, bytesType), uint64(n)*8) //nolint:gosec // not negative
	for i := range n {
		m = binary.LittleEndian.AppendUint64(m, at(i))
	}
	return m
}

// about adds the resource, field 1 wherever it stands.
func (m message) about(r *resource.Resource) message {
	return m.inner(1, func(m message) message { return m.attributes(1, r.Attributes()) })
}

// scope adds what made the data, field 1 wherever it stands.
func (m message) scope(s instrumentation.Scope) message {
	return m.inner(1, func(m message) message { return m.text(1, s.Name).text(2, s.Version) })
}

// attributes adds a list of KeyValue. Kinds that we do not make ourselves, which only the environment could bring, go as text.
func (m message) attributes(field int, all []attribute.KeyValue) message {
	for _, a := range all {
		m = m.inner(field, func(m message) message {
			return m.text(1, string(a.Key)).inner(2, func(m message) message {
				switch a.Value.Type() { // AnyValue is a oneof: zero too is written
				case attribute.BOOL:
					m = m.tag(2, varintType)
					if a.Value.AsBool() {
						return append(m, 1)
					}
					return append(m, 0)
				case attribute.INT64:
					return binary.AppendUvarint(m.tag(3, varintType), uint64(a.Value.AsInt64())) //nolint:gosec // two's complement is the format
				case attribute.FLOAT64:
					return m.double(4, a.Value.AsFloat64())
				case attribute.STRING:
					return m.inner(1, func(m message) message { return append(m, a.Value.AsString()...) })
				default:
					return m.inner(1, func(m message) message { return append(m, shorten(a.Value.String(), maxURI)...) })
				}
			})
		})
	}
	return m
}

// nanoseconds gives a time as OTLP has it.
func nanoseconds(t time.Time) uint64 {
	return uint64(max(0, t.UnixNano()))
}

// A refusal is what a collector has not taken of a message, and why (ExportTracePartialSuccess and its likes). Zero, and no text:
// it has taken all.
type refusal struct {
	rejected int64
	text     string
}

// readRefusal reads an answer: field 1 of it is a refusal, whose fields are 1 and 2. What cannot be read is no refusal: a
// collector that answers 200 has what we sent, and says so in its own way.
func readRefusal(answer []byte) refusal {
	var r refusal
	inside, err := field(answer, 1, bytesType)
	if err != nil {
		return refusal{}
	}
	if count, err := field(inside.bytes, 1, varintType); err == nil {
		r.rejected = int64(count.number) //nolint:gosec // two's complement is the format
	}
	if text, err := field(inside.bytes, 2, bytesType); err == nil {
		r.text = shorten(string(text.bytes), maxText)
	}
	return r
}

// A value is one field that was read.
type value struct {
	number uint64 // of varintType
	bytes  []byte // of bytesType
}

var errNoField = errors.New("no such field, or no message")

// field finds the last one of a number and a wire type, which is the one that counts: of another type it is an unknown field.
func field(text []byte, number, kind uint64) (last value, err error) {
	err = errNoField
	for len(text) > 0 {
		tag, n := binary.Uvarint(text)
		if n <= 0 {
			return value{}, errNoField
		}
		text = text[n:]
		var v value
		switch tag & 7 {
		case varintType:
			if v.number, n = binary.Uvarint(text); n <= 0 {
				return value{}, errNoField
			}
		case fixed64Type:
			n = 8
		case fixed32Type:
			n = 4
		case bytesType:
			size, k := binary.Uvarint(text)
			if k <= 0 || size > uint64(len(text)-k) { //nolint:gosec // not negative
				return value{}, errNoField
			}
			n = k + int(size) //nolint:gosec // within the text
			v.bytes = text[k:n]
		default:
			return value{}, errNoField
		}
		if n > len(text) {
			return value{}, errNoField
		}
		text = text[n:]
		if tag == number<<3|kind {
			last, err = v, nil
		}
	}
	return last, err
}
