package main

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// text gives the value of a scalar with its variables resolved, and whether there were any.
func (d *document) text(node *yaml.Node, path string) (text string, resolved, ok bool) {
	text, resolved, err := expand(node.Value, d.lookup)
	if err != nil {
		d.problem(path, err)
		return "", false, false
	}
	return text, resolved, true
}

func (d *document) scalar(node *yaml.Node, path string, target reflect.Value, opts tagOptions) {
	want := wanted(target)
	if node.Kind != yaml.ScalarNode {
		d.wrongType(node, path, want)
		return
	}
	text, resolved, ok := d.text(node, path)
	if !ok {
		return
	}
	if !resolved && !opts.scalars && !fits(node, target) {
		d.wrongType(node, path, want)
		return
	}
	if err := setScalar(target, text); err != nil {
		d.problem(path, err)
	}
}

// fits reports whether the YAML type of a scalar suits the Go type of its target. A value that came
// from a variable has no YAML type and skips this.
func fits(node *yaml.Node, target reflect.Value) bool {
	tag := node.ShortTag()
	switch {
	case target.Type() == durationType:
		return tag == "!!str"
	case target.Kind() == reflect.String:
		return tag == "!!str" || tag == "!!timestamp"
	case target.Kind() == reflect.Bool:
		return tag == "!!bool"
	case target.Kind() == reflect.Int64: // a size
		return tag == "!!int" || tag == "!!str"
	case target.Kind() == reflect.Int:
		return tag == "!!int"
	case target.Kind() == reflect.Float64:
		return tag == "!!int" || tag == "!!float"
	default:
		return false
	}
}

func setScalar(target reflect.Value, text string) error {
	switch {
	case target.Type() == durationType:
		duration, err := parseDuration(text)
		if err != nil {
			return err
		}
		target.SetInt(int64(duration))
	case target.Kind() == reflect.String:
		target.SetString(text)
	case target.Kind() == reflect.Bool:
		value, err := strconv.ParseBool(strings.ToLower(text))
		if err != nil {
			return errors.New("want true or false")
		}
		target.SetBool(value)
	case target.Kind() == reflect.Int64:
		size, err := parseSize(text)
		if err != nil {
			return err
		}
		target.SetInt(size)
	case target.Kind() == reflect.Int:
		number, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return fmt.Errorf("want %s of at most 9 digits", wanted(target))
		}
		target.SetInt(number)
	case target.Kind() == reflect.Float64:
		number, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(number) || number > 1e15 || number < -1e15 {
			return fmt.Errorf("want %s", wanted(target))
		}
		target.SetFloat(number)
	default:
		return fmt.Errorf("cannot be read into a %s", target.Type())
	}
	return nil
}

func wanted(target reflect.Value) string {
	switch {
	case target.Type() == durationType:
		return "a duration such as 30s, 10m or 30d"
	case target.Kind() == reflect.Bool:
		return "true or false"
	case target.Kind() == reflect.Int64:
		return "a size such as 64MB or 4MiB"
	case target.Kind() == reflect.Int:
		return "a whole number"
	case target.Kind() == reflect.Float64:
		return "a number"
	default:
		return "a string"
	}
}

func (d *document) wrongType(node *yaml.Node, path, want string) {
	remedy := ""
	if tag := node.ShortTag(); want == "a string" && node.Kind == yaml.ScalarNode && tag != "!!str" {
		remedy = ": put it in quotes"
	}
	d.problem(path, fmt.Errorf("want %s, got %s%s", want, kindOf(node), remedy))
}

func kindOf(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
	}
	switch node.ShortTag() {
	case "!!int":
		return "a number"
	case "!!float":
		return "a decimal number"
	case "!!bool":
		return "a boolean"
	default:
		return "a string"
	}
}

func shortText(s string) string {
	if len(s) > 40 || strings.ContainsAny(s, "${\n") {
		return "…"
	}
	return s
}
