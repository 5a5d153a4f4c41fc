package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A document is one configuration file while it is read: its YAML nodes, where each path stands,
// and what is wrong so far.
type document struct {
	file   string // as shown in problems
	folder string // where relative paths in the file start
	lookup func(string) (string, bool)

	root     *yaml.Node
	places   map[string]place
	problems []problem
	visits   int  // nodes decoded, bounded by maxNodes
	overflow bool // maxNodes was reached and reported
}

// A place is where a path stands in the file.
type place struct{ line, column int }

const (
	maxConfigFile = 4 << 20 // bytes
	maxNodes      = 200_000 // aliases count each time they are used, so a small file cannot explode
	maxNesting    = 100
)

var yamlErrorLine = lazyRegexp(`^yaml: (?:line (\d+): )?(.*)$`)

// parse reads exactly one YAML document whose top is a mapping.
func (d *document) parse(text []byte) {
	d.places = map[string]place{}
	if len(text) > maxConfigFile {
		d.problem("", fmt.Errorf("the file is larger than %d bytes", maxConfigFile))
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var node yaml.Node
	switch err := decodeNode(decoder, &node); {
	case errors.Is(err, io.EOF):
		d.problem("", errEmptyConfig)
		return
	case err != nil:
		d.syntax(err)
		return
	}
	var second yaml.Node
	switch err := decodeNode(decoder, &second); {
	case err == nil:
		d.at(second.Line, second.Column, "", errors.New("a second document starts here: keep one"))
	case !errors.Is(err, io.EOF):
		d.syntax(err)
	}
	if len(node.Content) != 1 || isNull(node.Content[0]) {
		d.problem("", errEmptyConfig)
		return
	}
	d.root = node.Content[0]
}

var errEmptyConfig = errors.New("the file is empty: remove it to use the defaults, or start with `servers:`")

// decodeNode turns a panic of the YAML library into an error: the file may come from anywhere.
func decodeNode(decoder *yaml.Decoder, node *yaml.Node) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: not readable: %v", p)
		}
	}()
	return decoder.Decode(node)
}

func (d *document) syntax(err error) {
	match := yamlErrorLine().FindStringSubmatch(err.Error())
	if match == nil {
		d.problem("", fmt.Errorf("not YAML: %w", err))
		return
	}
	line, _ := strconv.Atoi(match[1]) // 0 where the library names no line
	d.at(line, 0, "", errors.New("not YAML: "+match[2]))
}

func (d *document) at(line, column int, path string, err error) {
	d.problems = append(d.problems, problem{Line: line, Column: column, Path: path, Message: err.Error()})
}

// problem notes what is wrong at a path, placed at the path or at the nearest one above it.
func (d *document) problem(path string, err error) {
	where := d.nearestPlace(path)
	d.at(where.line, where.column, path, err)
}

func (d *document) nearestPlace(path string) place {
	for path != "" {
		if where, ok := d.places[path]; ok {
			return where
		}
		path = parentPath(path)
	}
	return place{}
}

// given reports whether the file has a value at path.
func (d *document) given(path string) bool {
	_, ok := d.places[path]
	return ok
}

// invalid notes the errors of a Validate, each of which may start with a path relative to base:
// `tool_rules.query.args.sql.regex: …`. Where a problem is known already, or one of the secret's
// file, the error is most likely its consequence and is left out.
func (d *document) invalid(base string, err error) {
	for _, leaf := range leaves(err) {
		path, message := d.splitPath(base, leaf.Error())
		if !d.hasProblem(path) && !d.hasProblem(path+"_file") {
			d.problem(path, errors.New(message))
		}
	}
}

// splitPath finds the longest start of text that is a known path below base. Keys may hold colons
// and dots themselves, so a known path is worth more than the first colon.
func (d *document) splitPath(base, text string) (path, message string) {
	for end := len(text); end > 0; {
		end = strings.LastIndex(text[:end], ": ")
		if end < 0 {
			break
		}
		if candidate := join(base, text[:end]); d.given(candidate) {
			return candidate, text[end+2:]
		}
	}
	if key, rest, ok := strings.Cut(text, ": "); ok && pathLike().MatchString(key) {
		return join(base, key), rest
	}
	return base, text
}

var pathLike = lazyRegexp(`^[A-Za-z_*][^\s:]*$`)

// hasProblem reports whether a problem was found at path, above or below it.
func (d *document) hasProblem(path string) bool {
	for _, p := range d.problems {
		if p.Path == path || below(p.Path, path) || below(path, p.Path) {
			return true
		}
	}
	return false
}

// below reports whether path lies under base, which is not the top of the file.
func below(path, base string) bool {
	return base != "" && len(path) > len(base) && path[:len(base)] == base && strings.IndexByte(".[", path[len(base)]) >= 0
}

func join(base, key string) string {
	if base == "" || key == "" || strings.HasPrefix(key, "[") {
		return base + key
	}
	return base + "." + key
}

func item(base string, index int) string { return base + "[" + strconv.Itoa(index) + "]" }

func parentPath(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}
