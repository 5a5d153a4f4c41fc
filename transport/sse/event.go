package sse

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// An Event is one block of a stream.
type Event struct {
	Type  string // "" is a message; a reader gives "" for "message" too
	Data  []byte // nil: none, such an event only carries an id or a retry time
	ID    string // the last event id from here on, if HasID
	HasID bool
	Retry time.Duration // the reconnection time from here on; 0: none given
}

// Append appends the event to dst, with the blank line that sends it off. A line break in the data, of whatever kind,
// comes out as a line feed at the reader. A type or id that cannot be written (with a line break, or NUL in an id) is left
// out, so nothing in an event can begin another field.
func Append(dst []byte, e Event) []byte {
	if e.Type != "" && !strings.ContainsAny(e.Type, "\r\n") {
		dst = appendField(dst, "event: ", e.Type)
	}
	if e.HasID && !strings.ContainsAny(e.ID, "\r\n\x00") {
		dst = appendField(dst, "id: ", e.ID)
	}
	if e.Retry > 0 {
		dst = append(dst, "retry: "...)
		dst = strconv.AppendInt(dst, milliseconds(e.Retry), 10)
		dst = append(dst, '\n')
	}
	if e.Data != nil {
		dst = appendData(dst, e.Data)
	}
	return append(dst, '\n')
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, value...)
	return append(dst, '\n')
}

func appendData(dst, data []byte) []byte {
	if bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\r') < 0 { // as a rule, and much faster
		return appendLine(dst, data)
	}
	for {
		end := bytes.IndexAny(data, "\r\n")
		if end < 0 {
			return appendLine(dst, data)
		}
		dst = appendLine(dst, data[:end])
		data = data[end+breakLen(data[end:]):]
	}
}

func appendLine(dst, line []byte) []byte {
	dst = append(dst, "data: "...)
	dst = append(dst, line...)
	return append(dst, '\n')
}

// breakLen returns the length of the line break that b begins with.
func breakLen(b []byte) int {
	if len(b) > 1 && b[0] == '\r' && b[1] == '\n' {
		return 2
	}
	return 1
}

// milliseconds rounds up, so that a time that is set stays set.
func milliseconds(d time.Duration) int64 {
	return int64((d-1)/time.Millisecond) + 1
}
