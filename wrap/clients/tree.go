package clients

import (
	"bytes"
	"fmt"
	"sort"
)

// maxFile is how many bytes of a client's file are read. Claude Code keeps its history in the same file.
const maxFile = 64 << 20

// maxDepth bounds nesting: what reads a file calls itself for each level.
const maxDepth = 1000

type kind int

const (
	other kind = iota // a number, null, a date, what YAML refers to elsewhere
	text
	boolean
	array
	object
)

// A node is a value of a file and where it stands. The same tree is made of JSON, TOML and YAML.
type node struct {
	kind       kind
	start, end int    // in bytes of the file; of a TOML table, and of what is in blocks in YAML, the end is no more than a guess
	text       string // of text, decoded; as it is written of boolean and other
	raw        bool   // the bytes from start to end are the value and nothing else, in one piece that can be moved
	inline     bool   // an object or array in brackets
	comma      int    // offset behind a trailing comma of a JSON object; 0: none
	members    []member
	elems      []*node
	table      tableHeader // of a TOML table that has a header of its own

	twice   string // a name that two members have
	twiceAt int
}

type member struct {
	key   string
	start int // of the key
	value *node
}

func (n *node) add(m member) {
	for _, known := range n.members {
		if known.key == m.key {
			n.twice, n.twiceAt = m.key, m.start
		}
	}
	n.members = append(n.members, m)
}

// member returns the member of an object, nil if there is none.
func (n *node) member(key string) *member {
	if n == nil {
		return nil
	}
	for i := range n.members {
		if n.members[i].key == key {
			return &n.members[i]
		}
	}
	return nil
}

func (n *node) value(key string) *node {
	if m := n.member(key); m != nil {
		return m.value
	}
	return nil
}

func (n *node) is(k kind) bool { return n != nil && n.kind == k }

// A PlaceError says where in a file something is wrong. It never shows what is written there: that may be a secret.
type PlaceError struct {
	Line, Column int // from 1; Column 0: not known; Line 0: the whole file
	Reason       string
}

func (e *PlaceError) Error() string {
	switch {
	case e.Line == 0:
		return e.Reason
	case e.Column == 0:
		return fmt.Sprintf("%d: %s", e.Line, e.Reason)
	}
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Reason)
}

func placeError(file []byte, offset int, format string, args ...any) error {
	line, column := position(file, offset)
	return &PlaceError{line, column, fmt.Sprintf(format, args...)}
}

// position gives line and column of an offset, from 1.
func position(file []byte, offset int) (line, column int) {
	before := file[:min(offset, len(file))]
	return 1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')
}

// An edit replaces a range of bytes.
type edit struct {
	start, end int
	text       string
}

// splice applies edits that do not overlap, and sorts them.
func splice(file []byte, edits []edit) []byte {
	sort.SliceStable(edits, func(i, j int) bool { return edits[i].start < edits[j].start })
	var out []byte
	at := 0
	for _, e := range edits {
		out = append(out, file[at:e.start]...)
		out = append(out, e.text...)
		at = e.end
	}
	return append(out, file[at:]...)
}

// newline is how lines end in a file.
func newline(file []byte) string {
	if i := bytes.IndexByte(file, '\n'); i > 0 && file[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// indent is the white space that the line of an offset begins with.
func indent(file []byte, offset int) string {
	start := bytes.LastIndexByte(file[:offset], '\n') + 1
	end := start
	for end < offset && (file[end] == ' ' || file[end] == '\t') {
		end++
	}
	return string(file[start:end])
}
