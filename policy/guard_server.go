package policy

import (
	"slices"
	"time"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// serverAnswer matches an answer to its request and lets through of it what the policy and the pins allow.
func (g *Guard) serverAnswer(m *jsonrpc.Message, out *jsonrpc.Outbox) {
	c := g.take(&g.fromCli, m.ID)
	switch {
	case c == nil:
		g.stray(m, "an answer to a request that was not made, or was answered before")
		return
	case c.own:
		g.surveyed(c, m, out)
		return
	}
	answer, result, reason := m, answerOutcome(m), ""
	if m.Kind == jsonrpc.Result {
		if answer, reason = g.inspect(c, m); reason != "" {
			result = "denied"
		}
	}
	if !c.cancelled { // or the outcome was recorded when the client gave it up; what it does with a late answer is its business
		g.outcome(c, out.Now(g.now), result, reason, answer)
	}
	out.ToClient = append(out.ToClient, answer)
	g.mu.Lock()
	g.fromCli.recycle(c)
	g.mu.Unlock()
}

// answerOutcome names what an answer says of the request.
func answerOutcome(m *jsonrpc.Message) string {
	switch {
	case m.Kind == jsonrpc.Error:
		return "error"
	case string(m.Field(jsonrpc.IsError)) == "true":
		return "tool_error"
	default:
		return "ok"
	}
}

// inspect judges a result. It returns what is delivered, and why that is not the result, if it is not.
func (g *Guard) inspect(c *call, m *jsonrpc.Message) (answer *jsonrpc.Message, reason string) {
	if asksForInput(m) {
		asked, d := g.inputRequests(c, m)
		if !d.Allow {
			return denialError(c, jsonrpc.InvalidRequest, d), d.Reason
		}
		for _, q := range asked {
			g.Record(&audit.Event{Kind: audit.Decision, Era: era(c.modern), RequestID: c.id.Token(), Method: q.method,
				Decision: "allow", Rule: q.Rule, Reason: q.Reason, TraceID: c.trace})
		}
		return m, ""
	}
	switch {
	case c.method.List != NoList:
		return g.list(c, m)
	case c.name == "initialize" || c.name == "server/discover":
		return g.introduction(c, m)
	default:
		return m, ""
	}
}

// asksForInput reports whether a client could take a result for one that asks it something: it says so, says what it is in no words of
// the protocol, or brings questions along whatever it says.
func asksForInput(m *jsonrpc.Message) bool {
	kind, ok := m.Text(jsonrpc.ResultType)
	return m.Field(jsonrpc.InputRequests) != nil || string(kind) == "input_required" || !ok && m.Field(jsonrpc.ResultType) != nil
}

// A question is a method that the server asks its client for, and that it may.
type question struct {
	method string
	Decision
}

// inputRequests judges what an input_required result asks of the client: only some methods may ask, and each question is
// a request of the server like any other (2026-07-28, patterns/mrtr). The first that may not be asked decides; asked are the methods,
// once each, if all may.
func (g *Guard) inputRequests(c *call, m *jsonrpc.Message) (asked []question, d Decision) {
	if c.method.Kinds != 0 && !c.method.InputRequired {
		return nil, denied(inputRule, "the server asked for input in answer to %s, which the protocol forbids", c.name)
	}
	if _, ok := m.Text(jsonrpc.ResultType); !ok && m.Field(jsonrpc.ResultType) != nil {
		return nil, denied(inputRule, "result.resultType must be a string")
	}
	requests := m.Field(jsonrpc.InputRequests)
	if requests != nil && requests[0] != '{' {
		return nil, denied(inputRule, "result.inputRequests must be an object")
	}
	for _, request := range jsonrpc.Members(requests) {
		method, ok := jsonrpc.Text(jsonrpc.Member(request, "method"))
		if !ok {
			return nil, denied(inputRule, "the server asked for input without saying which")
		}
		if jsonrpc.HasTwin(request, "method", "params") {
			return nil, denied(inputRule, "the server asked for input in words that parsers read differently")
		}
		switch string(method) {
		case "sampling/createMessage", "elicitation/create", "roots/list":
		default:
			return nil, denied(inputRule, "the server asked for input of an unknown kind")
		}
		one := g.engine().ServerRequest(string(method))
		if !one.Allow {
			return nil, one
		}
		if !slices.ContainsFunc(asked, func(q question) bool { return q.method == string(method) }) {
			asked = append(asked, question{string(method), one})
		}
	}
	return asked, allowed(DefaultRule)
}

// introduction reads what the server says of itself, and checks its instructions.
func (g *Guard) introduction(c *call, m *jsonrpc.Message) (answer *jsonrpc.Message, reason string) {
	info := m.Field(jsonrpc.ServerInfo)
	if c.modern {
		info = m.Field(jsonrpc.MetaServerInfo)
	}
	g.opt.Census.identify(info, c.modern)
	g.mu.Lock()
	g.peers.serverInfo = shortInfo(info)
	if !c.modern {
		g.peers.announces = promised(m.Field(jsonrpc.Capabilities))
		if version, ok := m.Text(jsonrpc.ProtocolVersion); ok {
			g.peers.version = string(version[:min(len(version), maxVersion)])
		}
	}
	g.link.SetPeers(g.peers.clientInfo, g.peers.serverInfo, g.peers.era)
	g.mu.Unlock()
	if g.opt.Pins == nil {
		return m, ""
	}
	text, isText := m.Text(jsonrpc.Instructions)
	token := m.Field(jsonrpc.Instructions)
	present := token != nil && string(token) != "null"
	if present && !isText {
		text = token // no instructions that the protocol knows; pinned as what they are
	}
	found, err := g.opt.Pins.Instructions(text, present)
	if err != nil {
		return g.unpinned(c, m, err)
	}
	g.report(c, found)
	if !found.Withhold {
		return m, ""
	}
	return m.ReplaceResult(jsonrpc.Without(m.Result(), "instructions")), ""
}

// unpinned is what becomes of an answer that could not be checked.
func (g *Guard) unpinned(c *call, m *jsonrpc.Message, err error) (answer *jsonrpc.Message, reason string) {
	reason = "tool integrity cannot be checked: " + err.Error()
	if g.opt.Inspection.ToolIntegrity == "warn" {
		g.Record(&audit.Event{Kind: audit.Anomaly, Method: c.name, Reason: reason})
		return m, ""
	}
	return failure(c.id, reason, integrityRule), reason
}

// report records a finding that is a violation.
func (g *Guard) report(c *call, f integrity.Finding) {
	if f.Reason == "" {
		return
	}
	e := audit.Event{Kind: audit.Integrity, Era: era(c.modern), RequestID: c.id.Token(), Method: c.name,
		Target: []byte(f.Name), Decision: "allow", Rule: integrityRule, Reason: f.Reason, TraceID: c.trace}
	if f.Withhold {
		e.Decision, e.Outcome = "deny", "dropped"
	}
	if f.Detail != "" {
		e.Detail = append(jsonrpc.AppendString([]byte(`{"detail":`), f.Detail), '}')
	}
	g.Record(&e)
}

// serverRequest judges what the server asks of the client.
func (g *Guard) serverRequest(m *jsonrpc.Message, out *jsonrpc.Outbox) {
	c, d := g.admitServer(m, out.Now(g.now))
	g.trace(c, m, true)
	var answer *jsonrpc.Message
	if !d.Allow {
		answer = denialError(c, jsonrpc.MethodNotFound, d)
	}
	g.decide(c, out.Now(g.now), d, answer)
	if !d.Allow {
		out.ToServer = append(out.ToServer, answer)
		return
	}
	m = c.traced(m)
	g.mu.Lock()
	g.fromSrv.put(c)
	g.mu.Unlock()
	out.ToClient = append(out.ToClient, m)
}

// maxAsked bounds the requests of a server that its client has not answered.
const maxAsked = 1024

func (g *Guard) admitServer(m *jsonrpc.Message, now time.Time) (*call, Decision) {
	g.mu.Lock()
	c := g.fromSrv.fresh()
	c.fill(m, now)
	repeated, handshake, many := g.fromSrv.known(c.key), g.peers.handshake, g.fromSrv.open >= maxAsked
	g.mu.Unlock()
	method, known := Lookup(m.Method)
	known = known && method.Kinds&ServerRequest != 0
	c.method = method
	switch {
	case repeated:
		return c, denied(idRule, "a request with this id is still in flight")
	case !handshake:
		return c, denied(directionRule, "a server makes no requests unless the client has sent initialize")
	case many:
		return c, denied(directionRule, "too many requests of the server wait for an answer")
	case known:
		return c, g.engine().ServerRequest(m.Method)
	default:
		return c, g.engine().Method(m.Method, ServerRequest)
	}
}

// serverNotification lets known notifications through. A list that changed has to be surveyed again before the next call.
func (g *Guard) serverNotification(m *jsonrpc.Message, out *jsonrpc.Outbox) {
	d := g.notification(m, ServerNotification)
	g.notified(m, d)
	if !d.Allow {
		return
	}
	g.opt.Census.Notified(m.Method)
	switch m.Method {
	case "notifications/subscriptions/acknowledged":
		g.acknowledged(m)
	case "notifications/cancelled":
		if id, ok := jsonrpc.ParseID(m.Field(jsonrpc.RequestID)); ok {
			if c := g.take(&g.fromSrv, id); c != nil {
				c.ended(out.Now(g.now), "cancelled", Decision{}, nil)
			}
		}
	}
	out.ToClient = append(out.ToClient, m)
}

// serverFault deals with a message that the scan refused: it is never delivered, and whoever waits for it is told.
func (g *Guard) serverFault(m *jsonrpc.Message, out *jsonrpc.Outbox) {
	g.refused(m)
	if m.ID.IsZero() {
		return
	}
	reason := "the server's answer was refused: " + m.Fault.Reason
	if m.Method != "" {
		out.ToServer = append(out.ToServer, jsonrpc.NewError(m.ID, m.Fault.Code, "message refused: "+m.Fault.Reason, nil))
		return
	}
	switch c := g.take(&g.fromCli, m.ID); {
	case c == nil || c.cancelled:
	case c.own:
		g.surveyFailed(c, reason, out)
	default:
		g.outcome(c, out.Now(g.now), "error", reason, nil)
		out.ToClient = append(out.ToClient, jsonrpc.NewError(c.id, jsonrpc.InternalError, reason+"; the request may have been executed", nil))
	}
}
