package streamable

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"
)

// A wire is one connection. Between being taken from the pool and put back it belongs to one goroutine; only abort may be
// called beside.
type wire struct {
	line                   // the connection itself, with its deadlines
	conn       net.Conn    // what HTTP is spoken over: line, or TLS above it
	alive      func() bool // reports whether the peer has neither closed it nor sent anything; nil: cannot be seen
	abort      func()      // ends what is under way; made once, for context.AfterFunc
	prev, next *wire       // those that one client uses; guarded by Client.mu
}

func newWire(ctx context.Context, raw net.Conn, config *tls.Config) (*wire, error) {
	w := &wire{line: line{Conn: raw}, alive: peekable(raw)}
	w.abort = func() { _ = raw.Close() } // not TLS's own: that would wait to say goodbye
	w.conn = &w.line
	if config == nil {
		return w, nil
	}
	secure := tls.Client(&w.line, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		w.abort()
		return nil, err
	}
	w.conn = secure
	return w, nil
}

// usable reports whether an idle connection may be used again. A server that closes it in the very moment of our request
// cannot be seen; see roundTrip.
func (w *wire) usable() bool {
	if w.alive != nil {
		return w.alive()
	}
	// Servers close connections that were idle for some seconds, and where it cannot be seen it must not be risked.
	const harmless = 2 * time.Second
	return time.Since(w.last) < harmless
}

// copyLimit is the size, in bytes, up to which a body is copied behind its head, so that both leave in one piece.
const copyLimit = 16 << 10

// send writes a request and returns how many bytes have left, at least.
func (w *wire) send(head, body []byte) (sent int, grown []byte, err error) {
	if len(body) <= copyLimit {
		head = append(head, body...)
		sent, err = w.conn.Write(head)
		return sent, head, err
	}
	if w.conn != &w.line { // TLS has no use for two pieces at once
		if sent, err = w.conn.Write(head); err != nil {
			return sent, head, err
		}
		n, err := w.conn.Write(body)
		return sent + n, head, err
	}
	pieces := net.Buffers{head, body}
	for {
		n, err := pieces.WriteTo(w.Conn)
		sent += int(n)
		if n > 0 {
			w.last = time.Now()
		}
		if err == nil || !w.goOn(err) {
			return sent, head, err
		}
	}
}

// A line is a connection on which some time may pass without a byte. The deadline that is set is only ever moved when it
// has fired: then it is known when the last byte came. So a busy connection pays for its deadline once in a while.
type line struct {
	net.Conn
	limit time.Duration // without a byte; 0: none
	last  time.Time     // of the last byte
	end   time.Time     // when it is over whatever comes; zero: never
	armed time.Time     // the deadline that is set; zero: none
	final bool          // armed is the end, whatever comes
}

// mostTimeouts is how many limits a request may take in all, so that none goes on for ever because a byte comes now and then.
const mostTimeouts = 20

// start lets limit pass without a byte from now on; 0: any time.
func (l *line) start(limit time.Duration) {
	now := time.Now()
	l.limit, l.last, l.final, l.end = limit, now, false, time.Time{}
	if limit != 0 {
		l.end = now.Add(mostTimeouts * limit)
	}
	due := now.Add(limit)
	switch {
	case limit == 0 && !l.armed.IsZero():
		l.arm(time.Time{})
	case limit != 0 && (l.armed.Before(now) || l.armed.After(due)):
		l.arm(due)
	}
}

// within ends everything after that time.
func (l *line) within(limit time.Duration) {
	l.final = true
	l.arm(time.Now().Add(limit))
}

func (l *line) arm(due time.Time) {
	l.armed = due
	_ = l.SetDeadline(due) // fails on a closed connection only, as what follows does
}

// goOn reports whether err was a deadline that came too early, and moves it.
func (l *line) goOn(err error) bool {
	if l.final || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	if l.limit == 0 {
		l.arm(time.Time{})
		return true
	}
	due := l.last.Add(l.limit)
	if l.end.Before(due) {
		due = l.end
	}
	if !time.Now().Before(due) {
		return false
	}
	l.arm(due)
	return true
}

func (l *line) Read(p []byte) (int, error) {
	for {
		n, err := l.Conn.Read(p)
		if n > 0 {
			l.last = time.Now()
			return n, err
		}
		if err == nil || !l.goOn(err) {
			return n, err
		}
	}
}

func (l *line) Write(p []byte) (int, error) {
	written := 0
	for {
		n, err := l.Conn.Write(p[written:])
		written += n
		if err == nil {
			return written, nil
		}
		if n > 0 {
			l.last = time.Now()
		}
		if !l.goOn(err) {
			return written, err
		}
	}
}
