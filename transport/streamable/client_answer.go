package streamable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// maxRefusal bounds the body of an HTTP error that is looked into, in bytes.
const maxRefusal = 1 << 20

// answer takes the response to a request.
func (x *exchange) answer(ctx context.Context, request *jsonrpc.Message, yield transport.Yield) error {
	h := &x.in.head
	switch {
	case h.status >= 300:
		defer x.drain()
		if m := x.refusedWith(request); m != nil {
			return x.deliver(yield, transport.Arrival{Message: m, Status: h.status})
		}
		return x.refusal()
	case h.status != 200:
		return badAnswer(fmt.Errorf("status %d to a request, which must be answered", h.status))
	case h.media == mediaJSON && !h.encoded:
		return x.single(request, yield)
	}
	if err := x.eventStream(); err != nil {
		return err
	}
	return x.streamed(ctx, request, yield)
}

// single takes an answer that is the whole body.
func (x *exchange) single(request *jsonrpc.Message, yield transport.Yield) error {
	body, err := x.in.whole(x.pool.opt.MaxMessage)
	if err != nil {
		return err
	}
	m, err := x.scan(body)
	if err == nil {
		m, err = x.answerTo(request, m)
	}
	if err != nil {
		return err
	}
	return x.deliver(yield, transport.Arrival{Message: m, Status: x.in.head.status})
}

func (x *exchange) scan(raw []byte) (*jsonrpc.Message, error) {
	if fault := x.scanner.Scan(raw, &x.message); fault != nil {
		return nil, badAnswer(fault)
	}
	return &x.message, nil
}

// answerTo returns m if it is the answer to the request. An error without an id can be the answer to no other, so it is
// given this one.
func (x *exchange) answerTo(request, m *jsonrpc.Message) (*jsonrpc.Message, error) {
	switch {
	case m.Kind == jsonrpc.Error && m.ID.IsZero():
		raw := slices.Concat([]byte(`{"jsonrpc":"2.0","id":`), request.ID.Token(), []byte(`,"error":`), m.Failure(), []byte("}"))
		return x.scan(raw)
	case m.Kind != jsonrpc.Result && m.Kind != jsonrpc.Error:
		return nil, badAnswer(errors.New("a " + m.Kind.String() + " in place of an answer"))
	case !sameID(request.ID, m.ID):
		return nil, badAnswer(errors.New("the answer to another request"))
	}
	x.begin(request, m)
	return m, nil
}

func sameID(a, b jsonrpc.ID) bool {
	return bytes.Equal(a.Token(), b.Token()) || a.Key() == b.Key()
}

// begin begins the session when m is the result of initialize: the client may use it at once.
func (x *exchange) begin(request, m *jsonrpc.Message) {
	if request.Method != "initialize" || x.modern || m.Kind != jsonrpc.Result {
		return
	}
	version, _ := m.Text(jsonrpc.ProtocolVersion)
	x.client.session.Store(newSession(x.in.head.session, version))
}

func badAnswer(err error) error { return &transport.Failure{Cause: transport.BadAnswer, Err: err} }

// refusedWith returns the error with which a server refuses the request; nil: it says nothing that a client can read. What
// failed in the server (5xx) is a failure, whatever it says: clients cannot mend it, and a breaker counts it. What asks for
// credentials is no answer to a client that has none to give here.
func (x *exchange) refusedWith(request *jsonrpc.Message) *jsonrpc.Message {
	h := &x.in.head
	if h.status < 400 || h.status > 499 || h.status == 401 || h.status == 407 || x.sessionGone() {
		return nil
	}
	if h.media != mediaJSON || h.encoded {
		return nil
	}
	body, err := x.in.whole(min(maxRefusal, x.pool.opt.MaxMessage))
	if err != nil {
		return nil
	}
	m, err := x.scan(body)
	if err != nil || m.Kind != jsonrpc.Error || h.status == 403 && m.ID.IsZero() { // 403: often a proxy's
		return nil
	}
	if m, err = x.answerTo(request, m); err != nil {
		return nil
	}
	return m
}

// refusal returns what an HTTP status beyond 299 means; nil: it is none of those.
func (x *exchange) refusal() error {
	h := &x.in.head
	switch {
	case h.status < 300:
		return nil
	case x.sessionGone():
		return &transport.Failure{Cause: transport.SessionGone, Status: h.status}
	case h.status < 400:
		return &transport.Failure{Cause: transport.Refused, Status: h.status, Err: errors.New("redirects are not followed: set the URL that it leads to")}
	}
	return &transport.Failure{Cause: transport.Refused, Status: h.status, RetryAfter: h.retryAfter}
}

// sessionGone reports whether the server does not know our session any more (2025-11-25, Streamable HTTP, "Session
// Management").
func (x *exchange) sessionGone() bool {
	return x.in.head.status == 404 && x.session != nil && x.session.id != ""
}

// eventStream makes events read the body, which must be a stream of them.
func (x *exchange) eventStream() error {
	switch h := &x.in.head; {
	case h.status != 200:
		return badAnswer(fmt.Errorf("status %d in place of a stream", h.status))
	case h.encoded:
		return badAnswer(errors.New("a Content-Encoding that nobody has asked for"))
	case h.media != mediaEvents:
		return badAnswer(errors.New("the Content-Type is neither application/json nor text/event-stream in UTF-8"))
	}
	x.events.Reset(&x.in, x.pool.opt.MaxMessage)
	return nil
}
