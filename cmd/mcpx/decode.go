package main

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decode fills a struct from the document, strictly: a key that the struct does not know, a key
// given twice, a wrong type and a value of nothing are problems, and all of them are found in one pass.
//
// The Go type decides how a value is read: int64 is a size in bytes ("64MB"), time.Duration a
// duration ("30d"), other numbers and booleans are themselves; a type with UnmarshalYAML reads its
// value itself, variables resolved. A string takes only a string, so that nobody has to know how YAML spells
// numbers; a field tagged `,scalars` takes any scalar as it is written (arguments and environments).
// A field tagged `,list` takes one value in place of a list.
func (d *document) decode(into any) {
	if d.root == nil {
		return
	}
	d.value(d.root, "", reflect.ValueOf(into).Elem(), tagOptions{})
}

type tagOptions struct {
	scalars bool // numbers and booleans are taken as the text they are written as
	list    bool // one value stands for a list of one
}

// A selfReader has the shape by which types read YAML without an import of the library.
type selfReader interface {
	UnmarshalYAML(unmarshal func(any) error) error
}

var durationType = reflect.TypeFor[time.Duration]()

func (d *document) value(node *yaml.Node, path string, target reflect.Value, opts tagOptions) {
	if d.visits++; d.visits > maxNodes || strings.Count(path, ".")+strings.Count(path, "[") > maxNesting {
		if !d.overflow {
			d.overflow = true
			d.at(node.Line, node.Column, "", errors.New("the file is nested too deeply or repeats too much by aliases"))
		}
		return
	}
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if _, skip := reflect.TypeAssert[*ignored](target.Addr()); skip {
		return
	}
	if tag := node.ShortTag(); !strings.HasPrefix(tag, "!!") || tag == "!!binary" {
		d.problem(path, fmt.Errorf("has the tag %q: remove it", tag))
		return
	}
	if isNull(node) {
		d.problem(path, errors.New("has no value: give one, or remove the key"))
		return
	}
	if reader, ok := reflect.TypeAssert[selfReader](target.Addr()); ok {
		d.own(node, path, reader)
		return
	}
	switch {
	case target.Kind() == reflect.Pointer:
		target.Set(reflect.New(target.Type().Elem()))
		d.value(node, path, target.Elem(), opts)
	case target.Kind() == reflect.Struct:
		d.structure(node, path, target)
	case target.Kind() == reflect.Map:
		d.mapping(node, path, target, opts)
	case target.Kind() == reflect.Slice:
		d.list(node, path, target, opts)
	default:
		d.scalar(node, path, target, opts)
	}
}

// A pair is one key of a mapping and its value.
type pair struct {
	key, value *yaml.Node
}

// pairs lists a mapping in its order, merge keys (<<) resolved: a key of the mapping itself wins.
func (d *document) pairs(node *yaml.Node, path string) []pair {
	seen := map[string]int{} // key → line
	var own, merged []pair
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" {
			merged = append(merged, d.merge(value, path, 0)...)
			continue
		}
		if key.Kind != yaml.ScalarNode || isNull(key) {
			d.at(key.Line, key.Column, path, errors.New("a key must be plain text"))
			continue
		}
		if line, twice := seen[key.Value]; twice {
			d.at(key.Line, key.Column, join(path, key.Value), fmt.Errorf("is given twice, first in line %d: keep one", line))
			continue
		}
		seen[key.Value] = key.Line
		own = append(own, pair{key, value})
	}
	for _, p := range merged {
		if _, overridden := seen[p.key.Value]; !overridden {
			seen[p.key.Value] = p.key.Line
			own = append(own, p)
		}
	}
	return own
}

func (d *document) merge(node *yaml.Node, path string, depth int) []pair {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	var all []pair
	switch {
	case node.Kind == yaml.MappingNode && depth < maxNesting:
		d.visits += len(node.Content)
		for i := 0; i+1 < len(node.Content) && d.visits <= maxNodes; i += 2 {
			if node.Content[i].ShortTag() == "!!merge" {
				all = append(all, d.merge(node.Content[i+1], path, depth+1)...)
			} else if node.Content[i].Kind == yaml.ScalarNode {
				all = append(all, pair{node.Content[i], node.Content[i+1]})
			}
		}
	case node.Kind == yaml.SequenceNode && depth < maxNesting:
		d.visits += len(node.Content)
		for _, part := range node.Content {
			if d.visits > maxNodes {
				break
			}
			all = append(all, d.merge(part, path, depth+1)...)
		}
	default:
		d.at(node.Line, node.Column, path, errors.New("<< merges a mapping, or a list of mappings"))
	}
	return all
}

