package streamable

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/sse"
)

const (
	// A stream that broke is asked for again after the time that the server has named.
	defaultRetry = time.Second
	longestRetry = 30 * time.Second
	maxResumes   = 5 // in a row that bring nothing
)

// A stream is what is known of a stream of events. It goes on when the stream is resumed on another connection.
type stream struct {
	x     *exchange
	yield transport.Yield
	event sse.Event     // the last one
	last  string        // its id: the stream can be resumed behind it; "": it cannot
	retry time.Duration // 0: the server has named none
	fresh bool          // something has come since it was resumed
}

// next returns the next event's message, nil if it carries none. io.EOF: the stream is complete.
func (s *stream) next() (*jsonrpc.Message, error) {
	e, err := s.x.events.Next()
	if err != nil {
		return nil, err
	}
	s.event, s.fresh = e, true
	s.x.longEvent = s.x.longEvent || len(e.Data) > keptText
	if e.HasID {
		s.last = e.ID
	}
	if e.Retry > 0 {
		s.retry = e.Retry
	}
	if e.Type != "" || len(e.Data) == 0 { // other types are no messages; those without data prime the client for resuming
		return nil, nil
	}
	return s.x.scan(e.Data)
}

func (s *stream) deliver(m *jsonrpc.Message) error {
	if m == nil && !s.event.HasID && s.event.Retry == 0 {
		return nil
	}
	err := s.x.deliver(s.yield, transport.Arrival{Message: m, EventID: s.event.ID, Retry: s.event.Retry})
	s.x.wire.last = time.Now() // the server is not to blame for the time that our client has taken
	return err
}

// streamed takes an answer that comes as the last message of a stream.
func (x *exchange) streamed(ctx context.Context, request *jsonrpc.Message, yield transport.Yield) error {
	s := &stream{x: x, yield: yield, fresh: true}
	x.untimed(request)
	until := x.wire.end
	for tries := 0; ; {
		if !until.IsZero() && x.wire != nil {
			x.wire.end = until // also of what is resumed
		}
		if !until.IsZero() && time.Now().After(until) {
			return os.ErrDeadlineExceeded
		}
		answered, err := s.untilAnswer(request)
		if answered || err != nil && !s.resumable(err) {
			return err
		}
		if s.fresh {
			tries = 0
		}
		if tries++; tries > maxResumes {
			return cut(err)
		}
		if err := s.resume(ctx, request, tries); err != nil {
			return err
		}
	}
}

// untimed lifts the limit from a stream that is there to wait.
func (x *exchange) untimed(request *jsonrpc.Message) {
	if request.Method == "subscriptions/listen" {
		x.wire.start(0)
	}
}

// untilAnswer hands over what comes. Without an answer, the error says how the stream ended.
func (s *stream) untilAnswer(request *jsonrpc.Message) (answered bool, err error) {
	if s.x.wire == nil {
		return false, io.EOF
	}
	for {
		m, err := s.next()
		if err != nil {
			return false, err
		}
		final := m != nil && (m.Kind == jsonrpc.Result || m.Kind == jsonrpc.Error)
		if final {
			if m, err = s.x.answerTo(request, m); err != nil {
				return false, err
			}
		}
		if err := s.deliver(m); err != nil {
			return false, err
		}
		if final {
			s.x.drain()
			return true, nil
		}
	}
}

// resumable reports whether the stream may be asked for again: it ended, or its connection did, and the server has said
// from where it can go on (2025-11-25, Streamable HTTP, "Resumability and Redelivery"). There is no such thing without
// sessions.
func (s *stream) resumable(err error) bool {
	if s.x.modern || s.last == "" || !fieldValue(s.last) || s.x.refused != nil {
		return false
	}
	var broken *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &broken) && !broken.Timeout()
}

// resume asks for the rest of the stream on another connection. Where that cannot be reached, the next try follows.
func (s *stream) resume(ctx context.Context, request *jsonrpc.Message, tries int) error {
	x := s.x
	x.hangUp()
	if err := s.pause(ctx, tries); err != nil {
		return err
	}
	s.fresh = false
	x.bare(x.pool.origin.get, s.last)
	if err := x.roundTrip(ctx, nil, x.pool.opt.Timeout); err != nil {
		x.hangUp()
		return lasting(ctx, err)
	}
	if err := x.refusal(); err != nil {
		status := x.in.head.status
		x.hangUp()
		if status >= 500 {
			return nil
		}
		cause := transport.Unreachable
		if x.sessionGone() {
			cause, status = transport.SessionGone, 0 // which would mean that the request was not executed
		}
		return &transport.Failure{Cause: cause, Status: status, Err: errors.New("the stream broke and the server does not resume it")}
	}
	if err := x.eventStream(); err != nil {
		return err
	}
	x.untimed(request)
	return nil
}

// lasting returns err if trying again is of no use.
func lasting(ctx context.Context, err error) error {
	var bad malformed
	if ctx.Err() != nil || errors.As(err, &bad) || errors.Is(err, errClosed) {
		return err
	}
	return nil
}

// pause waits for the time that the server has named, longer each time that it was of no use.
func (s *stream) pause(ctx context.Context, tries int) error {
	wait := s.retry
	if wait == 0 {
		wait = defaultRetry
	}
	timer := time.NewTimer(min(wait<<(tries-1), longestRetry))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.x.client.life.Done():
		return errClosed
	}
}
