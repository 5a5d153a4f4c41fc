package policy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// DefaultMaxPages bounds a walk over all pages of a list that the guard makes by itself.
const DefaultMaxPages = 100

// GuardOptions say what a Guard works with.
type GuardOptions struct {
	Server string          // the server's name in the configuration
	Client string          // the principal; "" is the one client of a stdio link
	Engine *Engine         // required
	Limit  *Limiter        // nil: no rate limit
	Pins   *integrity.Pins // nil: tool integrity is off
	Log    *audit.Log      // required; may be disabled

	Inspection integrity.Config
	MaxPages   int                // 0: DefaultMaxPages
	Census     *Census            // shared by all links to the server; nil: this is the only one
	Handshaken bool               // a legacy session is open already, whoever opened it
	Tracer     Tracer             // makes spans of requests; nil: nobody does
	Watch      func(*audit.Event) // sees every event of the link as it is recorded; must not keep it; nil: nobody
	Now        func() time.Time   // nil: time.Now
}

// A Guard judges the messages of one link; it is the one place where mcpx decides. It satisfies
// transport.Inspector: FromClient and FromServer may run beside each other, each in one goroutine.
//
// The steps and their order are fixed. From the client: a message we understand, remember its id, method, target,
// rate limit, rules, pins, record, release. From the server: match the request, pins and rules of lists, rules for what
// servers ask, record, release. Whatever no step allows is denied.
type Guard struct {
	opt     GuardOptions
	link    *audit.Link
	relieve func() // Log.Relieve
	now     func() time.Time
	ids     string // the prefix of our own requests' ids: nobody else can guess it

	rules atomic.Pointer[rules]
	woken chan struct{} // of capacity 1: Unasked has something to say

	mu      sync.Mutex
	fromCli table // requests of the client (and our own) that the server has to answer
	fromSrv table // requests of the server that the client has to answer
	peers   peers
	surveys [surveyCount]survey
	issued  int  // own requests so far
	strays  int  // junk lines and the like that were recorded one by one
	ended   bool // the server has ended
}

// rules are what a message is judged by; they may change while the link is open.
type rules struct {
	engine *Engine
	limit  *Limiter
}

// SetRules replaces the rules: every message that is judged from now on goes by these.
func (g *Guard) SetRules(engine *Engine, limit *Limiter) { g.rules.Store(&rules{engine, limit}) }

func (g *Guard) engine() *Engine { return g.rules.Load().engine }

// peers is what the two sides said of themselves.
type peers struct {
	clientInfo, serverInfo []byte
	era                    string
	handshake              bool      // the client has sent initialize
	initialized            bool      // and that it was answered
	announces              changeSet // what the server has promised to a legacy session
	version                string    // of a legacy session, as the server has agreed to it
}

