package policy

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A survey is a walk over a whole list that the guard makes by itself before it lets a call through: when the client
// calls before it has listed, and after the server said that the list changed (SPEC, tool integrity). Calls wait for
// it. The guard's mutex guards it.
type survey struct {
	kind   integrity.Kind
	method string
	walk   *integrity.Walk // under way, nil for none
	asked  jsonrpc.Key     // of the request whose answer it waits for; an older one's is of no use any more
	began  int             // the census's doubts when it began
	turned int             // pages it has asked for
	again  int             // how often it was begun anew since the list changed while it was read
	held   []*call         // requests that wait, in order
	size   int             // what they cost together
}

// maxAgain is how often a survey begins anew. A server that announces its tools one by one changes its list some times in
// a row; one that changes it whenever it is read would have us read for ever.
const maxAgain = 10

// What waits for a survey at most, in bytes, with heldCost for what is kept beside a request: a server that never answers must not
// have us keep all that its clients ask.
const (
	maxHeld  = 64 << 20
	heldCost = 1 << 10
)

const (
	toolSurvey = iota
	promptSurvey
	surveyCount
)

func surveyOf(list List) (int, bool) {
	switch list {
	case ToolList:
		return toolSurvey, true
	case PromptList:
		return promptSurvey, true
	case ResourceList, TemplateList, NoList:
	}
	return 0, false
}

// surveyFor returns which survey a request's target depends on, if any.
func (g *Guard) surveyFor(c *call) (i int, ok bool) {
	switch {
	case g.opt.Pins == nil:
	case c.method.Target == ToolTarget:
		return toolSurvey, true
	case c.method.Target == PromptTarget, c.method.Target == RefTarget && c.prompt:
		return promptSurvey, true
	}
	return 0, false
}

// cost is what a request that waits counts for.
func (c *call) cost() int { return len(c.message.Raw) + heldCost }

// hold keeps a request back if its target has to be verified first, and reports whether it did; else what is decided about it.
// The first such request sends the survey on its way.
func (g *Guard) hold(c *call, d Decision, m *jsonrpc.Message, out *jsonrpc.Outbox) (Decision, bool) {
	i, ok := g.surveyFor(c)
	if !ok || g.opt.Inspection.ToolIntegrity == "warn" || g.opt.Census.verified(i, out.Now(g.now)) {
		return d, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if size := g.surveys[i].size; size > 0 && size+len(m.Raw) > maxHeld {
		return denied(integrityRule, "too many requests wait for the server to list its %ss", g.surveys[i].kind), false
	}
	s, judged := &g.surveys[i], d
	idle := s.walk == nil || len(s.held) == 0 // all who waited have given up, so the server may never have answered
	c.message, c.judged = m.Clone(), &judged
	c.aim(c.message) // its arguments are to live as long
	s.held = append(s.held, c)
	s.size += c.cost()
	if idle {
		s.again = 0
		out.ToServer = append(out.ToServer, g.begin(i, c))
	}
	return d, true
}

// begin asks for the first page of a walk. g.mu is held.
func (g *Guard) begin(i int, waits *call) *jsonrpc.Message {
	s := &g.surveys[i]
	s.walk, s.began, s.turned = g.opt.Pins.Walk(s.kind), g.opt.Census.doubts(i), 0
	return g.turn(s, waits, nil)
}

// turn asks for a page: the first, or the one at a raw cursor. A modern request carries its own era, so ours carries what
// the request that waits says of itself. g.mu is held.
func (g *Guard) turn(s *survey, waits *call, cursor []byte) *jsonrpc.Message {
	g.issued++
	s.turned++
	params := []byte("{")
	if cursor != nil {
		params = append(append(params, `"cursor":`...), cursor...)
	}
	if waits.modern {
		if len(params) > 1 {
			params = append(params, ',')
		}
		params = append(append(params, `"_meta":`...), requestMeta(waits.message)...)
	}
	m := jsonrpc.NewRequest(jsonrpc.StringID(fmt.Sprintf("%s%d", g.ids, g.issued)), s.method, append(params, '}'))
	c := g.fromCli.fresh()
	c.fill(m, g.now())
	c.method, _ = Lookup(s.method)
	c.own = true
	g.fromCli.put(c)
	s.asked = c.key
	return m
}

// requestMeta copies the members of _meta that every modern request must have.
func requestMeta(m *jsonrpc.Message) []byte {
	b := []byte("{")
	for name, value := range jsonrpc.Members(m.Field(jsonrpc.Meta)) {
		switch string(name) {
		case "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities", "io.modelcontextprotocol/clientInfo":
			if len(b) > 1 {
				b = append(b, ',')
			}
			b = append(append(jsonrpc.AppendString(b, name), ':'), value...)
		}
	}
	return append(b, '}')
}

// surveyed takes a page of our own survey.
func (g *Guard) surveyed(c *call, m *jsonrpc.Message, out *jsonrpc.Outbox) {
	i, _ := surveyOf(c.method.List)
	s := &g.surveys[i]
	array := m.Field(lists[c.method.List].field)
	if m.Kind != jsonrpc.Result || array == nil || array[0] != '[' {
		g.surveyFailed(c, "the server does not list its "+s.kind.String()+"s", out)
		return
	}
	items := slices.Collect(jsonrpc.Elements(array))
	cursor := nextCursor(m)
	g.mu.Lock()
	walk, turned, late := s.walk, s.turned, s.asked != c.key
	g.mu.Unlock()
	if walk == nil || late {
		return
	}
	found, err := walk.Page(items, cursor == nil)
	if err != nil {
		g.surveyFailed(c, "tool integrity cannot be checked: "+err.Error(), out)
		return
	}
	for _, f := range found {
		g.report(c, f)
	}
	if cursor != nil && turned >= g.opt.MaxPages {
		g.surveyFailed(c, fmt.Sprintf("the list has more than %d pages (limits.max_pages)", g.opt.MaxPages), out)
		return
	}
	if !g.advance(i, cursor, out) {
		g.surveyFailed(c, fmt.Sprintf("the list of %ss has changed %d times in a row while it was read", s.kind, maxAgain+1), out)
	}
}

// advance does what follows from a page: it asks for the next one, or takes up what waited. It reports false where the list
// changes as often as it is read.
func (g *Guard) advance(i int, cursor []byte, out *jsonrpc.Outbox) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &g.surveys[i]
	switch {
	case len(s.held) == 0:
		s.walk = nil // everybody who waited has given up
		if cursor == nil {
			g.opt.Census.verify(i, s.began, out.Now(g.now))
		}
	case cursor != nil:
		out.ToServer = append(out.ToServer, g.turn(s, s.held[0], bytes.Clone(cursor)))
	case g.opt.Census.verify(i, s.began, out.Now(g.now)):
		g.resume(s, out)
	case s.again == maxAgain:
		return false
	default: // changed while it was read: once more
		s.again++
		out.ToServer = append(out.ToServer, g.begin(i, s.held[0]))
	}
	return true
}

