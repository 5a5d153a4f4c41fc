package clients

import (
	"bytes"
	"errors"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// A tableHeader is a [header] of a TOML file, up to the end of its last line of its own.
type tableHeader struct {
	start, end int // 0, 0: the table has no header
}

// parseTOML reads TOML 1.0. All rules of TOML are checked first; then the file is read once more for where everything stands.
func parseTOML(file []byte) (*node, error) {
	skip := 0
	if bytes.HasPrefix(file, byteOrderMark) {
		skip = len(byteOrderMark)
	}
	source := bytes.Clone(file[skip:])
	var all map[string]any
	if err := toml.Unmarshal(source, &all); err != nil {
		if wrong, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, column := wrong.Position()
			return nil, &PlaceError{line, column, "not TOML: " + strings.TrimPrefix(wrong.Error(), "toml: ")}
		}
		return nil, &PlaceError{Reason: "not TOML"}
	}
	t := tomlReader{source: source, skip: skip, root: &node{kind: object, start: skip, end: len(file)}}
	t.current = t.root
	t.parser.Reset(source)
	for t.parser.NextExpression() {
		t.expression(t.parser.Expression())
	}
	if err := t.parser.Error(); err != nil {
		return nil, &PlaceError{Reason: "not TOML"} // the same parser has read it above
	}
	return t.root, nil
}

type tomlReader struct {
	parser        unstable.Parser
	source        []byte
	skip          int // bytes of the file before source
	root, current *node
}

func (t *tomlReader) expression(e *unstable.Node) {
	switch e.Kind {
	case unstable.Table, unstable.ArrayTable:
		first := e.Child().Raw.Offset
		start := bytes.LastIndexByte(t.source[:first], '\n') + 1
		t.current = t.descend(t.root, e.Key(), int(first))
		if e.Kind == unstable.ArrayTable {
			item := &node{kind: object, start: t.skip + start}
			t.current.kind = array
			t.current.elems = append(t.current.elems, item)
			t.current = item
			return
		}
		t.current.table = tableHeader{t.skip + start, t.skip + t.lineEnd(int(first))}
	case unstable.KeyValue:
		t.pair(t.current, e)
		if t.current.table.end > 0 {
			t.current.table.end = t.skip + t.lineEnd(int(e.Raw.Offset+e.Raw.Length))
		}
	default: // a comment, for which the parser was not asked
	}
}

// lineEnd is the offset behind the line of an offset.
func (t *tomlReader) lineEnd(offset int) int {
	if i := bytes.IndexByte(t.source[offset:], '\n'); i >= 0 {
		return offset + i + 1
	}
	return len(t.source)
}

// descend finds the table of a key, and makes it where it is not there yet.
func (t *tomlReader) descend(n *node, key unstable.Iterator, at int) *node {
	for key.Next() {
		n = t.child(n, string(key.Node().Data), at)
	}
	return n
}

func (t *tomlReader) child(n *node, name string, at int) *node {
	next := n.value(name)
	if next == nil {
		next = &node{kind: object, start: t.skip + at}
		n.members = append(n.members, member{name, t.skip + at, next})
	}
	if next.kind == array && len(next.elems) > 0 {
		next = next.elems[len(next.elems)-1]
	}
	return next
}

func (t *tomlReader) pair(n *node, e *unstable.Node) {
	end := int(e.Raw.Offset + e.Raw.Length)
	start := int(e.Raw.Offset)
	var name string
	key := e.Key()
	for first := true; key.Next(); first = false {
		if !first {
			n = t.child(n, name, start)
		}
		name = string(key.Node().Data)
		end = int(key.Node().Raw.Offset + key.Node().Raw.Length)
	}
	end += bytes.IndexByte(t.source[end:], '=') + 1
	for end < len(t.source) && (t.source[end] == ' ' || t.source[end] == '\t') {
		end++
	}
	value := t.value(e.Value())
	value.start, value.end, value.raw = t.skip+end, t.skip+int(e.Raw.Offset+e.Raw.Length), true
	n.add(member{name, t.skip + start, value})
}

func (t *tomlReader) value(v *unstable.Node) *node {
	n := &node{start: t.skip + int(v.Raw.Offset), end: t.skip + int(v.Raw.Offset+v.Raw.Length), raw: true, inline: true}
	switch v.Kind {
	case unstable.String:
		n.kind, n.text = text, string(v.Data)
	case unstable.Bool:
		n.kind, n.text = boolean, string(v.Data)
	case unstable.Array:
		n.kind, n.raw = array, false
		for it := v.Children(); it.Next(); {
			if it.Node().Kind != unstable.Comment {
				n.elems = append(n.elems, t.value(it.Node()))
			}
		}
	case unstable.InlineTable:
		n.kind, n.raw = object, false
		for it := v.Children(); it.Next(); {
			if it.Node().Kind == unstable.KeyValue {
				t.pair(n, it.Node())
			}
		}
	default:
		n.kind, n.text = other, string(v.Data)
	}
	return n
}
