package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// An Upstream is a server as a Link uses it: many requests at once, each with what belongs to it. All methods may be
// called beside one another. An error of Call and Send is a *Failure, or that of the context.
type Upstream interface {
	// Call sends a request and hands over, on the caller's goroutine, what the server says because of it, in order; the
	// answer comes last and ends it. When the context ends first, the server is told that nobody waits any more.
	// An error of yield ends the call likewise and is returned.
	Call(ctx context.Context, request *jsonrpc.Message, yield Yield) error
	// Send sends what has no answer: a notification, or the answer to a request of the server.
	Send(ctx context.Context, m *jsonrpc.Message) error
	// Listen hands over what the server says unasked, until the context or the server ends, or yield returns an error. The
	// first Arrival is empty: the stream is open, which a client may wait for before it goes on.
	// after is the id of the last event that the client has seen, "" for none. ErrNoStream: the server has no such stream.
	Listen(ctx context.Context, after string, yield Yield) error
	// Close ends the session, if there is one. What is under way ends with a Failure. It is idempotent.
	Close() error
}

// A Yield takes what a server says. The message is valid until it returns.
type Yield func(Arrival) error

// An Arrival is a message of a server, or of ours in its place, with what its transport says beside it.
type Arrival struct {
	Message *jsonrpc.Message // nil: an event that carries none, but an id or a retry time
	Status  int              // of the HTTP response whose whole body it was; 0: it came by another way
	EventID string           // of the server-sent event that brought it: a client may resume behind it
	Retry   time.Duration    // the reconnection time that the server asks for; 0: none
	Failure *Failure         // why the message is ours in place of an answer of the server's; nil: it is not
}

// ErrNoStream is what Listen returns where the server says nothing unasked.
var ErrNoStream = errors.New("the server has no stream for what it says unasked")

// A Failure is a request that got no answer of the server.
type Failure struct {
	Cause      FailureCause
	Status     int           // HTTP status that the server gave to the request, 0 if none
	RetryAfter time.Duration // 0: not known
	Err        error         // for the log, never for a client; may be nil
}

// Unsent marks the error of a request of which nothing has reached the server: it was surely not executed.
type Unsent struct{ Err error }

func (u Unsent) Error() string { return u.Err.Error() }

func (u Unsent) Unwrap() error { return u.Err }

// NotExecuted says so to who does not know this type.
func (Unsent) NotExecuted() bool { return true }

// A FailureCause says whose fault it was that there is no answer.
type FailureCause uint8

const (
	Unreachable FailureCause = iota + 1 // no connection, or it broke
	TimedOut                            // no answer in time
	BadAnswer                           // the answer was no message that may be delivered
	Refused                             // the server or its proxy answered with an HTTP error and no message
	SessionGone                         // the server does not know the session (any more)
	Overloaded                          // we do not ask: the breaker is open, or too much is in flight
	Unsupported                         // this upstream cannot carry such a message
)

func (c FailureCause) String() string {
	switch c {
	case Unreachable:
		return "server unreachable"
	case TimedOut:
		return "server did not answer in time"
	case BadAnswer:
		return "server gave an invalid answer"
	case Refused:
		return "server refused the request"
	case SessionGone:
		return "session has ended"
	case Overloaded:
		return "server is not asked for the moment"
	case Unsupported:
		return "server cannot take such a message"
	}
	return "server failed"
}

func (f *Failure) Error() string {
	text := f.Cause.String()
	if f.Status != 0 {
		text = fmt.Sprintf("%s (status %d)", text, f.Status)
	}
	if f.Err != nil {
		return text + ": " + f.Err.Error()
	}
	return text
}

func (f *Failure) Unwrap() error { return f.Err }

// Public says what happened in words that a client may read.
func (f *Failure) Public() string { return f.Cause.String() }

// Timeout reports whether the server was too slow.
func (f *Failure) Timeout() bool { return f.Cause == TimedOut }
