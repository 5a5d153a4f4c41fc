package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// firstBuffer is what a reader starts with, in bytes: most events fit.
	firstBuffer = 4 << 10
	// idleBuffer is the most, in bytes, that a reader keeps over calmTimes small events in a row.
	idleBuffer = 64 << 10
	calmTimes  = 16
	// maxField bounds an event's type and id, in bytes.
	maxField = 4 << 10
	// maxName is what a line of data has beside the data: "data: ", a byte order mark.
	maxName = 16
	// maxRetry bounds the digits of a retry time: 11 days in milliseconds.
	maxRetry = 9
	// maxLimit is the largest limit, in bytes, that the reader can compute with.
	maxLimit = 1 << 29
	// maxEmptyReads bounds the reads in a row that bring nothing.
	maxEmptyReads = 100
)

// ErrTooLong is returned for an event, or a line of one, over the limit.
var ErrTooLong = errors.New("event is too long")

// A Reader reads the events of a stream. It holds one event at a time, in a buffer of at most some times the size of the
// largest one, and gives that back after some small ones.
type Reader struct {
	src io.Reader
	max int
	err error // what src ended with; sticky

	// buf[data0:data1] is the data of the event that is being read, already joined; buf[next:end] was not looked at.
	buf          []byte
	data0, data1 int
	next, end    int
	lf, cr       mark // of the first such byte from next on

	first  bool // the next line is the stream's first, where a byte order mark may be
	skipLF bool // the last line ended with CR at the end of what had come: LF now belongs to it
	calm   int  // events in a row that fit idleBuffer

	event          Event  // that is being read, but for its data
	lastType, last string // so that equal ones are made once
}

// A mark remembers how far a byte was looked for, so that no byte is looked at twice.
type mark struct {
	at    int  // where the byte is, or up to where there is none
	found bool // whether it is there
}

// NewReader returns a reader of events with at most maxEvent bytes of data.
func NewReader(src io.Reader, maxEvent int) *Reader {
	r := &Reader{}
	r.Reset(src, maxEvent)
	return r
}

// Reset makes the reader one of another stream, as NewReader does, but keeps its buffer: for short streams, one after the
// other.
func (r *Reader) Reset(src io.Reader, maxEvent int) {
	*r = Reader{src: src, max: min(maxEvent, maxLimit), buf: r.buf, first: true, lastType: r.lastType}
}

// Next returns the next event that has data, an id or a retry time. Its data is valid until the next call. At the end of
// the stream it returns io.EOF: what was read of an unfinished event is dropped, as the standard says.
func (r *Reader) Next() (Event, error) {
	r.begin()
	for {
		line, err := r.line()
		if err != nil {
			return Event{}, err
		}
		if len(line) > 0 {
			if err := r.field(line); err != nil {
				r.err = err
				return Event{}, err
			}
			continue
		}
		if e, ok := r.finish(); ok {
			return e, nil
		}
	}
}

// begin forgets the event before.
func (r *Reader) begin() {
	if r.data1-r.data0 > idleBuffer || r.end-r.next > idleBuffer {
		r.calm = 0
	} else {
		r.calm++
	}
	r.data0, r.data1 = -1, -1
	r.event = Event{}
}

// finish returns the event at its blank line, if it is one.
func (r *Reader) finish() (Event, bool) {
	e := r.event
	if r.data0 >= 0 {
		e.Data = r.buf[r.data0:r.data1:r.data1]
	} else if !e.HasID && e.Retry == 0 {
		r.event = Event{} // a type without data is none
		return Event{}, false
	}
	return e, true
}

// field takes a line that is not blank.
func (r *Reader) field(line []byte) error {
	name, value, found := bytes.Cut(line, []byte{':'})
	switch {
	case !found:
		value = line[len(line):] // addData needs to know where
	case len(value) > 0 && value[0] == ' ':
		value = value[1:]
	}
	switch string(name) {
	case "data":
		return r.addData(value)
	case "event":
		if len(value) > maxField {
			return fmt.Errorf("read event type: %w", ErrTooLong)
		}
		if string(value) != r.lastType {
			r.lastType = string(value)
		}
		r.event.Type = r.lastType
		if r.event.Type == "message" {
			r.event.Type = ""
		}
	case "id":
		if len(value) > maxField {
			return fmt.Errorf("read event id: %w", ErrTooLong)
		}
		if bytes.IndexByte(value, 0) < 0 {
			if string(value) != r.last {
				r.last = string(value)
			}
			r.event.ID, r.event.HasID = r.last, true
		}
	case "retry":
		if ms, ok := digits(value); ok {
			r.event.Retry = time.Duration(ms) * time.Millisecond
		}
	default: // comments have an empty name; "If the field name is anything else: The field is ignored."
	}
	return nil
}