// NewGuard returns the guard of one link.
func NewGuard(opt GuardOptions) (*Guard, error) {
	if opt.Engine == nil || opt.Log == nil {
		return nil, errors.New("a guard needs an engine and an audit log")
	}
	if opt.MaxPages <= 0 {
		opt.MaxPages = DefaultMaxPages
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Census == nil {
		opt.Census = NewCensus(0)
	}
	var nonce [9]byte
	_, _ = rand.Read(nonce[:]) // never fails
	g := &Guard{
		opt:     opt,
		relieve: opt.Log.Relieve,
		link:    opt.Log.Link(audit.LinkInfo{Server: opt.Server, Client: opt.Client}),
		now:     opt.Now,
		woken:   make(chan struct{}, 1),
		ids:     fmt.Sprintf("mcpx-%x-", nonce),
		fromCli: newTable(),
		fromSrv: newTable(),
	}
	g.SetRules(opt.Engine, opt.Limit)
	g.peers.handshake = opt.Handshaken
	g.surveys[toolSurvey] = survey{kind: integrity.Tools, method: "tools/list"}
	g.surveys[promptSurvey] = survey{kind: integrity.Prompts, method: "prompts/list"}
	return g, nil
}

// Record appends an event of the link that is no decision, such as the server's start. Commit writes it.
func (g *Guard) Record(e *audit.Event) {
	g.link.Append(e)
	if g.opt.Watch != nil {
		seen := *e // e itself stays off the heap where nobody watches
		g.opt.Watch(&seen)
	}
}

// Peers returns what the two sides said of themselves last, raw JSON that must not be changed; nil: nothing yet.
func (g *Guard) Peers() (clientInfo, serverInfo []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peers.clientInfo, g.peers.serverInfo
}

// FromClient judges a message of the client.
func (g *Guard) FromClient(m *jsonrpc.Message, out *jsonrpc.Outbox) {
	switch m.Kind {
	case jsonrpc.Request:
		g.clientRequest(m, out)
	case jsonrpc.Notification:
		g.clientNotification(m, out)
	case jsonrpc.Result, jsonrpc.Error:
		g.clientAnswer(m, out)
	default:
		g.clientFault(m, out)
	}
}

// FromServer judges a message of the server.
func (g *Guard) FromServer(m *jsonrpc.Message, out *jsonrpc.Outbox) {
	switch m.Kind {
	case jsonrpc.Request:
		g.serverRequest(m, out)
	case jsonrpc.Notification:
		g.serverNotification(m, out)
	case jsonrpc.Result, jsonrpc.Error:
		g.serverAnswer(m, out)
	default:
		g.serverFault(m, out)
	}
}

// Pending returns how many requests wait for tools or prompts to be verified, and how many the server has to answer.
func (g *Guard) Pending() (held, unanswered int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.surveys {
		held += len(g.surveys[i].held)
	}
	return held, g.fromCli.open
}

// Commit records what was judged. What cannot be recorded is not released: requests are answered with an error in place
// of being forwarded, answers are replaced by one.
func (g *Guard) Commit(out *jsonrpc.Outbox) {
	if g.opt.Log.Commit() == nil {
		out.After = append(out.After, g.relieve)
		return
	}
	const text = "the audit log cannot be written: "
	instead := jsonrpc.Outbox{After: out.After}
	for _, m := range out.ToServer {
		switch m.Kind {
		case jsonrpc.Request:
			c := g.take(&g.fromCli, m.ID)
			if c != nil && c.own {
				g.surveyFailed(c, text+"nothing is asked of the server", &instead)
			} else if c != nil && !c.cancelled {
				g.Record(&audit.Event{Kind: audit.Outcome, RequestID: c.id.Token(), Method: c.name, Target: c.target, Outcome: "dropped", Reason: "audit_unavailable"})
				answer := failure(m.ID, text+"the request was not executed", auditRule)
				c.ended(g.now(), "dropped", Decision{Rule: auditRule}, answer)
				instead.ToClient = append(instead.ToClient, answer)
			}
		case jsonrpc.Result, jsonrpc.Error:
			instead.ToServer = append(instead.ToServer, failure(m.ID, text+"the answer is withheld", auditRule))
		case jsonrpc.Notification, jsonrpc.Invalid:
		}
	}
	for _, m := range out.ToClient {
		switch {
		case m.Own && m.Kind == jsonrpc.Error: // a refusal releases nothing
			instead.ToClient = append(instead.ToClient, m)
		case m.Kind == jsonrpc.Request:
			c := g.take(&g.fromSrv, m.ID)
			if c == nil {
				continue
			}
			answer := failure(m.ID, text+"the request was not delivered", auditRule)
			c.ended(g.now(), "dropped", Decision{Rule: auditRule}, answer)
			instead.ToServer = append(instead.ToServer, answer)
		case m.Kind == jsonrpc.Result || m.Kind == jsonrpc.Error:
			instead.ToClient = append(instead.ToClient, failure(m.ID, text+"the answer is withheld; the request may have been executed", auditRule))
		}
	}
	*out = instead
}

// Closed is called when the link is closed and its tracer is to know: the spans of what is still open end. Whoever is still at work on
// one of these requests may go on.
func (g *Guard) Closed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	const reason = "the session has ended"
	now := g.now()
	for i := range g.surveys {
		for _, c := range g.surveys[i].held {
			c.ended(now, "cancelled", Decision{Reason: reason}, nil)
		}
	}
	g.fromCli.endSpans(now, reason)
	g.fromSrv.endSpans(now, reason)
	if s, ok := g.opt.Tracer.(SessionTracer); ok {
		s.Closed()
	}
}

