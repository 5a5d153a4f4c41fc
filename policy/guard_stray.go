package policy

import (
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

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
	if f.Silent {
		if c := g.take(&g.fromSrv, m.ID); c != nil {
			answer := jsonrpc.NewError(m.ID, jsonrpc.InternalError, "the client's answer was refused: "+f.Reason, nil)
			c.ended(out.Now(g.now), "error", Decision{Reason: f.Reason}, answer)
			out.ToServer = append(out.ToServer, answer)
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
	g.Record(&audit.Event{
		Kind: audit.Anomaly, RequestID: m.ID.Token(), Method: m.Method, Decision: "deny", Rule: scanRule,
		Reason: m.Fault.Reason, Outcome: "dropped", BytesIn: len(m.Raw),
	})
}

// stray records an answer that nobody waits for.
func (g *Guard) stray(m *jsonrpc.Message, reason string) {
	if !g.countStray() {
		return
	}
	g.Record(&audit.Event{
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