// addData joins value to the data. It always lies behind them in the buffer, with its own name between, so it is only
// moved when there are data before it. Its place follows from its capacity, as it is a part of the buffer.
func (r *Reader) addData(value []byte) error {
	at := cap(r.buf) - cap(value)
	if r.data0 < 0 {
		r.data0, r.data1 = at, at+len(value)
	} else {
		r.buf[r.data1] = '\n'
		r.data1 += 1 + copy(r.buf[r.data1+1:], value)
	}
	if r.data1-r.data0 > r.max {
		return fmt.Errorf("read event of over %d bytes: %w", r.max, ErrTooLong)
	}
	return nil
}

// digits reads a retry time: "If the field value consists of only ASCII digits".
func digits(value []byte) (int64, bool) {
	if len(value) == 0 {
		return 0, false
	}
	var n int64
	for i, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		if i < maxRetry {
			n = n*10 + int64(c-'0')
		}
	}
	return n, true
}

// line returns the next line without its end.
func (r *Reader) line() ([]byte, error) {
	for {
		if r.skipLF && r.next < r.end {
			r.skipLF = false
			if r.buf[r.next] == '\n' {
				r.next++
			}
		}
		if end, ok := r.lineEnd(); ok {
			line := r.buf[r.next:end]
			r.next = end + 1
			if r.buf[end] == '\r' {
				if r.next == r.end {
					r.skipLF = true
				} else if r.buf[r.next] == '\n' {
					r.next++
				}
			}
			if r.first {
				r.first = false
				line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
			}
			return line, nil
		}
		if limit := max(r.max, maxField); r.end-r.next > limit+maxName {
			r.err = fmt.Errorf("read line of over %d bytes: %w", limit, ErrTooLong)
		}
		if r.err != nil {
			return nil, r.err
		}
		r.fill()
	}
}

// lineEnd returns where the line at next ends, if that has come.
func (r *Reader) lineEnd() (int, bool) {
	r.find(&r.lf, '\n')
	r.find(&r.cr, '\r')
	if r.cr.found && (!r.lf.found || r.cr.at < r.lf.at) {
		return r.cr.at, true
	}
	return r.lf.at, r.lf.found
}

// find brings a mark up to date.
func (r *Reader) find(m *mark, c byte) {
	if m.found && m.at >= r.next {
		return
	}
	from := max(m.at, r.next)
	if i := bytes.IndexByte(r.buf[from:r.end], c); i >= 0 {
		*m = mark{at: from + i, found: true}
		return
	}
	*m = mark{at: r.end}
}

// fill reads once. What was read of the event and what was not looked at is kept.
func (r *Reader) fill() {
	r.makeRoom()
	for range maxEmptyReads {
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		r.err = err
		if n > 0 || err != nil {
			return
		}
	}
	r.err = io.ErrNoProgress
}

// makeRoom moves what is kept to the front of the buffer if that is full, and takes a larger one if that does not help, or
// a small one if the large one was not needed for long.
func (r *Reader) makeRoom() {
	kept := r.data1 - r.data0 + r.end - r.next
	if kept > 0 && r.end < len(r.buf) {
		return
	}
	buf := r.buf
	shrink := kept == 0 && len(buf) > idleBuffer && r.calm > calmTimes
	switch {
	case shrink:
		buf = make([]byte, firstBuffer)
	case 2*kept >= len(buf):
		buf = make([]byte, max(firstBuffer, min(2*len(buf), 2*(r.max+maxName)), kept+firstBuffer))
	}
	data := 0
	if r.data0 >= 0 {
		data = copy(buf, r.buf[r.data0:r.data1])
		r.data0, r.data1 = 0, data
	}
	r.lf.shift(r.next, data)
	r.cr.shift(r.next, data)
	r.end = data + copy(buf[data:], r.buf[r.next:r.end])
	r.next = data
	r.buf = buf
}

// shift follows a move of what begins at from.
func (m *mark) shift(from, to int) {
	if m.at < from {
		*m = mark{at: to}
		return
	}
	m.at += to - from
}
