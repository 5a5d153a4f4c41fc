package integrity

import (
	"bytes"
	"maps"
	"slices"
	"strconv"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A Change is one difference between two definitions. Old or New is nil where that side has nothing there.
type Change struct {
	Path     string // inputSchema.properties.path.description; empty: the whole
	Old, New []byte // raw JSON, canonical
}

// Diff compares two definitions member by member, in the order of their names. Definitions that are no
// valid JSON are compared as a whole.
func Diff(old, new []byte) []Change {
	a, errA := canonicalize(old)
	b, errB := canonicalize(new)
	if errA != nil || errB != nil {
		a, b = old, new
	}
	return appendDiff(nil, "", a, b)
}

func appendDiff(changes []Change, path string, old, new []byte) []Change {
	switch {
	case bytes.Equal(old, new):
		return changes
	case first(old) == '{' && first(new) == '{':
		return diffObjects(changes, path, members(old), members(new))
	case first(old) == '[' && first(new) == '[':
		return diffArrays(changes, path, elements(old), elements(new))
	default:
		return append(changes, Change{Path: path, Old: old, New: new})
	}
}

func first(b []byte) byte {
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func members(object []byte) map[string][]byte {
	m := make(map[string][]byte)
	for name, value := range jsonrpc.Members(object) {
		m[string(name)] = value
	}
	return m
}

func elements(array []byte) (list [][]byte) {
	for value := range jsonrpc.Elements(array) {
		list = append(list, value)
	}
	return list
}

func diffObjects(changes []Change, path string, old, new map[string][]byte) []Change {
	all := maps.Clone(old)
	maps.Copy(all, new)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		changes = appendDiff(changes, memberPath(path, name), old[name], new[name])
	}
	return changes
}

// diffArrays leaves out what is equal at both ends and compares the rest in pairs, so that one element put
// in or taken out is one change.
func diffArrays(changes []Change, path string, old, new [][]byte) []Change {
	start := 0
	for start < len(old) && start < len(new) && bytes.Equal(old[start], new[start]) {
		start++
	}
	end := 0
	for end < len(old)-start && end < len(new)-start && bytes.Equal(old[len(old)-1-end], new[len(new)-1-end]) {
		end++
	}
	old, new = old[:len(old)-end], new[:len(new)-end]
	for i := start; i < max(len(old), len(new)); i++ {
		changes = appendDiff(changes, path+"["+strconv.Itoa(i)+"]", at(old, i), at(new, i))
	}
	return changes
}

func at(list [][]byte, i int) []byte {
	if i < len(list) {
		return list[i]
	}
	return nil
}

// memberPath appends a member's name, in brackets and quotes if it could be read for something else.
func memberPath(path, name string) string {
	if !plainName(name) {
		return path + "[" + strconv.QuoteToASCII(name) + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func plainName(name string) bool {
	for _, r := range name {
		if r != '_' && r != '$' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return name != ""
}
