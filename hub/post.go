package hub

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/rohitgs28/mcpx/hub/auth"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/streamable"
)

// A post is one POST to a server: the message that it brings, and how it is answered.
type post struct {
	hub       *Hub
	route     *route
	principal string
	expires   time.Time // of the principal's credential; zero: never
	w         *recorder
	r         *http.Request
	in        *streamable.Incoming
	reply     streamable.Reply
	letGo     context.CancelCauseFunc // ends the wait for the server; nil: no session, so nothing can be resumed
	seen      bool                    // an event with an id was written: the client may resume behind it
	lost      bool                    // the client takes nothing any more
	unheard   int                     // what came since
}

var incomings = sync.Pool{New: func() any { return new(streamable.Incoming) }}

// servePost takes one message of a client to its end.
func (h *Hub) servePost(w *recorder, r *http.Request, rt *route, who auth.Principal) {
	in, _ := incomings.Get().(*streamable.Incoming)
	in.Reset()
	defer incomings.Put(in)
	p := post{hub: h, route: rt, principal: who.Name, expires: who.Expires, w: w, r: r, in: in}
	rejected := in.Read(r, streamable.ServerLimits{MaxBody: rt.limits.MaxBody, MaxDepth: rt.limits.MaxDepth})
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // or it would end the wait for the answer
	w.method = in.Message.Method
	if rejected != nil {
		p.refuse(rejected)
		return
	}
	p.reply = streamable.Reply{W: w, Modern: in.Modern, OneBody: !streamable.TakesStream(r.Header)}
	p.run()
	p.reply.End()
}

// run finds the link that the message belongs to (PROTOCOL C2: the message decides, not the connection).
func (p *post) run() {
	m := &p.in.Message
	switch {
	case p.in.Modern:
		p.alone()
	case m.Kind == jsonrpc.Request && m.Method == "initialize":
		p.open()
	case p.in.Session != "":
		s := p.hub.sessions.find(p.in.Session, p.route.cfg.Name, p.principal)
		if s == nil {
			p.deny(http.StatusNotFound, jsonrpc.InvalidRequest, noSession)
			return
		}
		s.enter()
		defer s.leave()
		ctx, letGo := context.WithCancelCause(context.Background())
		defer letGo(nil)
		p.letGo = letGo
		p.exchange(ctx, s.link)
	default:
		p.bare()
	}
}

// alone serves a request of a revision without sessions: a link of its own, which ends with the client's connection.
func (p *post) alone() {
	guard, link, err := p.route.link(openKey{modern: true, principal: p.principal}, false)
	if err != nil {
		p.broken(err)
		return
	}
	defer link.Close()
	ctx := p.r.Context()
	if len(p.in.Params) > 0 {
		ctx = streamable.WithParams(ctx, p.in.Params)
	}
	if p.in.Message.Method == "subscriptions/listen" {
		p.listen(ctx, guard, link)
		return
	}
	p.finish(link.Exchange(ctx, &p.in.Message, p.deliver))
}

// listen serves a subscription until one of the peers ends it, or the credential does.
func (p *post) listen(ctx context.Context, guard *policy.Guard, link *transport.Link) {
	end, ok := p.listens(guard, link)
	if !ok {
		return
	}
	defer end()
	ctx, cancel := lasting(ctx, p.expires)
	defer cancel()
	out := newListening(&p.reply, p.deliver)
	p.finish(out.during(ctx, link, func(ctx context.Context) error {
		return link.Exchange(ctx, &p.in.Message, out.deliver)
	}))
}

// listens makes a subscription known: it may last for days, so it follows the configuration, and ends when the gateway does.
// No end to it: it was refused.
func (p *post) listens(guard *policy.Guard, link *transport.Link) (end func(), ok bool) {
	s := &session{id: newSessionID(), server: p.route.cfg.Name, principal: p.principal, backend: p.route.backend, guard: guard, link: link}
	if !p.admit(p.hub.listens, s) {
		return nil, false
	}
	p.w.leave()
	stop := context.AfterFunc(p.hub.streams, func() { _ = link.Close() })
	return func() {
		stop()
		p.hub.listens.end(s)
	}, true
}

// admit adds a session, unless there are too many or the configuration has changed since the request came. Once it is added it
// is seen by whoever changes the configuration.
func (p *post) admit(to *sessions, s *session) bool {
	if err := to.add(s); err != nil {
		_ = s.link.Close()
		p.deny(http.StatusServiceUnavailable, jsonrpc.InternalError, err.Error())
		return false
	}
	now := p.hub.state.Load()
	if rt := now.routes[s.server]; rt == nil || rt.backend != s.backend || rt.auth != p.route.auth {
		to.end(s)
		p.w.Header().Set("Retry-After", "1")
		p.fail(http.StatusServiceUnavailable, jsonrpc.InternalError, "the configuration has changed: try again")
		return false
	}
	now.rule(s)
	return true
}