func (d *document) structure(node *yaml.Node, path string, target reflect.Value) {
	if node.Kind != yaml.MappingNode {
		d.wrongType(node, path, "a mapping")
		return
	}
	fields, known := fieldsOf(target)
	for _, p := range d.pairs(node, path) {
		at := join(path, p.key.Value)
		field, ok := fields[p.key.Value]
		if !ok {
			d.at(p.key.Line, p.key.Column, at, unknownKey(p.key.Value, known))
			continue
		}
		d.mark(at, p.key, p.value)
		d.value(p.value, at, field.value, field.opts)
	}
}

// mark remembers where a path stands: a scalar at its value, anything larger at its key.
func (d *document) mark(path string, key, value *yaml.Node) {
	where := value
	if value.Kind != yaml.ScalarNode || isNull(value) {
		where = key
	}
	d.places[path] = place{where.Line, where.Column}
}

func unknownKey(key string, known []string) error {
	if guess := nearest(key, known); guess != "" {
		return fmt.Errorf("unknown key: did you mean %s?", guess)
	}
	return fmt.Errorf("unknown key: known here are %s", strings.Join(known, ", "))
}

type field struct {
	value reflect.Value
	opts  tagOptions
}

// fieldsOf maps YAML keys to the fields of a struct, the inlined ones included.
func fieldsOf(target reflect.Value) (fields map[string]field, known []string) {
	fields = map[string]field{}
	for i := range target.NumField() {
		tag, ok := target.Type().Field(i).Tag.Lookup("yaml")
		key, options, _ := strings.Cut(tag, ",")
		if strings.Contains(options, "inline") {
			inner, names := fieldsOf(target.Field(i))
			maps.Copy(fields, inner)
			known = append(known, names...)
			continue
		}
		if !ok || key == "" || key == "-" {
			continue
		}
		fields[key] = field{target.Field(i), tagOptions{
			scalars: strings.Contains(options, "scalars"),
			list:    strings.Contains(options, "list"),
		}}
		known = append(known, key)
	}
	return fields, known
}

func (d *document) mapping(node *yaml.Node, path string, target reflect.Value, opts tagOptions) {
	if node.Kind != yaml.MappingNode {
		d.wrongType(node, path, "a mapping")
		return
	}
	filled := reflect.MakeMap(target.Type())
	for _, p := range d.pairs(node, path) {
		at := join(path, p.key.Value)
		d.mark(at, p.key, p.value)
		value := reflect.New(target.Type().Elem()).Elem()
		d.value(p.value, at, value, opts)
		filled.SetMapIndex(reflect.ValueOf(p.key.Value).Convert(target.Type().Key()), value)
	}
	target.Set(filled)
}

func (d *document) list(node *yaml.Node, path string, target reflect.Value, opts tagOptions) {
	items := node.Content
	switch {
	case node.Kind == yaml.SequenceNode:
	case opts.list:
		items = []*yaml.Node{node}
	case node.Kind == yaml.ScalarNode:
		d.problem(path, fmt.Errorf("want a list, got %s: write [%s]", kindOf(node), shortText(node.Value)))
		return
	default:
		d.problem(path, fmt.Errorf("want a list, got %s: start each entry with a hyphen", kindOf(node)))
		return
	}
	filled := reflect.MakeSlice(target.Type(), len(items), len(items))
	for i, part := range items {
		at := item(path, i)
		if node.Kind != yaml.SequenceNode {
			at = path
		} else {
			d.places[at] = place{part.Line, part.Column}
		}
		d.value(part, at, filled.Index(i), tagOptions{scalars: opts.scalars})
	}
	target.Set(filled)
}

// own lets a type read its value: one scalar, or a list of scalars.
func (d *document) own(node *yaml.Node, path string, reader selfReader) {
	resolved := *node
	switch node.Kind {
	case yaml.ScalarNode:
		if !d.resolve(&resolved, path) {
			return
		}
	case yaml.SequenceNode:
		resolved.Content = make([]*yaml.Node, len(node.Content))
		for i, part := range node.Content {
			at, copied := item(path, i), *part
			d.places[at] = place{part.Line, part.Column}
			if part.Kind != yaml.ScalarNode || isNull(part) {
				d.wrongType(part, at, "one value")
				return
			}
			if !d.resolve(&copied, at) {
				return
			}
			resolved.Content[i] = &copied
		}
	default:
		d.wrongType(node, path, "one value, or a list of values where the key takes one")
		return
	}
	if err := reader.UnmarshalYAML(func(into any) error { return resolved.Decode(into) }); err != nil {
		d.problem(path, fmt.Errorf("want one value, got %s", kindOf(node)))
	}
}

// resolve puts the values of variables into a scalar; plain text then has the type that the result has.
func (d *document) resolve(node *yaml.Node, path string) bool {
	text, changed, ok := d.text(node, path)
	node.Value = text
	if changed && node.Style == 0 {
		node.Tag = ""
	}
	node.Anchor = ""
	return ok
}
