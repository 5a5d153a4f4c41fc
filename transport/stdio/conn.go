package stdio

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	// DefaultMaxMessage bounds one line, in bytes.
	DefaultMaxMessage = 64 << 20

	readSize  = 64 << 10 // the read buffer's least size
	keepSize  = 4 << 20  // a read buffer that had to grow beyond this shrinks again
	writeSize = 64 << 10 // messages shorter than this are written together, longer ones where they lie
	headSize  = 4 << 10  // kept from the beginning of an oversized line
	endSize   = 256      // and from its end
)

// Options of a Conn.
type Options struct {
	MaxMessage int               // bytes of a line; 0: DefaultMaxMessage
	MaxDepth   int               // 0: jsonrpc.DefaultMaxDepth
	Junk       func(line []byte) // is shown each line that is no message at all (a banner, a stray print); nil: nobody
}

// A Conn speaks MCP's stdio framing (basic/transports/stdio): one message a line, ended by LF. It accepts CR LF, blank
// lines and a last line without an end. Reads and writes of blocking files cannot be interrupted: Close
// does not wake a Read that waits.
type Conn struct {
	in      io.Reader
	out     *os.File
	opt     Options
	scanner jsonrpc.Scanner

	buf        []byte // what was read; the unread part is buf[start:end]
	start, end int
	seen       int    // bytes of the unread part known to hold no newline
	head, tail []byte // of an oversized line that is being skipped; head is nil otherwise
	err        error  // of the last read, once everything before it is delivered

	pending   []byte // lines on their way into one write
	inGrown   bool   // the pipe behind in was made larger, or cannot be
	outGrown  bool
	closeOnce sync.Once
	closeErr  error
}

// NewConn returns a Conn that reads from in and writes to out. It owns neither until Close.
func NewConn(in io.Reader, out *os.File, opt Options) *Conn {
	if opt.MaxMessage <= 0 {
		opt.MaxMessage = DefaultMaxMessage
	}
	return &Conn{in: in, out: out, opt: opt, scanner: jsonrpc.Scanner{MaxDepth: opt.MaxDepth}, buf: make([]byte, readSize)}
}

// Read implements transport.Conn. The context is not watched: see Conn.
func (c *Conn) Read(_ context.Context, dst []jsonrpc.Message) (int, error) {
	n := 0
	for n < len(dst) {
		line, ok := c.line()
		if ok {
			if c.deliver(line, &dst[n]) {
				n++
			}
			continue
		}
		if n > 0 {
			return n, nil
		}
		if c.err != nil {
			return c.last(dst)
		}
		c.fill()
	}
	return n, nil
}

// line takes the next whole line out of what was read, without its end.
func (c *Conn) line() ([]byte, bool) {
	i := bytes.IndexByte(c.buf[c.start+c.seen:c.end], '\n')
	if i < 0 {
		c.seen = c.end - c.start
		return nil, false
	}
	line := c.buf[c.start : c.start+c.seen+i]
	c.start += c.seen + i + 1
	c.seen = 0
	return line, true
}

// deliver scans a line into m and reports whether there is anything in it to deliver.
func (c *Conn) deliver(line []byte, m *jsonrpc.Message) bool {
	if c.skipping(line) {
		c.oversized(line, m)
		return true
	}
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if len(bytes.TrimSpace(line)) == 0 {
		return false
	}
	if fault := c.scanner.Scan(line, m); fault != nil && fault.Junk && c.opt.Junk != nil {
		c.opt.Junk(line)
	}
	return true
}

// last delivers an unterminated last line, then the error that ended the stream.
func (c *Conn) last(dst []jsonrpc.Message) (int, error) {
	line := c.buf[c.start:c.end]
	c.start, c.end, c.seen = 0, 0, 0
	if (len(line) > 0 || c.head != nil) && c.deliver(line, &dst[0]) {
		return 1, nil
	}
	return 0, c.err
}

// fill reads once. Everything that was read before and is unread lies in front of it afterwards.
func (c *Conn) fill() {
	c.skipOversized()
	unread := c.end - c.start
	switch {
	case unread == 0 && len(c.buf) > keepSize:
		c.buf = make([]byte, readSize)
		c.start, c.end = 0, 0
	case unread == 0:
		c.start, c.end = 0, 0
	case c.end == len(c.buf) && c.start > 0:
		copy(c.buf, c.buf[c.start:c.end])
		c.start, c.end = 0, unread
	}
	if c.end == len(c.buf) {
		grow(c.in, &c.inGrown)
		grown := make([]byte, min(2*len(c.buf), c.opt.MaxMessage+readSize))
		copy(grown, c.buf)
		c.buf = grown
	}
	n, err := c.in.Read(c.buf[c.end:])
	c.end += n
	if err != nil {
		c.err = err
	}
}

// skipOversized drops what was read of a line that is too long, but its beginning and its end.
func (c *Conn) skipOversized() {
	if unread := c.buf[c.start:c.end]; c.skipping(unread) {
		c.keepTail(unread)
		c.start, c.end, c.seen = 0, 0, 0
	}
}

// skipping reports whether the line that these are the first or next bytes of is too long, and keeps its beginning.
func (c *Conn) skipping(part []byte) bool {
	if c.head == nil && len(part) > c.opt.MaxMessage {
		c.head = bytes.Clone(part[:min(headSize, len(part))])
	}
	return c.head != nil
}

func (c *Conn) keepTail(part []byte) {
	c.tail = append(c.tail, part[max(0, len(part)-endSize):]...)
	c.tail = c.tail[max(0, len(c.tail)-endSize):]
}

// oversized makes the message that stands for a line that was too long; rest is its end.
func (c *Conn) oversized(rest []byte, m *jsonrpc.Message) {
	c.keepTail(rest)
	if fault := c.scanner.Scan(c.head, m); fault == nil { // the beginning happens to be a whole message
		*m = jsonrpc.Message{Raw: c.head, Fault: &jsonrpc.Fault{}}
	}
	m.Fault.Code, m.Fault.Reason = jsonrpc.InvalidRequest, "message longer than limits.max_message"
	jsonrpc.SalvageTail(m, c.tail)
	c.head, c.tail = nil, nil
}

// Write implements transport.Conn. Each message leaves as one line; short ones leave together.
func (c *Conn) Write(_ context.Context, msgs ...*jsonrpc.Message) error {
	c.pending = c.pending[:0]
	for _, m := range msgs {
		if len(c.pending)+len(m.Raw) >= writeSize {
			if err := c.flush(); err != nil {
				return err
			}
		}
		if len(m.Raw) >= writeSize {
			grow(c.out, &c.outGrown)
			if _, err := c.out.Write(m.Raw); err != nil {
				return err
			}
		} else {
			c.pending = append(c.pending, m.Raw...)
		}
		c.pending = append(c.pending, '\n')
	}
	return c.flush()
}

// grow makes the pipe behind an end larger once a message shows that it pays. Not before: what a user's pipes may hold
// together is limited, and when it is used up new ones are small.
func grow(end any, done *bool) {
	if f, ok := end.(*os.File); ok && !*done {
		growPipe(f)
	}
	*done = true
}

func (c *Conn) flush() error {
	if len(c.pending) == 0 {
		return nil
	}
	_, err := c.out.Write(c.pending)
	c.pending = c.pending[:0]
	return err
}

// CloseWrite implements transport.Conn.
func (c *Conn) CloseWrite() error {
	c.closeOnce.Do(func() { c.closeErr = c.out.Close() })
	return c.closeErr
}

// Close implements transport.Conn.
func (c *Conn) Close() error { return c.CloseWrite() }
