package policy

import (
	"time"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// clientRequest takes one request of the client through all steps.
func (g *Guard) clientRequest(m *jsonrpc.Message, out *jsonrpc.Outbox) {
	g.mu.Lock()
	c := g.fromCli.fresh()
	d := g.admit(c, m, out.Now(g.now))
	g.mu.Unlock()
	if d.Allow {
		d = g.judge(c, m)
	}
	if d.Allow && g.hold(c, m, out) {
		return
	}
	g.settle(c, d, m, out)
}

// admit makes c the record of a request and checks what needs no rule: its id is free, the link is open. g.mu is held.
func (g *Guard) admit(c *call, m *jsonrpc.Message, now time.Time) Decision {
	c.fill(m, now)
	var known bool
	if c.method, known = Lookup(m.Method); !known || c.method.Kinds&ClientRequest == 0 {
		c.method = Method{Name: m.Method}
	}
	c.aim(m)
	switch {
	case g.ended:
		return denied(exitedRule, "the server has exited")
	case g.fromCli.known(c.key) || g.holds(c.key):
		return denied(idRule, "a request with this id is still in flight")
	case c.modern || c.name == "ping":
	case c.name == "initialize":
		g.peers.handshake = true
		info := m.Field(jsonrpc.ClientInfo)
		g.introduce(&info, nil, "legacy")
	case !g.peers.handshake && c.method.Eras&Modern != 0 && c.name != "server/discover":
		return denied(handshakeRule, "a request of a legacy client before initialize")
	}
	if c.modern && g.peers.era == "" {
		info := m.Field(jsonrpc.MetaClientInfo)
		g.introduce(&info, nil, "modern")
	}
	return allowed(DefaultRule)
}

// introduce notes what a side said of itself, for the audit log only: it decides nothing. g.mu is held.
func (g *Guard) introduce(client, server *[]byte, era string) {
	if client != nil {
		g.peers.clientInfo = append([]byte(nil), *client...)
	}
	if server != nil {
		g.peers.serverInfo = append([]byte(nil), *server...)
	}
	if era != "" {
		g.peers.era = era
	}
	g.link.SetPeers(g.peers.clientInfo, g.peers.serverInfo, g.peers.era)
}

// judge applies the rate limit and the rules to a request.
func (g *Guard) judge(c *call, m *jsonrpc.Message) Decision {
	var tool []byte
	if c.method.Target == ToolTarget {
		tool = c.target
	}
	if d := g.opt.Limit.Allow(g.opt.Server, g.opt.Client, tool); !d.Allow {
		return d
	}
	return g.rules(c, m)
}

// rules applies the policy to a request.
func (g *Guard) rules(c *call, m *jsonrpc.Message) Decision {
	e := g.opt.Engine
	if c.method.Kinds == 0 {
		return e.Method(c.name, ClientRequest)
	}
	switch c.method.Target {
	case NoTarget:
		return allowed(DefaultRule)
	case ToolTarget:
		if _, ok := m.Text(jsonrpc.Name); !ok {
			return nameless("name")
		}
		if m.Field(jsonrpc.Task) != nil {
			if d := e.Method("tasks/result", ClientRequest); !d.Allow {
				// A task's result is fetched by tasks/*, past the rules of the tool that made it.
				return Decision{Rule: d.Rule, Reason: "a call as a task, and the tasks/* methods are not allowed"}
			}
		}
		return e.Call(c.target, c.args)
	case PromptTarget:
		if _, ok := m.Text(jsonrpc.Name); !ok {
			return nameless("name")
		}
		return e.Prompt(c.target)
	case ResourceTarget:
		if _, ok := m.Text(jsonrpc.URI); !ok {
			return nameless("uri")
		}
		return e.Resource(c.target)
	case RefTarget:
		return g.reference(c, m)
	case SubscriptionsTarget:
		return g.subscriptions(c, m)
	default:
		return denied(DefaultRule, "no rule knows this kind of target")
	}
}

func nameless(member string) Decision {
	return denied(paramsRule, "params.%s must be a string", member)
}

// reference judges a completion as the prompt or resource that it refers to.
func (g *Guard) reference(c *call, m *jsonrpc.Message) Decision {
	kind, _ := m.Text(jsonrpc.RefType)
	switch string(kind) {
	case "ref/prompt":
		if _, ok := m.Text(jsonrpc.RefName); !ok {
			return nameless("ref.name")
		}
		return g.opt.Engine.Prompt(c.target)
	case "ref/resource":
		if _, ok := m.Text(jsonrpc.RefURI); !ok {
			return nameless("ref.uri")
		}
		return g.opt.Engine.Template(c.target)
	default:
		return denied(paramsRule, "params.ref.type must be ref/prompt or ref/resource")
	}
}

// subscriptions judges each resource that a listen request names as a read of it.
func (g *Guard) subscriptions(c *call, m *jsonrpc.Message) Decision {
	d := allowed(DefaultRule)
	for token := range jsonrpc.Elements(m.Field(jsonrpc.Subscriptions)) {
		uri, ok := jsonrpc.Text(token)
		if !ok {
			return nameless("notifications.resourceSubscriptions[]")
		}
		c.target = append(c.target[:0], uri...)
		if d = g.opt.Engine.Resource(c.target); !d.Allow {
			return d
		}
	}
	return d
}

// pinned judges a target by its pin. A verdict that warns is recorded and passes.
func (g *Guard) pinned(c *call) Decision {
	s := g.surveyFor(c)
	if s == nil {
		return allowed(DefaultRule)
	}
	v := g.opt.Pins.Judge(s.kind, c.target)
	if v.Reason != "" && (v.Status != integrity.Unknown || s.kind == integrity.Tools) {
		g.link.Append(&audit.Event{Kind: audit.Integrity, RequestID: c.id.Token(), Method: c.name, Target: c.target, Reason: v.Reason})
	}
	switch {
	case v.Allowed:
		return allowed(DefaultRule)
	case v.Status != integrity.Unknown:
		return Decision{Rule: integrityRule, Reason: refusal(s.kind, c.target, v)}
	case s.kind == integrity.Prompts:
		return allowed(DefaultRule) // a prompt of that name has nothing that could have changed
	default:
		return denied(unknownRule, "unknown tool %s: this server has never listed it", quoted(c.target))
	}
}

// refusal says in a sentence what is wrong with a target and what helps.
func refusal(kind integrity.Kind, name []byte, v integrity.Verdict) string {
	subject := kind.String() + " " + quoted(name)
	review := "; see `mcpx pins diff`, then `mcpx pins approve` if it is right"
	switch v.Status {
	case integrity.Changed:
		return subject + " is not what was approved: its definition has changed" + review
	case integrity.Added:
		return subject + " is new and waits for approval" + review
	case integrity.Twin:
		return subject + " cannot be told from another name in the same list"
	case integrity.Shadowed:
		return subject + " has the name of another server's tool" + review
	default:
		return subject + " is not approved (" + v.Status.String() + ")" + review
	}
}

// settle records what was decided about a request and forwards or answers it.
func (g *Guard) settle(c *call, d Decision, m *jsonrpc.Message, out *jsonrpc.Outbox) {
	if d.Allow {
		d = merge(d, g.pinned(c))
	}
	if d.Allow && len(c.args) > largeArgs {
		g.hashLater(c, out)
	}
	g.decide(c, d)
	c.args, c.message = nil, nil
	if d.Allow {
		g.startWalk(c, m)
		g.mu.Lock()
		g.fromCli.put(c)
		g.mu.Unlock()
		out.ToServer = append(out.ToServer, m)
		return
	}
	out.ToClient = append(out.ToClient, g.denial(c, d))
	g.mu.Lock()
	g.fromCli.recycle(c)
	g.mu.Unlock()
}

// largeArgs is the size, in bytes, from which arguments are hashed after they were forwarded. The call's outcome says
// what its decision would have said of them.
const largeArgs = 64 << 10

// hashLater leaves the hashing of large arguments to the time when the server already works on them.
func (g *Guard) hashLater(c *call, out *jsonrpc.Outbox) {
	late, args := make(chan []byte, 1), c.args
	c.late, c.args = late, nil
	out.After = append(out.After, func() { late <- g.opt.Log.Args(args) })
}

// lateArgs returns what hashLater found. The server has read the arguments when it answers, so there is next to nothing
// to wait for; one that answers without reading must not stop us from reading its answers.
func (c *call) lateArgs() []byte {
	if c.late == nil {
		return nil
	}
	patience := time.NewTimer(time.Second)
	defer patience.Stop()
	select {
	case args := <-c.late:
		return args
	case <-patience.C:
		return nil
	}
}

// merge keeps the rule that allowed, unless the second decision denies.
func merge(first, second Decision) Decision {
	if second.Allow {
		return first
	}
	return second
}

// decide records a decision about a request.
func (g *Guard) decide(c *call, d Decision) {
	e := audit.Event{
		Kind: audit.Decision, Era: era(c.modern), RequestID: c.id.Token(), Method: c.name, Target: c.target,
		Decision: "allow", Rule: d.Rule, BytesIn: c.bytesIn, TraceID: c.trace, Args: c.args,
	}
	if !d.Allow {
		e.Decision, e.Reason, e.Outcome = "deny", d.Reason, "denied"
	}
	g.link.Append(&e)
}

// outcome records how a request ended; m is the answer, nil where there is none.
func (g *Guard) outcome(c *call, now time.Time, result, reason string, m *jsonrpc.Message) {
	e := audit.Event{
		Kind: audit.Outcome, Era: era(c.modern), RequestID: c.id.Token(), Method: c.name, Target: c.target,
		Outcome: result, Reason: reason, Latency: now.Sub(c.start), TraceID: c.trace, Detail: c.lateArgs(),
	}
	if m != nil {
		e.BytesOut = len(m.Raw)
	}
	g.link.Append(&e)
}

func era(modern bool) string {
	if modern {
		return "modern"
	}
	return "legacy"
}

// clientNotification lets known notifications through, and unknown ones by the rule for methods.
func (g *Guard) clientNotification(m *jsonrpc.Message, out *jsonrpc.Outbox) {
	d := g.notification(m, ClientNotification)
	var waits *call
	if d.Allow && m.Method == "notifications/cancelled" {
		if waits = g.waiting(m); waits != nil {
			d = denied(cancelledRule, "the request was not forwarded yet, so the server is told nothing")
		}
	}
	g.notified(m, d)
	switch {
	case waits != nil:
		g.decide(waits, denied(cancelledRule, "cancelled by the client before it was forwarded"))
	case d.Allow:
		g.cancel(m)
		out.ToServer = append(out.ToServer, m)
	}
}

// notification judges a notification of either side.
func (g *Guard) notification(m *jsonrpc.Message, direction Kind) Decision {
	method, known := Lookup(m.Method)
	if !known || method.Kinds&direction == 0 {
		return g.opt.Engine.Method(m.Method, direction)
	}
	if uri, ok := m.Text(jsonrpc.URI); ok && method.Target == ResourceTarget {
		return g.opt.Engine.Resource(uri)
	}
	return allowed(DefaultRule)
}

func (g *Guard) notified(m *jsonrpc.Message, d Decision) {
	e := audit.Event{Kind: audit.Decision, Method: m.Method, Decision: "allow", Rule: d.Rule}
	if !d.Allow {
		e.Decision, e.Reason, e.Outcome = "deny", d.Reason, "dropped"
	}
	g.link.Append(&e)
}

// waiting takes the request that a cancellation names out of those that wait for a survey, nil if it is not among them.
func (g *Guard) waiting(m *jsonrpc.Message) *call {
	id, ok := jsonrpc.ParseID(m.Field(jsonrpc.RequestID))
	if !ok {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.surveys {
		if c := g.surveys[i].release(id.Key()); c != nil {
			return c
		}
	}
	return nil
}

// cancel notes that the client does not wait for an answer any more.
func (g *Guard) cancel(m *jsonrpc.Message) {
	id, ok := jsonrpc.ParseID(m.Field(jsonrpc.RequestID))
	if !ok || m.Method != "notifications/cancelled" {
		return
	}
	g.mu.Lock()
	c := g.fromCli.cancel(id.Key())
	g.mu.Unlock()
	if c != nil {
		g.outcome(c, g.now(), "cancelled", "", nil)
	}
}

// clientAnswer passes the answer to a request of the server, and nothing else.
func (g *Guard) clientAnswer(m *jsonrpc.Message, out *jsonrpc.Outbox) {
	c := g.take(&g.fromSrv, m.ID)
	if c == nil {
		g.stray(m, "an answer to a request that the server did not make")
		return
	}
	g.outcome(c, out.Now(g.now), answerOutcome(m), "", m)
	out.ToServer = append(out.ToServer, m)
}

// clientFault answers a message that was refused by the scan, if it can be answered.
func (g *Guard) clientFault(m *jsonrpc.Message, out *jsonrpc.Outbox) {
	g.refused(m)
	f := m.Fault
	if f.Response {
		if g.take(&g.fromSrv, m.ID) != nil {
			out.ToServer = append(out.ToServer, jsonrpc.NewError(m.ID, jsonrpc.InternalError, "the client's answer was refused: "+f.Reason, nil))
		}
		return
	}
	if !f.Junk {
		out.ToClient = append(out.ToClient, jsonrpc.NewError(m.ID, f.Code, "message refused: "+f.Reason, nil))
	}
}

// maxStrays is how many messages without meaning are recorded one by one, so that a chatty server does not fill the log.
const maxStrays = 64

// refused records a message that the scan refused.
func (g *Guard) refused(m *jsonrpc.Message) {
	if m.Fault.Junk && !g.countStray() {
		return
	}
	g.link.Append(&audit.Event{
		Kind: audit.Anomaly, RequestID: m.ID.Token(), Method: m.Method, Decision: "deny", Rule: scanRule,
		Reason: m.Fault.Reason, Outcome: "dropped", BytesIn: len(m.Raw),
	})
}

// stray records an answer that nobody waits for.
func (g *Guard) stray(m *jsonrpc.Message, reason string) {
	if !g.countStray() {
		return
	}
	g.link.Append(&audit.Event{
		Kind: audit.Anomaly, RequestID: m.ID.Token(), Decision: "deny", Rule: idRule,
		Reason: reason, Outcome: "dropped", BytesIn: len(m.Raw),
	})
}

func (g *Guard) countStray() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.strays++
	return g.strays <= maxStrays
}
