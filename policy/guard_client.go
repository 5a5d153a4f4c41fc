package policy

import (
	"bytes"
	"time"

	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// clientRequest takes one request of the client through all steps.
func (g *Guard) clientRequest(m *jsonrpc.Message, out *jsonrpc.Outbox) {
	g.mu.Lock()
	c := g.fromCli.fresh()
	d := g.admit(c, m, out.Now(g.now))
	g.mu.Unlock()
	g.trace(c, m, false)
	if d.Allow {
		d = g.judge(c, m)
	}
	if d.Allow {
		var held bool
		if d, held = g.hold(c, d, m, out); held {
			return
		}
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
	case c.modern && c.method.Kinds != 0 && c.method.Eras&Modern == 0:
		c.method = Method{Name: m.Method} // what a revision has removed is as good as never heard of
		return denied(eraRule, "%s is no method of revision %s", m.Method, modernRevision)
	case c.modern || c.name == "ping":
	case c.name == "initialize":
		g.peers.handshake = true
		g.introduce(m.Field(jsonrpc.ClientInfo), "legacy")
	case !g.peers.handshake && c.method.Eras&Modern != 0 && c.name != "server/discover":
		return denied(handshakeRule, "a request of a legacy client before initialize")
	}
	if c.modern && g.peers.era == "" {
		g.introduce(m.Field(jsonrpc.MetaClientInfo), "modern")
	}
	return allowed(DefaultRule)
}

// maxInfo bounds, in bytes, what is kept of how a peer introduces itself for as long as the link is open. With icons it may be
// as long as a message.
const maxInfo = 2 << 10

// maxVersion bounds, in bytes, what is kept of a protocol version, which is a date.
const maxVersion = 64

// shortInfo returns a copy, or of a long one what identifies the peer.
func shortInfo(info []byte) []byte {
	if len(info) <= maxInfo {
		return bytes.Clone(info)
	}
	b := []byte("{")
	for _, name := range []string{"name", "version"} {
		value, ok := jsonrpc.Text(jsonrpc.Member(info, name))
		if !ok {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(jsonrpc.AppendString(b, name), ':')
		b = jsonrpc.AppendString(b, bytes.ToValidUTF8(value[:min(len(value), maxInfo/8)], nil))
	}
	return append(b, '}')
}

// introduce notes what the client said of itself, for the audit log only: it decides nothing. g.mu is held.
func (g *Guard) introduce(client []byte, era string) {
	g.peers.clientInfo, g.peers.era = shortInfo(client), era
	g.link.SetPeers(g.peers.clientInfo, g.peers.serverInfo, g.peers.era)
}

// judge applies the rate limit and the rules to a request.
func (g *Guard) judge(c *call, m *jsonrpc.Message) Decision {
	var tool []byte
	if c.method.Target == ToolTarget {
		tool = c.target
	}
	if d := g.rules.Load().limit.Allow(g.opt.Server, g.opt.Client, tool); !d.Allow {
		return d
	}
	return g.ruled(c, m)
}

// ruled applies the policy to a request.
func (g *Guard) ruled(c *call, m *jsonrpc.Message) Decision {
	e := g.engine()
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
		d := e.Call(c.target, c.args)
		if m.Field(jsonrpc.Task) != nil {
			return asTask(d, e.Method("tasks/result", ClientRequest))
		}
		return d
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

// asTask decides about a call as a task: its result is fetched by tasks/*, past the rules of the tool that made it, so both must
// be allowed.
func asTask(call, fetch Decision) Decision {
	const reason = "a call as a task, and the tasks/* methods are not allowed"
	both := Decision{Rule: fetch.Rule, Reason: reason}
	switch {
	case !fetch.Allow:
		return both
	case !call.Allow || !fetch.Shadow:
		return call
	default:
		return call.rehearsed(both)
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
		return g.engine().Prompt(c.target)
	case "ref/resource":
		if _, ok := m.Text(jsonrpc.RefURI); !ok {
			return nameless("ref.uri")
		}
		return g.engine().Template(c.target)
	default:
		return denied(paramsRule, "params.ref.type must be ref/prompt or ref/resource")
	}
}

// subscriptions judges each resource that a listen request names as a read of it.
func (g *Guard) subscriptions(c *call, m *jsonrpc.Message) Decision {
	if list := m.Field(jsonrpc.Notifications); list != nil && list[0] != '{' {
		return denied(paramsRule, "params.notifications must be an object")
	}
	uris := m.Field(jsonrpc.Subscriptions)
	if uris != nil && uris[0] != '[' {
		return denied(paramsRule, "params.notifications.resourceSubscriptions must be an array")
	}
	d := allowed(DefaultRule)
	for token := range jsonrpc.Elements(uris) {
		uri, ok := jsonrpc.Text(token)
		if !ok {
			return nameless("notifications.resourceSubscriptions[]")
		}
		c.target = append(c.target[:0], uri...)
		one := g.engine().Resource(c.target)
		if !one.Allow {
			return one
		}
		if !d.Shadow { // the first that would have been denied is told
			d = one
		}
	}
	return d
}

// clientNotification lets known notifications through, and unknown ones by the rule for methods.
func (g *Guard) clientNotification(m *jsonrpc.Message, out *jsonrpc.Outbox) {
	d := g.notification(m, ClientNotification)
	var held, sent *call
	if d.Allow && m.Method == "notifications/cancelled" {
		held, sent = g.giveUp(m)
	}
	if held != nil {
		d = denied(cancelledRule, "the request was not forwarded yet, so the server is told nothing")
	}
	g.notified(m, d)
	switch {
	case held != nil:
		g.decide(held, out.Now(g.now), denied(cancelledRule, "cancelled by the client before it was forwarded"), nil)
	case sent != nil:
		g.outcome(sent, out.Now(g.now), "cancelled", "", nil)
	}
	if d.Allow {
		g.begun(m)
		out.ToServer = append(out.ToServer, m)
	}
}

// begun notes the end of a legacy handshake: from now on the client may be told something unasked.
func (g *Guard) begun(m *jsonrpc.Message) {
	if m.Method == "notifications/initialized" {
		g.mu.Lock()
		g.peers.initialized = true
		g.mu.Unlock()
	}
}

// giveUp finds the request that a cancellation names: among those that wait for a survey, out of which it is taken, or
// among those that the server knows of.
func (g *Guard) giveUp(m *jsonrpc.Message) (held, sent *call) {
	id, ok := jsonrpc.ParseID(m.Field(jsonrpc.RequestID))
	if !ok {
		return nil, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.surveys {
		if held = g.surveys[i].release(id.Key()); held != nil {
			return held, nil
		}
	}
	return nil, g.fromCli.cancel(id.Key())
}

// notification judges a notification of either side.
func (g *Guard) notification(m *jsonrpc.Message, direction Kind) Decision {
	method, known := Lookup(m.Method)
	if !known || method.Kinds&direction == 0 {
		return g.engine().Method(m.Method, direction)
	}
	if uri, ok := m.Text(jsonrpc.URI); ok && method.Target == ResourceTarget {
		return g.engine().Resource(uri)
	}
	return allowed(DefaultRule)
}

func (g *Guard) notified(m *jsonrpc.Message, d Decision) {
	e := audit.Event{Kind: audit.Decision, Method: m.Method, Decision: "allow", Rule: d.Rule, Reason: d.Reason}
	if !d.Allow {
		e.Decision, e.Outcome = "deny", "dropped"
	}
	g.Record(&e)
}
