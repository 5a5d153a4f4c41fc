package clients

import (
	"bytes"
	"slices"
	"strings"
)

// Disconnect removes the servers whose URL is one of a hub's, and the map that has none left then.
func (f *File) Disconnect(only func(s *Server) bool) (*Change, error) {
	c := f.change()
	for i := range f.Servers {
		s := &f.Servers[i]
		if s.URL != "" && (s.State == Remote || s.State == Wrapped) && only(s) {
			c.gone[s.id()] = true
		}
	}
	if len(c.gone) == 0 {
		return c, nil
	}
	for _, m := range f.maps {
		f.each(f.root, m.path, func(way []*node, names []string) { f.remove(c, m, way, names) })
	}
	for i := range f.Servers {
		if s := f.Servers[i]; c.gone[s.id()] {
			c.Done = append(c.Done, s)
		}
	}
	// They are done by not being there: finish looks for those that stay.
	done := c.Done
	c.Done = nil
	err := c.finish(f, equal)
	if err == nil {
		c.Done = done
	}
	return c, err
}

// each calls visit for each map of servers that a path leads to, with the objects on the way there.
func (f *File) each(n *node, path []string, visit func(way []*node, names []string)) {
	var walk func(way []*node, names, path []string)
	walk = func(way []*node, names, path []string) {
		n := way[len(way)-1]
		if len(path) == 0 {
			visit(way, names)
			return
		}
		for _, m := range n.members {
			if m.key == path[0] || path[0] == "*" {
				walk(append(slices.Clone(way), m.value), append(slices.Clone(names), m.key), path[1:])
			}
		}
	}
	walk([]*node{n}, nil, path)
}

// remove takes servers that are gone out of one map.
func (f *File) remove(c *Change, m servers, way []*node, names []string) {
	n := way[len(way)-1]
	var removed []int
	for i := range f.Servers {
		s := &f.Servers[i]
		if !c.gone[s.id()] {
			continue
		}
		if m.list {
			if k := slices.Index(n.elems, s.entry); k >= 0 {
				removed = append(removed, k)
			}
		} else if k := slices.IndexFunc(n.members, func(m member) bool { return m.value == s.entry }); k >= 0 {
			removed = append(removed, k)
		}
	}
	if len(removed) == 0 {
		return
	}
	slices.Sort(removed)
	switch f.format {
	case formatTOML:
		for _, k := range removed {
			c.edits = append(c.edits, f.removeTable(n.members[k].value)...)
		}
	case formatYAML:
		c.edits = append(c.edits, f.removeLines(m, way, names, removed)...)
	default:
		c.edits = append(c.edits, f.removeMembers(way, names, removed)...)
	}
}

// removeMembers works from the map upwards: what has nothing left goes as well, if it is the last of its parent, where connect puts it.
func (f *File) removeMembers(way []*node, names []string, removed []int) []edit {
	obj := way[len(way)-1]
	for len(removed) == len(obj.members) {
		level := len(way) - 1
		if level == 0 || names[level-1] != way[level-1].members[len(way[level-1].members)-1].key {
			end := max(obj.comma, obj.members[len(obj.members)-1].value.end)
			start := obj.members[0].start
			if onlySpace(f.source[obj.start+1:start]) && onlySpace(f.source[end:obj.end-1]) {
				start, end = obj.start+1, obj.end-1
			}
			return []edit{{start: start, end: end}}
		}
		way, names = way[:level], names[:level-1]
		obj = way[level-1]
		removed = []int{len(obj.members) - 1}
	}
	var edits []edit
	for _, k := range removed {
		if slices.Equal(removed[:min(k+1, len(removed))], upTo(k+1)) { // nothing stays before it
			edits = append(edits, edit{start: obj.members[k].start, end: obj.members[k+1].start})
			continue
		}
		edits = append(edits, edit{start: obj.members[k-1].value.end, end: obj.members[k].value.end})
	}
	return edits
}

func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// removeTable removes a [table] of its own, and the empty line before it.
func (f *File) removeTable(n *node) []edit {
	if n.table.end == 0 {
		return nil // what finish reads then is not what was meant, and nothing is changed
	}
	start := n.table.start
	if bytes.HasSuffix(f.source[:start], []byte("\n\n")) {
		start--
	} else if bytes.HasSuffix(f.source[:start], []byte("\r\n\r\n")) {
		start -= 2
	}
	return []edit{{start: start, end: n.table.end}}
}

// removeLines removes items of a block, and its key when all of them go.
func (f *File) removeLines(m servers, way []*node, names []string, removed []int) []edit {
	n := way[len(way)-1]
	items := n.elems
	starts := make([]int, 0, max(len(n.members), len(n.elems)))
	for _, e := range n.elems {
		starts = append(starts, dash(f.source, e))
	}
	for _, each := range n.members {
		items = append(items, each.value)
		starts = append(starts, each.start)
	}
	lineOf := func(offset int) int { return bytes.LastIndexByte(f.source[:max(offset, 0)], '\n') + 1 }
	var edits []edit
	if len(removed) == len(items) && len(way) > 1 && !n.inline {
		key := way[len(way)-2].member(names[len(names)-1])
		edits = append(edits, edit{start: lineOf(key.start), end: lineOf(starts[0])})
	}
	for _, k := range removed {
		end := 0
		if k+1 < len(items) {
			end = lineOf(starts[k+1])
		} else {
			end = len(f.source)
			if i := strings.IndexByte(string(f.source[items[k].end:]), '\n'); i >= 0 {
				end = items[k].end + i + 1
			}
		}
		edits = append(edits, edit{start: lineOf(starts[k]), end: end})
	}
	return edits
}
