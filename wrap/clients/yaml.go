package clients

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parseYAML reads one YAML document. Its library says where values begin, not where they end: that is found here for strings on one
// line, and what is written in any other way can be read, but not be edited.
func parseYAML(file []byte) (*node, error) {
	skip := 0
	if bytes.HasPrefix(file, byteOrderMark) {
		skip = len(byteOrderMark)
	}
	source := file[skip:]
	if !utf8.Valid(source) {
		return nil, &PlaceError{Reason: "not YAML in UTF-8"}
	}
	root, err := decodeYAML(source)
	if err != nil {
		return nil, err
	}
	y := yamlReader{source: source, skip: skip}
	y.findLines()
	if root == nil {
		return &node{kind: object, start: skip, end: len(file)}, nil
	}
	n := y.node(root, 0)
	n.end = len(file)
	return n, y.err
}

var yamlLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`) })

// decodeYAML returns nil for an empty document, and an error for a second one.
func decodeYAML(source []byte) (root *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil { // the library panics on some input
			root, err = nil, &PlaceError{Reason: "not YAML"}
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(source))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		match := yamlLine().FindStringSubmatch(err.Error())
		if match == nil {
			return nil, &PlaceError{Reason: "not YAML"}
		}
		line, _ := strconv.Atoi(match[1])
		return nil, &PlaceError{Line: line, Reason: "not YAML: " + match[2]}
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, &PlaceError{Line: second.Line, Column: second.Column, Reason: "a second document: one is expected"}
	}
	if len(document.Content) != 1 {
		return nil, nil
	}
	root = document.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil, nil
	}
	return root, nil
}

type yamlReader struct {
	source []byte
	skip   int   // bytes of the file before source
	lines  []int // where each begins in source
	err    error // the first
}

// findLines does it as YAML 1.1, which the library speaks: there are more line breaks than LF.
func (y *yamlReader) findLines() {
	y.lines = []int{0}
	for i := 0; i < len(y.source); {
		r, size := utf8.DecodeRune(y.source[i:])
		i += size
		switch r {
		case '\r':
			if i < len(y.source) && y.source[i] == '\n' {
				i++
			}
			y.lines = append(y.lines, i)
		case '\n', '\u0085', '\u2028', '\u2029':
			y.lines = append(y.lines, i)
		}
	}
}

// offset gives the place of a node in source.
func (y *yamlReader) offset(n *yaml.Node) int {
	if n.Line < 1 || n.Line > len(y.lines) {
		return len(y.source)
	}
	at := y.lines[n.Line-1]
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(y.source[at:])
		at += size
	}
	return at
}

func (y *yamlReader) node(n *yaml.Node, depth int) *node {
	at := y.offset(n)
	out := &node{start: y.skip + at, end: y.skip + at}
	if depth > maxDepth {
		y.fail(n, fmt.Sprintf("more than %d levels deep", maxDepth))
		return out
	}
	switch n.Kind {
	case yaml.ScalarNode:
		y.scalar(out, n, at)
	case yaml.SequenceNode:
		out.kind, out.inline = array, n.Style&yaml.FlowStyle != 0
		for _, item := range n.Content {
			elem := y.node(item, depth+1)
			out.elems = append(out.elems, elem)
			out.end = elem.end
		}
	case yaml.MappingNode:
		out.kind, out.inline = object, n.Style&yaml.FlowStyle != 0
		for i := 0; i+1 < len(n.Content); i += 2 {
			value := y.node(n.Content[i+1], depth+1)
			out.add(member{n.Content[i].Value, y.skip + y.offset(n.Content[i]), value})
			out.end = value.end
		}
	default: // an alias, or nothing that we know
		out.text = n.Value
	}
	return out
}

func (y *yamlReader) fail(n *yaml.Node, reason string) {
	if y.err == nil {
		y.err = &PlaceError{n.Line, n.Column, reason}
	}
}

// scalar finds the end of a scalar that is in one line, without a tag and an anchor.
func (y *yamlReader) scalar(out *node, n *yaml.Node, at int) {
	out.text = n.Value
	switch n.ShortTag() {
	case "!!str":
		out.kind = text
	case "!!bool":
		out.kind = boolean
		out.text = strings.ToLower(n.Value)
	}
	rest := y.source[at:]
	if i := bytes.IndexAny(rest, "\r\n"); i >= 0 {
		rest = rest[:i]
	}
	length := 0
	switch {
	case n.Anchor != "" || n.Style&yaml.TaggedStyle != 0:
	case n.Style&yaml.DoubleQuotedStyle != 0:
		length = quotedLength(rest, '"', '\\')
	case n.Style&yaml.SingleQuotedStyle != 0:
		length = quotedLength(rest, '\'', '\'')
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
	case n.Value != "" && bytes.HasPrefix(rest, []byte(n.Value)):
		length = len(n.Value)
	}
	out.raw = length > 0
	out.end = out.start + length
	if !out.raw {
		out.end = out.start + len(rest)
	}
}

// quotedLength is the length of the quoted string that a line begins with, 0 if it does not end there.
func quotedLength(line []byte, mark, escape byte) int {
	for i := 1; i < len(line); i++ {
		switch {
		case line[i] == escape && escape != mark:
			i++
		case line[i] == mark && escape == mark && i+1 < len(line) && line[i+1] == mark:
			i++
		case line[i] == mark:
			return i + 1
		}
	}
	return 0
}

// dash is the offset of the hyphen before an item of a block sequence, -1 if it is not on the same line.
func dash(file []byte, item *node) int {
	i := item.start - 1
	for i >= 0 && (file[i] == ' ' || file[i] == '\t') {
		i--
	}
	if i < 0 || file[i] != '-' {
		return -1
	}
	return i
}