// Lost answers a request that the server will not answer, or that nobody waits for any more.
func (g *Guard) Lost(id jsonrpc.ID, cause error, out *jsonrpc.Outbox) {
	gone := errors.Is(cause, context.Canceled)
	g.mu.Lock()
	var held *call
	for i := range g.surveys {
		if held == nil {
			held = g.surveys[i].release(id.Key())
		}
	}
	var c *call
	if held == nil {
		c = g.fromCli.take(id.Key())
	}
	g.mu.Unlock()
	switch {
	case held != nil:
		g.decide(held, out.Now(g.now), denied(cancelledRule, "given up by the client before it was forwarded"), nil)
	case c == nil || c.cancelled:
	case c.own:
		g.surveyFailed(c, lostReason(cause), out)
	case gone:
		g.outcome(c, out.Now(g.now), "cancelled", "the client has gone", nil)
	default:
		reason, result := lostReason(cause), "error"
		if timedOut(cause) {
			result = "timeout"
		}
		g.outcome(c, out.Now(g.now), result, reason, nil)
		out.ToClient = append(out.ToClient, jsonrpc.NewError(c.id, jsonrpc.InternalError, reason+executed(cause), nil))
	}
}

// executed says what is known of a request that has no answer.
func executed(cause error) string {
	var unsent interface{ NotExecuted() bool } // transport.Unsent
	if errors.As(cause, &unsent) && unsent.NotExecuted() {
		return "; the request was not executed"
	}
	return "; the request may have been executed"
}

// A cause may say in public what has happened (transport.Failure's causes do); its whole text is for the log.
func lostReason(cause error) string {
	var public interface{ Public() string }
	if errors.As(cause, &public) {
		return public.Public()
	}
	return "server did not answer"
}

func timedOut(cause error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(cause, &timeout) && timeout.Timeout()
}

// Ended answers everything that the server can no longer answer. cause says how it ended.
func (g *Guard) Ended(cause error, out *jsonrpc.Outbox) {
	g.mu.Lock()
	g.ended = true
	var lost []*call
	for i := range g.surveys {
		lost = append(lost, g.surveys[i].abandon()...)
	}
	unanswered := g.fromCli.drain()
	g.fromSrv.endSpans(out.Now(g.now), "the server has ended")
	g.mu.Unlock()
	reason := "server exited"
	if text := cause.Error(); text != "EOF" {
		reason = "server exited: " + text
	}
	for _, c := range unanswered {
		if c.own || c.cancelled {
			continue
		}
		g.outcome(c, out.Now(g.now), "error", reason, nil)
		out.ToClient = append(out.ToClient, jsonrpc.NewError(c.id, jsonrpc.InternalError, reason+"; the request may have been executed", nil))
	}
	for _, c := range lost {
		answer := jsonrpc.NewError(c.id, jsonrpc.InternalError, reason+"; the request was not executed", nil)
		g.decide(c, out.Now(g.now), Decision{Rule: exitedRule, Reason: reason}, answer)
		out.ToClient = append(out.ToClient, answer)
	}
}

func (g *Guard) take(t *table, id jsonrpc.ID) *call {
	g.mu.Lock()
	defer g.mu.Unlock()
	return t.take(id.Key())
}
