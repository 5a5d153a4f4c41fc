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
	began  int             // the census's doubts when it began
	turned int             // pages it has asked for
	held   []*call         // requests that wait, in order
}

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

// hold keeps a request back if its target has to be verified first, and reports whether it did. The first such request
// sends the survey on its way.
func (g *Guard) hold(c *call, d Decision, m *jsonrpc.Message, out *jsonrpc.Outbox) bool {
	i, ok := g.surveyFor(c)
	if !ok || g.opt.Inspection.ToolIntegrity == "warn" || g.opt.Census.verified(i, out.Now(g.now)) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s, judged := &g.surveys[i], d
	c.message, c.judged = m.Clone(), &judged
	c.aim(c.message) // its arguments are to live as long
	s.held = append(s.held, c)
	if s.walk == nil {
		s.walk, s.began, s.turned = g.opt.Pins.Walk(s.kind), g.opt.Census.doubts(i), 0
		out.ToServer = append(out.ToServer, g.turn(s, c, nil))
	}
	return true
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
	walk, turned := s.walk, s.turned
	g.mu.Unlock()
	if walk == nil {
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
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(s.held) == 0 {
		s.walk = nil // everybody who waited has given up
		if cursor == nil {
			g.opt.Census.verify(i, s.began, out.Now(g.now))
		}
		return
	}
	switch {
	case cursor != nil:
		out.ToServer = append(out.ToServer, g.turn(s, s.held[0], bytes.Clone(cursor)))
	case g.opt.Census.verify(i, s.began, out.Now(g.now)):
		g.resume(s, out)
	default: // changed while it was read: once more
		s.walk, s.began, s.turned = g.opt.Pins.Walk(s.kind), g.opt.Census.doubts(i), 0
		out.ToServer = append(out.ToServer, g.turn(s, s.held[0], nil))
	}
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
	waited := g.surveys[i].abandon()
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
	s.held, s.walk = nil, nil
	return waited
}

// release takes a request out of those that wait, nil if it is not among them.
func (s *survey) release(key jsonrpc.Key) *call {
	i := slices.IndexFunc(s.held, func(c *call) bool { return c.key == key })
	if i < 0 {
		return nil
	}
	c := s.held[i]
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
