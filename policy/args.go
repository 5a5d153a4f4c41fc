package policy

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A toolRules holds the compiled tool rules of a layer, in the order of their keys.
type toolRules []*toolRule

type toolRule struct {
	glob        *glob
	path        string // "policy.tool_rules.query"
	args        []argRule
	denyUnknown bool
}

// An argRule constrains one argument.
type argRule struct {
	rule  string   // "policy.tool_rules.query.args.sql"
	spelt string   // as the configuration spells it, for reasons
	path  []string // names to follow from the arguments object
	keys  []string // the fold of each
	check check
}

func compileToolRules(path string, rules map[string]ToolRule) (toolRules, error) {
	var out toolRules
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		g, err := nameGlob(name)
		if err != nil {
			return nil, err
		}
		r := &toolRule{glob: g, path: path + "." + name, denyUnknown: rules[name].DenyUnknownArgs}
		for _, arg := range slices.Sorted(maps.Keys(rules[name].Args)) {
			names, err := argumentPath(arg)
			if err != nil {
				return nil, err
			}
			a := argRule{rule: r.path + ".args." + arg, spelt: arg, path: names, check: rules[name].Args[arg].compile()}
			for _, n := range names {
				a.keys = append(a.keys, foldString(n))
			}
			r.args = append(r.args, a)
		}
		out = append(out, r)
	}
	return out, nil
}

// argumentPath splits the key of an argument: a name, or a JSON Pointer (RFC 6901) if it starts with a slash.
func argumentPath(key string) ([]string, error) {
	pointer, ok := strings.CutPrefix(key, "/")
	if !ok {
		if key == "" {
			return nil, errors.New("the name of an argument is empty")
		}
		return []string{key}, nil
	}
	names := strings.Split(pointer, "/")
	for i, n := range names {
		if n == "" {
			return nil, errors.New("a JSON Pointer to an argument has an empty name")
		}
		plain := strings.NewReplacer("~0", "", "~1", "").Replace(n)
		if strings.Contains(plain, "~") {
			return nil, errors.New("a JSON Pointer writes ~ as ~0 and / as ~1")
		}
		names[i] = strings.NewReplacer("~0", "~", "~1", "/").Replace(n)
	}
	return names, nil
}

// judge applies the rules that match the tool to its arguments, a raw JSON object or nil.
func (rules toolRules) judge(name, arguments []byte, files pathFS, tr *Trace) Decision {
	var array [8]*toolRule
	matching := array[:0]
	for _, r := range rules {
		if r.glob.match(name) {
			matching = append(matching, r)
		}
	}
	if len(matching) == 0 {
		return allowed(DefaultRule)
	}
	if d := judgeMembers(matching, name, arguments); !d.Allow {
		return tr.note(d)
	}
	for _, r := range matching {
		for i := range r.args {
			if d := r.args[i].judge(name, arguments, files); !d.Allow {
				return tr.note(d)
			}
			tr.pass(r.args[i].rule)
		}
	}
	return allowed(DefaultRule)
}

// judgeMembers refuses top-level members that a loose parser could take for a ruled argument, and unknown ones
// where a rule says so. All rules that match know their arguments together.
func judgeMembers(rules []*toolRule, name, arguments []byte) Decision {
	folding := maxFolding
	for member := range jsonrpc.Members(arguments) {
		if known(rules, member) {
			continue
		}
		if !ascii(member) {
			folding -= len(member)
		}
		if folding < 0 {
			return denied(ArgumentsRule, "tool %s: the names of the arguments hold too much text beyond ASCII", quoted(name))
		}
		if a := twinArgument(rules, member); a != nil {
			return a.deniedTwin(name, member)
		}
		for _, r := range rules {
			if r.denyUnknown {
				rule := r.path + ".deny_unknown_args"
				return denied(rule, "tool %s: argument %s is unknown to the policy (%s)", quoted(name), quoted(member), rule)
			}
		}
	}
	return allowed(DefaultRule)
}

func known(rules []*toolRule, member []byte) bool {
	for _, r := range rules {
		for i := range r.args {
			if string(member) == r.args[i].path[0] {
				return true
			}
		}
	}
	return false
}

// twinArgument returns the first argument that a member's name folds to, nil if there is none.
func twinArgument(rules []*toolRule, member []byte) *argRule {
	var buf [64]byte
	key := fold(buf[:0], member)
	for _, r := range rules {
		for i := range r.args {
			if string(key) == r.args[i].keys[0] {
				return &r.args[i]
			}
		}
	}
	return nil
}

func (a *argRule) deniedTwin(tool, member []byte) Decision {
	return denied(a.rule, "tool %s: argument %s differs from %q only by case or look-alike characters (%s)",
		quoted(tool), quoted(member), a.spelt, a.rule)
}

func (a *argRule) judge(tool, arguments []byte, files pathFS) Decision {
	value := arguments
	for i, name := range a.path {
		if i > 0 && value != nil {
			if value[0] != '{' {
				return denied(a.rule, "tool %s: argument %q cannot be found: what holds it is no object (%s)",
					quoted(tool), a.spelt, a.rule)
			}
			switch member, gaveUp := twinOf(value, name, a.keys[i]); {
			case gaveUp:
				return denied(a.rule, "tool %s: the names beside argument %q hold too much text beyond ASCII (%s)", quoted(tool), a.spelt, a.rule)
			case member != nil:
				return a.deniedTwin(tool, member)
			}
		}
		value = jsonrpc.Member(value, name)
	}
	member, how := a.check.judge(value, files)
	if member == "" {
		return allowed(DefaultRule)
	}
	rule := a.rule + "." + member
	return denied(rule, "tool %s: argument %q %s (%s)", quoted(tool), a.spelt, how, rule)
}

// maxFolding bounds the names beyond ASCII, in bytes, that are folded for one object: it is slow, and no tool has
// such arguments.
const maxFolding = 64 << 10

// twinOf returns the first member of an object whose name folds to the key of a name without being it, nil if there
// is none or if it gave up.
func twinOf(object []byte, name, key string) (member []byte, gaveUp bool) {
	var buf [64]byte
	folding := maxFolding
	for member := range jsonrpc.Members(object) {
		if !ascii(member) {
			folding -= len(member)
		}
		if folding < 0 {
			return nil, true
		}
		if string(member) != name && string(fold(buf[:0], member)) == key {
			return member, false
		}
	}
	return nil, false
}

// isObject reports whether a raw JSON value is an object.
func isObject(value []byte) bool {
	value = bytes.TrimLeft(value, " \t\r\n")
	return len(value) > 0 && value[0] == '{'
}
