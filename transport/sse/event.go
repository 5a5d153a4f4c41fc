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
	for {
		line := data
		end := lineEnd(data)
		if end >= 0 {
			line = data[:end]
		}
		dst = append(dst, "data: "...)
		dst = append(dst, line...)
		dst = append(dst, '\n')
		if end < 0 {
			return dst
		}
		data = data[end+breakLen(data[end:]):]
	}
}

// lineEnd returns where the first line of data ends, -1 if it is the last one.
func lineEnd(data []byte) int {
	lf := bytes.IndexByte(data, '\n')
	if lf >= 0 {
		data = data[:lf]
	}
	if cr := bytes.IndexByte(data, '\r'); cr >= 0 {
		return cr
	}
	return lf
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
