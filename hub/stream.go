package hub

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/rohitgs28/mcpx/hub/auth"
	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/streamable"
)

// keepAlive is how often a silent stream is written to, so that what stands in between keeps it open.
const keepAlive = 25 * time.Second

// serveStream gives a legacy session what its server says unasked (GET). Last-Event-ID is the server's own to understand.
func (h *Hub) serveStream(w *recorder, r *http.Request, rt *route, who auth.Principal) {
	s := h.sessionOf(w, r, rt, who.Name)
	if s == nil {
		return
	}
	s.enter()
	defer s.leave()
	w.leave()
	ctx, cancel := lasting(r.Context(), who.Expires)
	defer cancel()
	defer context.AfterFunc(h.streams, cancel)()
	reply := streamable.Reply{W: w, Stream: true}
	out := newListening(&reply, reply.Deliver)
	err := out.during(ctx, s.link, func(ctx context.Context) error {
		return s.link.Listen(ctx, r.Header.Get("Last-Event-Id"), out.deliver)
	})
	if err != nil && !reply.Started() {
		h.noStream(w, err)
	}
	reply.End()
}

// lasting returns a context for a stream, which ends with the credential that has opened it: the client comes back with another.
func lasting(ctx context.Context, expires time.Time) (context.Context, context.CancelFunc) {
	if expires.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, expires)
}

// noStream answers a GET that brings no stream.
func (h *Hub) noStream(w http.ResponseWriter, err error) {
	if errors.Is(err, transport.ErrNoStream) {
		w.Header().Set("Allow", "POST, DELETE")
		writeError(w, http.StatusMethodNotAllowed, "no_stream", "this server says nothing unasked")
		return
	}
	status := http.StatusBadGateway
	if failure := new(transport.Failure); errors.As(err, &failure) && failure.Cause == transport.SessionGone {
		status = http.StatusNotFound
	}
	writeError(w, status, "upstream_unavailable", "the server's stream cannot be opened")
}

// serveDelete ends a legacy session.
func (h *Hub) serveDelete(w http.ResponseWriter, r *http.Request, rt *route, principal string) {
	if s := h.sessionOf(w, r, rt, principal); s != nil {
		h.sessions.end(s)
		w.WriteHeader(http.StatusNoContent)
	}
}

// noSession is said to who names a session that is not its own, or has ended: the two are not to be told apart.
const noSession = "no such session: open one with initialize"

// sessionOf finds the session of a request that has no body, or answers why there is none.
func (h *Hub) sessionOf(w http.ResponseWriter, r *http.Request, rt *route, principal string) *session {
	ids := r.Header["Mcp-Session-Id"]
	switch {
	case streamable.ModernHead(r.Header):
		w.Header().Set("Allow", "POST")
		writeMessage(w, http.StatusMethodNotAllowed, jsonrpc.NewError(jsonrpc.ID{}, jsonrpc.InvalidRequest, "this revision has no sessions: use POST", nil))
	case len(ids) != 1:
		writeMessage(w, http.StatusBadRequest, jsonrpc.NewError(jsonrpc.ID{}, jsonrpc.InvalidRequest, "exactly one Mcp-Session-Id is needed", nil))
	default:
		if s := h.sessions.find(ids[0], rt.cfg.Name, principal); s != nil {
			return s
		}
		writeMessage(w, http.StatusNotFound, jsonrpc.NewError(jsonrpc.ID{}, jsonrpc.InvalidRequest, noSession, nil))
	}
	return nil
}

// A listening is a Reply that three goroutines write to: what the server says, what the gateway says of the lists that it
// filters, and the signs of life in between.
type listening struct {
	begun chan struct{} // closed when it has become a stream

	mu    sync.Mutex
	reply *streamable.Reply // guarded by mu
	yield transport.Yield   // writes to it; guarded by mu
}

func newListening(reply *streamable.Reply, yield transport.Yield) *listening {
	return &listening{begun: make(chan struct{}), reply: reply, yield: yield}
}

func (s *listening) deliver(a transport.Arrival) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	began := s.reply.Streaming()
	err := s.yield(a)
	if !began && s.reply.Streaming() {
		close(s.begun)
	}
	return err
}

// during runs what brings the server's words, with signs of life and the gateway's own words beside it.
func (s *listening) during(ctx context.Context, link *transport.Link, listen func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	for _, work := range []func(){func() { s.beat(ctx) }, func() { link.Tell(ctx, s.deliver) }} {
		beside.Go(func() {
			select {
			case <-s.begun: // before that nothing may be written: it may never begin
				work()
				cancel() // who takes nothing of it is gone
			case <-ctx.Done():
			}
		})
	}
	defer beside.Wait()
	defer cancel()
	return listen(ctx)
}

// beat writes signs of life until ctx ends or the client takes nothing any more.
func (s *listening) beat(ctx context.Context) {
	ticker := time.NewTicker(keepAlive)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !s.alive() {
			return
		}
	}
}

func (s *listening) alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reply.KeepAlive() == nil
}
