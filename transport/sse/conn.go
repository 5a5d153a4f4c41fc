package sse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

var errClosed = errors.New("the session is closed")

// A conn is a session of the deprecated transport: what the server says comes by one stream of events, what it is told goes
// by a POST each.
type conn struct {
	opt      Options
	http     *http.Client
	endpoint string
	life     context.Context // ends with Close
	end      context.CancelCauseFunc

	body    io.ReadCloser
	stream  *Reader
	scanner jsonrpc.Scanner

	events  chan []byte   // from receive to Read; valid until taken is received from
	taken   chan struct{} // Read is done with the event that it got last
	reading bool          // Read has an event that it did not give back; Read's own
	ended   chan struct{} // closed when receive has ended
	err     error         // what Read returns in the end; set before ended is closed

	failed  chan struct{} // something is in answers; holds one
	mu      sync.Mutex
	answers []*jsonrpc.Message // ours, to requests that the server did not take; guarded by mu
}

// receive hands the stream's messages to Read until the stream ends.
func (c *conn) receive() {
	defer close(c.ended)
	defer c.body.Close()
	for {
		e, err := c.stream.Next()
		if err != nil {
			c.err = c.endOf(err)
			return
		}
		if e.Type != "" || len(e.Data) == 0 { // pings of servers, and whatever else is no message
			continue
		}
		select {
		case c.events <- e.Data:
		case <-c.life.Done():
			c.err = io.EOF
			return
		}
		select {
		case <-c.taken:
		case <-c.life.Done():
			c.err = io.EOF
			return
		}
	}
}

// endOf says how the session ended: in order only if we ended it.
func (c *conn) endOf(err error) error {
	switch {
	case c.life.Err() != nil:
		return io.EOF
	case errors.Is(err, io.EOF):
		return &transport.Failure{Cause: transport.SessionGone, Err: errors.New("the server closed the event stream, and this transport cannot reopen a session")}
	default:
		return &transport.Failure{Cause: transport.SessionGone, Err: fmt.Errorf("event stream broke, and this transport cannot reopen a session: %w", err)}
	}
}

// Read implements transport.Conn. The context is not watched: Close ends a Read.
func (c *conn) Read(_ context.Context, dst []jsonrpc.Message) (int, error) {
	if len(dst) == 0 {
		return 0, nil
	}
	if c.reading {
		c.reading = false
		select {
		case c.taken <- struct{}{}:
		case <-c.ended:
		}
	}
	select {
	case data := <-c.events:
		c.reading = true
		_ = c.scanner.Scan(data, &dst[0]) // a message with a fault says so itself
		return 1, nil
	case <-c.failed:
		return c.takeAnswers(dst), nil
	case <-c.ended:
		if n := c.takeAnswers(dst); n > 0 {
			return n, nil
		}
		return 0, c.err
	}
}

func (c *conn) takeAnswers(dst []jsonrpc.Message) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < min(len(dst), len(c.answers)) {
		dst[n] = *c.answers[n]
		n++
	}
	if c.answers = c.answers[n:]; len(c.answers) > 0 {
		c.wake()
	}
	return n
}

func (c *conn) wake() {
	select {
	case c.failed <- struct{}{}:
	default:
	}
}

// Write implements transport.Conn. A request that the server does not take is answered by Read; the session lives on.
func (c *conn) Write(ctx context.Context, msgs ...*jsonrpc.Message) error {
	for _, m := range msgs {
		if c.life.Err() != nil {
			return errClosed
		}
		if err := c.post(ctx, m); err != nil && m.Kind == jsonrpc.Request {
			c.mu.Lock()
			c.answers = append(c.answers, refusal(m, err))
			c.mu.Unlock()
			c.wake()
		}
	}
	return nil
}

// post sends one message. The error is a *transport.Failure.
func (c *conn) post(ctx context.Context, m *jsonrpc.Message) error {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(m.Raw))
	if err != nil {
		return &transport.Failure{Cause: transport.Unsupported, Err: err}
	}
	c.setHeaders(request)
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		cause := transport.Unreachable
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			cause = transport.TimedOut
		}
		return &transport.Failure{Cause: cause, Err: unwrapURL(err)}
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxBody)) // so that the connection serves again
	switch {
	case response.StatusCode >= 200 && response.StatusCode < 300:
		return nil
	case response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusGone:
		return &transport.Failure{Cause: transport.SessionGone, Status: response.StatusCode}
	default:
		return &transport.Failure{Cause: transport.Refused, Status: response.StatusCode}
	}
}

// refusal answers a request in the server's place. Where the server did not say no, it may have got the request.
func refusal(m *jsonrpc.Message, err error) *jsonrpc.Message {
	text := "the request was not sent"
	if f, ok := errors.AsType[*transport.Failure](err); ok {
		text = f.Public()
		if f.Status == 0 {
			text += "; the request may have been executed"
		}
	}
	return jsonrpc.NewError(m.ID, jsonrpc.InternalError, text, nil)
}

// CloseWrite implements transport.Conn. The transport has no sign for it.
func (c *conn) CloseWrite() error { return nil }

// Close implements transport.Conn: it ends the stream, and with it the session.
func (c *conn) Close() error {
	c.end(errClosed)
	<-c.ended
	c.hangUp()
	return nil
}
