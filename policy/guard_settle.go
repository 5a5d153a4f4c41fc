package policy

import (
	"time"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// pinned judges a target by its pin. A verdict that warns is recorded and passes.
func (g *Guard) pinned(c *call) Decision {
	i, ok := g.surveyFor(c)
	if !ok {
		return allowed(DefaultRule)
	}
	s := &g.surveys[i]
	v := g.opt.Pins.Judge(s.kind, c.target)
	if v.Reason != "" && (v.Status != integrity.Unknown || s.kind == integrity.Tools) {
		g.Record(&audit.Event{Kind: audit.Integrity, RequestID: c.id.Token(), Method: c.name, Target: c.target, Reason: v.Reason})
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
	if v.Overruled {
		return subject + " is not what the hub has approved; see `mcpx pins diff --hub`, then `mcpx pins approve --hub` if it is right"
	}
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
		if pinned := g.pinned(c); !pinned.Allow {
			d = pinned
		}
	}
	if d.Allow && len(c.args) > largeArgs {
		g.hashLater(c, out)
	}
	var answer *jsonrpc.Message
	if !d.Allow {
		answer = g.denial(c, d)
	}
	g.decide(c, out.Now(g.now), d, answer)
	c.args, c.message = nil, nil
	if d.Allow {
		m = c.traced(m)
		g.startWalk(c, m)
		if !g.release(c) {
			g.outcome(c, out.Now(g.now), "error", "server exited", nil)
			out.ToClient = append(out.ToClient, jsonrpc.NewError(c.id, jsonrpc.InternalError, "server exited; the request was not executed", nil))
			return
		}
		out.ToServer = append(out.ToServer, m)
		return
	}
	out.ToClient = append(out.ToClient, answer)
	g.mu.Lock()
	g.fromCli.recycle(c)
	g.mu.Unlock()
}

// release notes that the server has to answer a request, unless it has ended while that was judged: then nobody would.
func (g *Guard) release(c *call) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return false
	}
	g.fromCli.put(c)
	return true
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
// to wait for; one that answers without reading must not stop us from reading its answers. Who cancels does not wait:
// the hashing may be what the same pump does next.
func (c *call) lateArgs() []byte {
	if c.late == nil {
		return nil
	}
	select {
	case args := <-c.late:
		return args
	default:
	}
	if c.cancelled {
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

// decide records a decision about a request; answer is what its sender gets where it is denied.
func (g *Guard) decide(c *call, now time.Time, d Decision, answer *jsonrpc.Message) {
	e := audit.Event{
		Time: now, Kind: audit.Decision, Era: era(c.modern), RequestID: c.id.Token(), Method: c.name, Target: c.target,
		Decision: "allow", Rule: d.Rule, Reason: d.Reason, BytesIn: c.bytesIn, TraceID: c.trace, Args: c.args,
	}
	if !d.Allow {
		e.Decision, e.Outcome = "deny", "denied"
	}
	g.Record(&e)
	if c.span == nil {
		return
	}
	if !d.Allow {
		c.ended(now, "denied", d, answer)
		return
	}
	judged := d // a copy, or d would be on the heap also where nobody traces
	c.judged = &judged
}

// outcome records how a request ended; m is the answer, nil where there is none.
func (g *Guard) outcome(c *call, now time.Time, result, reason string, m *jsonrpc.Message) {
	e := audit.Event{
		Time: now, Kind: audit.Outcome, Era: era(c.modern), RequestID: c.id.Token(), Method: c.name, Target: c.target,
		Outcome: result, Reason: reason, Latency: now.Sub(c.start), TraceID: c.trace, Detail: c.lateArgs(),
	}
	if m != nil {
		e.BytesOut = len(m.Raw)
	}
	g.Record(&e)
	if c.span != nil {
		c.ended(now, result, Decision{Rule: c.judged.Rule, Shadow: c.judged.Shadow, Reason: reason}, m)
	}
}

func era(modern bool) string {
	if modern {
		return "modern"
	}
	return "legacy"
}