// resume takes up the requests that waited where they were left. g.mu is held, and let go for the time.
func (g *Guard) resume(s *survey, out *jsonrpc.Outbox) {
	waited := s.abandon()
	g.mu.Unlock()
	defer g.mu.Lock()
	for _, c := range waited {
		g.settle(c, *c.judged, c.message, out)
	}
}

// surveyFailed refuses everything that waited: what cannot be verified is not called.
func (g *Guard) surveyFailed(own *call, reason string, out *jsonrpc.Outbox) {
	i, _ := surveyOf(own.method.List)
	g.Record(&audit.Event{Kind: audit.Anomaly, Method: own.name, Reason: reason})
	g.mu.Lock()
	var waited []*call
	if g.surveys[i].asked == own.key {
		waited = g.surveys[i].abandon()
	}
	g.mu.Unlock()
	for _, c := range waited {
		d := denied(integrityRule, "%s %s cannot be verified: %s", g.surveys[i].kind, quoted(c.target), reason)
		answer := g.denial(c, d)
		g.decide(c, out.Now(g.now), d, answer)
		out.ToClient = append(out.ToClient, answer)
	}
}

// abandon ends the survey under way and returns what waited for it.
func (s *survey) abandon() []*call {
	waited := s.held
	s.held, s.size, s.walk = nil, 0, nil
	return waited
}

// release takes a request out of those that wait, nil if it is not among them.
func (s *survey) release(key jsonrpc.Key) *call {
	i := slices.IndexFunc(s.held, func(c *call) bool { return c.key == key })
	if i < 0 {
		return nil
	}
	c := s.held[i]
	s.size -= c.cost()
	s.held = slices.Delete(s.held, i, i+1)
	return c
}

// holds reports whether a request of that id waits for a survey. g.mu is held.
func (g *Guard) holds(key jsonrpc.Key) bool {
	for i := range g.surveys {
		if slices.ContainsFunc(g.surveys[i].held, func(c *call) bool { return c.key == key }) {
			return true
		}
	}
	return false
}