// open begins a legacy session. It counts from the moment the server agrees.
func (p *post) open() {
	if p.in.Session != "" {
		p.deny(http.StatusBadRequest, jsonrpc.InvalidRequest, "this session is open already: initialize begins a new one, without Mcp-Session-Id")
		return
	}
	s := &session{id: newSessionID(), server: p.route.cfg.Name, principal: p.principal, backend: p.route.backend}
	var err error
	if s.guard, s.link, err = p.route.link(openKey{principal: p.principal, session: s.id}, false); err != nil {
		p.broken(err)
		return
	}
	if !p.admit(p.hub.sessions, s) {
		return
	}
	s.enter()
	defer s.leave()
	agreed := false
	p.w.Header()["Mcp-Session-Id"] = []string{s.id}
	p.finish(s.link.Exchange(context.Background(), &p.in.Message, func(a transport.Arrival) error {
		if a.Message != nil && a.Message.Kind == jsonrpc.Result {
			agreed = true
		} else if a.Message != nil && a.Message.Kind == jsonrpc.Error {
			delete(p.w.Header(), "Mcp-Session-Id")
		}
		return p.deliver(a)
	}))
	if !agreed {
		p.hub.sessions.end(s)
	}
}

// bare serves a legacy message that belongs to no session, such as a single `curl`: the gateway has shaken hands with the
// server by itself.
func (p *post) bare() {
	m := &p.in.Message
	if m.Method == "notifications/initialized" {
		p.w.WriteHeader(http.StatusAccepted) // of a handshake that was not with us
		return
	}
	if m.Method == "resources/subscribe" {
		p.deny(http.StatusBadRequest, jsonrpc.InvalidRequest, "a subscription needs a session: begin with initialize")
		return
	}
	link, err := p.route.house(p.principal)
	if err != nil {
		p.broken(err)
		return
	}
	defer link.Close()
	p.exchange(context.Background(), link)
}

// exchange runs a message of a legacy link. Its end is not that of the client's connection: "Disconnection SHOULD NOT be
// interpreted as the client cancelling its request" (2025-11-25, Streamable HTTP). When the gateway stops, its backends end.
func (p *post) exchange(ctx context.Context, link *transport.Link) {
	p.finish(link.Exchange(ctx, &p.in.Message, p.deliver))
}

// maxUnheard bounds the messages of a server that are still taken for a client that is gone.
const maxUnheard = 256

// deliver writes what comes for the client. Where a legacy client is gone the rest is still taken and recorded; if it may
// resume, the server keeps the rest for it.
func (p *post) deliver(a transport.Arrival) error {
	if p.lost {
		if p.unheard++; p.unheard > maxUnheard {
			return context.Canceled
		}
		return nil
	}
	if p.in.Modern {
		a.EventID, a.Retry = "", 0 // there is no resuming in this revision
	}
	err := p.reply.Deliver(a)
	if err == nil && p.r.Context().Err() == nil {
		if a.EventID != "" && p.letGo != nil && !p.seen {
			p.seen = true
			letGo := p.letGo
			context.AfterFunc(p.r.Context(), func() { letGo(transport.ErrResumable) })
		}
		return nil
	}
	switch {
	case p.in.Modern:
		return context.Canceled // "MUST be treated as cancellation"
	case p.seen && !p.reply.Done():
		return transport.ErrResumable
	default:
		p.lost = true
		return nil
	}
}

// finish answers what is not answered yet.
func (p *post) finish(err error) {
	switch {
	case p.reply.Started(), p.lost, errors.Is(err, context.Canceled), errors.Is(err, transport.ErrResumable):
	case p.in.Message.Kind != jsonrpc.Request:
		p.w.WriteHeader(http.StatusAccepted)
	case p.r.Context().Err() != nil:
	default:
		p.fail(http.StatusBadGateway, jsonrpc.InternalError, "the server gave no answer")
	}
}

// refuse answers a POST without a message, and records it.
func (p *post) refuse(rejected *streamable.Rejection) {
	p.record(rejected.Reason)
	writeMessage(p.w, rejected.Status, rejected.Answer)
}

// deny refuses a message that no guard is to judge, and records it.
func (p *post) deny(status, code int, text string) {
	p.record(text)
	p.fail(status, code, text)
}

func (p *post) record(reason string) {
	if err := p.route.refuse(p.principal, reason); err != nil {
		p.hub.log.Error().Err(err).Msg("a refused request is not recorded")
	}
}

// broken is our own failure: it is said to the log, not to the client.
func (p *post) broken(err error) {
	p.hub.log.Error().Err(err).Str("server", p.route.cfg.Name).Msg("request failed")
	p.fail(http.StatusBadGateway, jsonrpc.InternalError, "the server cannot be reached")
}

func (p *post) fail(status, code int, text string) {
	var id jsonrpc.ID
	if p.in.Message.Kind == jsonrpc.Request {
		id = p.in.Message.ID
	}
	writeMessage(p.w, status, jsonrpc.NewError(id, code, text, nil))
}

func writeMessage(w http.ResponseWriter, status int, m *jsonrpc.Message) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(m.Raw) // a client that is gone needs no answer
}
