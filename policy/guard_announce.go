package policy

import (
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A client lists once and relies on being told of changes. What our rules and pins take out of a list changes too, when
// something is approved or revoked while the link is open, and the server knows nothing of that: we tell the client, in the
// server's words, and only where the server has said that it would (2025-11-25: capabilities, "listChanged"; 2026-07-28:
// subscriptions/listen).

// changes are the lists whose changes are announced: by what name in capabilities, in a subscription, and to the client.
var changes = [...]struct{ capability, subscription, method string }{
	{"tools", "toolsListChanged", "notifications/tools/list_changed"},
	{"prompts", "promptsListChanged", "notifications/prompts/list_changed"},
	{"resources", "resourcesListChanged", "notifications/resources/list_changed"},
}

// A changeSet says which of changes are meant, a bit for each.
type changeSet uint8

// promised returns which changes a server says that it announces; capabilities is raw JSON.
func promised(capabilities []byte) (set changeSet) {
	for i, c := range changes {
		if string(jsonrpc.Member(jsonrpc.Member(capabilities, c.capability), "listChanged")) == "true" {
			set |= 1 << i
		}
	}
	return set
}

// subscribed returns which changes a server has acknowledged that it announces; notifications is raw JSON.
func subscribed(notifications []byte) (set changeSet) {
	for i, c := range changes {
		if string(jsonrpc.Member(notifications, c.subscription)) == "true" {
			set |= 1 << i
		}
	}
	return set
}

// announce appends a notification for each change; params is raw JSON, nil for none.
func (s changeSet) announce(to []*jsonrpc.Message, params []byte) []*jsonrpc.Message {
	for i, c := range changes {
		if s&(1<<i) != 0 {
			to = append(to, jsonrpc.NewRequest(jsonrpc.ID{}, c.method, params))
		}
	}
	return to
}

// Wake lets Unasked tell the client that its lists may have changed. It never waits.
func (g *Guard) Wake() {
	select {
	case g.woken <- struct{}{}:
	default: // it is about to be told
	}
}

// Attend implements transport.Inspector.
func (g *Guard) Attend() (woken <-chan struct{}, done func()) {
	withheld := &g.opt.Census.withheld
	withheld.attend(g, 1)
	return g.woken, func() { withheld.attend(g, -1) }
}

// Unasked implements transport.Inspector: it tells the client to list again. A client that has not begun will list anyway.
func (g *Guard) Unasked(out *jsonrpc.Outbox) {
	g.mu.Lock()
	if g.peers.initialized {
		out.ToClient = g.peers.announces.announce(out.ToClient, nil)
	}
	for c := range g.fromCli.all {
		if c.changes != 0 && !c.cancelled {
			meta := append([]byte(`{"_meta":{"io.modelcontextprotocol/subscriptionId":`), c.id.Token()...)
			out.ToClient = c.changes.announce(out.ToClient, append(meta, `}}`...))
		}
	}
	g.mu.Unlock()
	if len(out.ToClient) > 0 {
		g.Record(&audit.Event{Kind: audit.Lifecycle, Reason: "client_told_to_list_again"})
	}
}

// acknowledged notes which changes a server announces to a subscription.
func (g *Guard) acknowledged(m *jsonrpc.Message) {
	id, ok := jsonrpc.ParseID(m.Field(jsonrpc.MetaSubscription))
	if !ok {
		return
	}
	g.mu.Lock()
	if c := g.fromCli.get(id.Key()); c != nil && c.method.Target == SubscriptionsTarget {
		c.changes = subscribed(m.Field(jsonrpc.Notifications))
	}
	g.mu.Unlock()
	g.opt.Census.withheld.announced()
}

// announcing reports whether the client is to be told of any change.
func (g *Guard) announcing() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	set := g.peers.announces
	for c := range g.fromCli.all {
		set |= c.changes
	}
	return set != 0
}
