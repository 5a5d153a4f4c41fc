package hub

import (
	"context"
	"sync/atomic"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A lane is a server as one session, or one single request, uses it. It outlives the child, which may be started again.
type lane struct {
	keeper    *keeper
	principal string // whose it is, "" where that is not known
	session   bool   // a legacy one: it may listen and subscribe
	flight    atomic.Int32
	closed    atomic.Bool
}

// Call implements [transport.Upstream]. What concerns a shared child as a whole is answered here.
func (l *lane) Call(ctx context.Context, request *jsonrpc.Message, yield transport.Yield) error {
	l.flight.Add(1)
	defer l.flight.Add(-1)
	if l.closed.Load() {
		return errGone
	}
	k := l.keeper
	if !k.key.modern {
		switch request.Method {
		case "initialize":
			return k.introduce(ctx, request, yield)
		case "ping": // of the hub: whether the child lives is not what it asks
			return yield(transport.Arrival{Message: jsonrpc.NewResult(request.ID, []byte(`{}`))})
		case "logging/setLevel":
			if k.shared { // one client would set it for all, and no message is for one of them
				return yield(transport.Arrival{Message: jsonrpc.NewResult(request.ID, []byte(`{}`))})
			}
		}
	}
	m, err := k.acquire(ctx)
	if err != nil {
		return err
	}
	if !k.key.modern {
		switch request.Method {
		case "resources/subscribe":
			return m.subscribe(ctx, l, request, yield)
		case "resources/unsubscribe":
			return m.unsubscribe(ctx, l, request, yield)
		}
	}
	return m.call(ctx, l, request, yield)
}

// Send implements [transport.Upstream]. It starts no child: what is not the answer to one that runs means nothing to the
// next.
func (l *lane) Send(_ context.Context, msg *jsonrpc.Message) error {
	if l.closed.Load() {
		return errGone
	}
	if m := l.keeper.current.Load(); m != nil {
		return m.tell(l, msg)
	}
	return nil
}

// Listen implements [transport.Upstream]. It goes on over a restart of the child; there are no events to take up again.
func (l *lane) Listen(ctx context.Context, _ string, yield transport.Yield) error {
	if !l.session {
		return transport.ErrNoStream
	}
	return l.keeper.crowd.listen(ctx, l, yield)
}

// Close implements [transport.Upstream].
func (l *lane) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	if l.session || l.flight.Load() > 0 {
		if m := l.keeper.current.Load(); m != nil {
			m.drop(l)
		}
		l.keeper.crowd.leave(l)
	}
	l.keeper.left(l)
	return nil
}
