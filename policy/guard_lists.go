package policy

import (
	"crypto/sha256"
	"slices"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// lists says where each kind of list keeps its items and what names an item.
var lists = map[List]struct {
	field  jsonrpc.Field
	naming string
}{
	ToolList:     {jsonrpc.Tools, "name"},
	PromptList:   {jsonrpc.Prompts, "name"},
	ResourceList: {jsonrpc.Resources, "uri"},
	TemplateList: {jsonrpc.ResourceTemplates, "uriTemplate"},
}

// startWalk finds the walk that a page of a pinned list belongs to.
func (g *Guard) startWalk(c *call, m *jsonrpc.Message) {
	i, ok := surveyOf(c.method.List)
	if !ok || g.opt.Pins == nil {
		return
	}
	kind := g.surveys[i].kind
	cursor := m.Field(jsonrpc.Cursor)
	if cursor == nil {
		c.doubts = g.opt.Census.doubts(i)
		c.walk = g.opt.Pins.Walk(kind)
		return
	}
	if next, known := g.opt.Census.resume(i, g.page(cursor)); known {
		c.walk, c.doubts = next.walk, next.doubts
		return
	}
	c.walk = g.opt.Pins.Resume(kind)
	c.doubts = -1
}

// list takes out of a list what the client may not have. It is the only place where a body is rewritten.
func (g *Guard) list(c *call, m *jsonrpc.Message) (answer *jsonrpc.Message, reason string) {
	where := lists[c.method.List]
	array := m.Field(where.field)
	if array == nil || array[0] != '[' {
		return m, "" // not a list; the client will say so
	}
	items := slices.Collect(jsonrpc.Elements(array))
	withheld := make([]bool, len(items))
	if c.walk != nil {
		last := nextCursor(m) == nil
		found, err := c.walk.Page(items, last)
		if err != nil {
			return g.unpinned(c, m, err)
		}
		for _, f := range found {
			g.report(c, f)
			if f.Index >= 0 && f.Withhold {
				withheld[f.Index] = true
				if i, ok := surveyOf(c.method.List); ok {
					g.opt.Census.withheld.add(i, f.Name)
				}
			}
		}
		g.walked(c, m, last)
	}
	kept := make([][]byte, 0, len(items))
	for i, item := range items {
		if !withheld[i] && g.visible(c.method.List, jsonrpc.Member(item, where.naming)) {
			kept = append(kept, item)
		}
	}
	if len(kept) == len(items) {
		return m, ""
	}
	return m.Replace(where.field, join(kept)), ""
}

// visible reports whether the policy lets a client see an item of that name.
func (g *Guard) visible(list List, token []byte) bool {
	if f := g.opt.Inspection.FilterToolsList; f != nil && !*f {
		return true
	}
	name, ok := jsonrpc.Text(token)
	if !ok {
		return !g.engine().HasRules()
	}
	switch list {
	case ToolList:
		return g.engine().Tool(name).Allow
	case PromptList:
		return g.engine().Prompt(name).Allow
	case ResourceList:
		return g.engine().Resource(name).Allow
	case TemplateList:
		return g.engine().Template(name).Allow
	case NoList:
	}
	return false
}

// walked notes how far a walk has come. A complete one verifies the list, unless it has changed meanwhile.
func (g *Guard) walked(c *call, m *jsonrpc.Message, last bool) {
	i, _ := surveyOf(c.method.List)
	if last {
		g.opt.Census.verify(i, c.doubts, g.now())
		return
	}
	g.opt.Census.keep(i, g.page(nextCursor(m)), openWalk{c.walk, c.doubts})
}

// page names a page of this client, shortly: a cursor may be as long as a message.
func (g *Guard) page(cursor []byte) string {
	sum := sha256.Sum256(cursor)
	return string(sum[:]) + g.opt.Client
}

// nextCursor returns the raw cursor of the next page, nil for none. The empty string is a cursor.
func nextCursor(m *jsonrpc.Message) []byte {
	cursor := m.Field(jsonrpc.NextCursor)
	if string(cursor) == "null" {
		return nil
	}
	return cursor
}

func join(items [][]byte) []byte {
	b := []byte{'['}
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, item...)
	}
	return append(b, ']')
}
