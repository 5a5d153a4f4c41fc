package streamable

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net"
)

const (
	readSize  = 16 << 10 // bytes that are read at once, but of long bodies
	maxHead   = 64 << 10 // bytes of a response's head, with those of the interim responses before it
	maxChunk  = 512      // bytes of the line before a chunk
	firstText = 1 << 20  // bytes that are set aside for a body because of what it says of its length
)

var errTooLong = errors.New("message longer than limits.max_message")

// An inbound reads responses from a connection, one at a time, on buffers of its own.
type inbound struct {
	src     net.Conn
	buf     []byte // buf[r:w] was read and not taken
	r, w    int
	text    []byte // what a body is collected in that is longer than buf
	head    head
	left    int64 // bytes of the body, or of the chunk, that have not been taken
	inChunk bool  // left is a chunk's
	done    bool  // the body was read to its end
}

func (in *inbound) reset(src net.Conn) {
	if in.buf == nil {
		in.buf = make([]byte, readSize)
	}
	in.src, in.r, in.w, in.done = src, 0, 0, false
	in.head = head{last: true} // until there is one
}

// fill reads once, behind what is there.
func (in *inbound) fill() error {
	switch {
	case in.r == in.w:
		in.r, in.w = 0, 0
	case in.w == len(in.buf) && in.r > 0:
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	case in.w == len(in.buf):
		in.buf = append(in.buf, make([]byte, len(in.buf))...)
	}
	n, err := in.src.Read(in.buf[in.w:])
	in.w += n
	if n > 0 {
		return nil // an error comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// readHead reads the head of the response, past interim ones (RFC 9110 section 15.2). io.EOF: not a byte has come.
func (in *inbound) readHead() error {
	budget := maxHead
	for {
		n, err := in.wholeHead(budget)
		if err != nil {
			return err
		}
		err = in.head.parse(in.buf[in.r : in.r+n])
		in.r += n
		budget -= n
		switch {
		case err != nil:
			return err
		case in.head.status == 101:
			return malformed("another protocol, which nobody has asked for")
		case in.head.status >= 200:
			in.startBody()
			return nil
		}
	}
}

// wholeHead reads until a whole head lies in the buffer and returns its length.
func (in *inbound) wholeHead(limit int) (int, error) {
	end := []byte("\r\n\r\n")
	looked := 0
	for {
		got := in.buf[in.r:in.w]
		if i := bytes.Index(got[looked:], end); i >= 0 && looked+i+len(end) <= limit {
			return looked + i + len(end), nil
		}
		if len(got) >= limit {
			return 0, malformed("its head is too long")
		}
		looked = max(0, len(got)-len(end)+1)
		if err := in.fill(); err != nil {
			if errors.Is(err, io.EOF) && len(got) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
}

func (in *inbound) startBody() {
	in.left, in.inChunk, in.done = in.head.length, false, false
	switch {
	case in.head.chunked:
		in.left = 0
	case in.head.length == 0:
		in.done = true
	case in.head.length < 0: // it ends with the connection
		in.head.last = true
	}
}

// reusable reports whether the connection can carry another request: this response is over, and nothing lies behind it.
func (in *inbound) reusable() bool { return in.done && !in.head.last && in.r == in.w }

// Read reads from the body. io.EOF: it is complete.
func (in *inbound) Read(p []byte) (int, error) {
	if in.done {
		return 0, io.EOF
	}
	if in.head.chunked && in.left == 0 {
		if err := in.nextChunk(); err != nil {
			return 0, cut(err)
		}
		if in.done {
			return 0, io.EOF
		}
	}
	bounded := in.head.length >= 0 || in.head.chunked
	if bounded && int64(len(p)) > in.left {
		p = p[:in.left]
	}
	n, err := in.take(p)
	if !bounded {
		in.done = errors.Is(err, io.EOF)
		return n, err
	}
	in.left -= int64(n)
	in.done = in.left == 0 && !in.head.chunked
	return n, cut(err)
}

// take moves what is there, or reads: past the buffer, where it would only be copied.
func (in *inbound) take(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if in.r == in.w {
		if len(p) >= len(in.buf) {
			return in.src.Read(p)
		}
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.buf[in.r:in.w])
	in.r += n
	return n, nil
}

// nextChunk reads what stands before a chunk, and what stands behind the last one.
func (in *inbound) nextChunk() error {
	if in.inChunk {
		if line, err := in.bodyLine(len("\r\n")); err != nil || len(line) > 0 {
			return cmp.Or(err, error(malformed("a chunk is longer than it says")))
		}
	}
	line, err := in.bodyLine(maxChunk)
	if err != nil {
		return err
	}
	if in.left, err = chunkSize(line); err != nil {
		return err
	}
	in.inChunk = true
	if in.left > 0 {
		return nil
	}
	for budget := maxHead; budget > 0; { // trailers, which say nothing to us
		line, err := in.bodyLine(budget)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			in.done = true
			return nil
		}
		budget -= len(line) + len("\r\n")
	}
	return malformed("its trailers are too long")
}

// bodyLine reads a line of at most limit bytes, with its end, between chunks.
func (in *inbound) bodyLine(limit int) ([]byte, error) {
	for {
		got := in.buf[in.r:in.w]
		if i := bytes.IndexByte(got[:min(limit, len(got))], '\n'); i >= 0 {
			in.r += i + 1
			if i == 0 || bytes.IndexByte(got[:i], '\r') != i-1 { // a CR by itself is a line's end to some (RFC 9112 section 2.2)
				return nil, malformed("a line between chunks has a CR or an LF by itself")
			}
			return got[:i-1], nil
		}
		if len(got) >= limit {
			return nil, malformed("a line between chunks is too long")
		}
		if err := in.fill(); err != nil {
			return nil, err
		}
	}
}

// chunkSize reads the size; an extension behind it says nothing to us (RFC 9112 section 7.1.1).
func chunkSize(line []byte) (int64, error) {
	digits, _, _ := bytes.Cut(line, []byte{';'})
	digits = bytes.TrimRight(digits, " \t")
	if len(digits) == 0 || len(digits) > 15 {
		return 0, malformed("a chunk without a size")
	}
	var n int64
	for _, c := range digits {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, malformed("a chunk without a size")
		}
		n = n<<4 | int64(c)
	}
	return n, nil
}

// whole reads the whole body, of at most limit bytes. It is valid until the next use of in.
func (in *inbound) whole(limit int) ([]byte, error) {
	if in.head.length > int64(limit) {
		return nil, errTooLong
	}
	if length := int(in.head.length); length >= 0 && in.r+length <= len(in.buf) {
		for in.w-in.r < length {
			if err := in.fill(); err != nil {
				return nil, cut(err)
			}
		}
		body := in.buf[in.r : in.r+length]
		in.r += length
		in.left, in.done = 0, true
		return body, nil
	}
	text := in.text[:0]
	for {
		if len(text) == cap(text) {
			text = grow(text, in.head.length, limit)
		}
		n, err := in.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		in.text = text
		switch {
		case in.done:
			return text, sized(text, limit)
		case err != nil:
			return nil, err
		case len(text) > limit:
			return nil, errTooLong
		}
	}
}

func sized(text []byte, limit int) error {
	if len(text) > limit {
		return errTooLong
	}
	return nil
}

// grow makes room for a body of that length, -1 if it does not say. What it says is believed up to firstText.
func grow(text []byte, length int64, limit int) []byte {
	size := max(2*cap(text), 2*readSize)
	if length >= 0 {
		size = max(size, min(int(length), firstText))
		size = min(size, int(length))
	}
	size = max(min(size, limit+1), len(text)+1)
	grown := make([]byte, len(text), size)
	copy(grown, text)
	return grown
}

// cut makes an end that came too early one.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// skip drops at most limit bytes of the body. io.EOF: it is complete.
func (in *inbound) skip(limit int) (int, error) {
	var waste [1 << 10]byte
	return in.Read(waste[:min(limit, len(waste))])
}
