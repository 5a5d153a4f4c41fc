package learn

import (
	"maps"
	"slices"
	"strings"

	"github.com/rohitgs28/mcpx/policy"
)

const (
	maxChoices = 6  // values that are still a choice and not free text
	perChoice  = 3  // how often each has to have been seen, on average
	maxChoice  = 64 // bytes of a value that is a choice
	minPrefix  = 4  // bytes of a prefix that says something
	leastLen   = 16 // of max_len: below, a length is chance
)

// A rule is what can be asked of an argument, and how that is told to people.
type rule struct {
	policy.Constraint
	note string
}

// rule returns the narrowest rule that says what all that was seen has in common, less those before it that have turned out not to let
// it pass. calls is how often the tool was called.
func (a *argument) rule(name string, calls, passedOver int) (r rule, ok bool) {
	all := a.rules(calls)
	for _, r := range all[min(passedOver, len(all)-1):] {
		if !valid(policy.ToolRule{DenyUnknownArgs: true, Args: map[string]policy.Constraint{name: r.Constraint}}) {
			continue
		}
		if passedOver > 0 {
			r.note = "a narrower rule would not let pass all that was seen"
		}
		return r, true
	}
	return rule{}, false
}

// rules returns what can be asked of the argument, the narrowest first, and nothing at all last.
func (a *argument) rules(calls int) []rule {
	base := policy.Constraint{Required: a.seen == calls && a.nulls == 0}
	var out []rule
	note := ""
	switch scalars := a.texts + a.numbers + a.flags; {
	case a.nested > 0:
		note = "objects or arrays, which are not judged"
	case a.nulls > 0:
		return []rule{{note: "was null, which no rule lets pass"}}
	case a.odd > 0:
		note = "values that no rule can spell"
	case a.redacted > 0:
		note = "its values are not in the log (redacted)"
	case a.flags == scalars:
		out = append(out, rule{Constraint: a.choice(base)})
	case a.numbers == scalars:
		c := base
		c.Min, c.Max = policy.Scalar(a.lowest), policy.Scalar(a.highest)
		out = append(out, rule{Constraint: c})
	case a.texts == scalars:
		out, note = a.textRules(base)
	case a.isChoice():
		out = append(out, rule{Constraint: a.choice(base)})
	default:
		note = "texts and numbers, which are not judged"
	}
	return append(out, rule{base, note}, rule{policy.Constraint{}, note})
}

// textRules returns the rules for texts. note is for the case that there is none.
func (a *argument) textRules(base policy.Constraint) (out []rule, note string) {
	if a.paths != nil {
		c := base
		c.Optional, c.Required = !c.Required, false
		if c.Within = rootsOf(a.paths); c.Within == nil {
			return nil, "paths all over the file system: no folder holds them"
		}
		out = append(out, rule{Constraint: c})
	}
	if a.hosts != nil {
		c := base
		c.HostIn = slices.Sorted(maps.Keys(a.hosts))
		out = append(out, rule{Constraint: c})
	}
	if a.isChoice() {
		out = append(out, rule{Constraint: a.choice(base)})
	}
	most := leastLen
	for most < a.longest {
		most *= 2
	}
	base.MaxLen = &most
	if prefix := meaningful(a.prefix); prefix != "" {
		c := base
		c.Prefix = &prefix
		if strings.Contains(prefix, "/") { // it may be a path, out of which the rest must not lead
			climbs := climbs
			c.NotRegex = &climbs
		}
		out = append(out, rule{Constraint: c})
	}
	return append(out, rule{Constraint: base}), ""
}

// isChoice reports whether the values look like a choice of a few words.
func (a *argument) isChoice() bool {
	if a.values == nil || len(a.values) > maxChoices {
		return false
	}
	count := 0
	for _, n := range a.values {
		count += n
	}
	return count >= perChoice*len(a.values)
}

func (a *argument) choice(c policy.Constraint) policy.Constraint {
	for _, value := range slices.Sorted(maps.Keys(a.values)) {
		c.OneOf = append(c.OneOf, policy.Scalar(value))
	}
	return c
}

// climbs is the expression for a .. segment.
const climbs = `(^|[/\\])\.\.([/\\]|$)`

// meaningful is a prefix cut behind its last separator, "" where little is left, or only a part of a URL's host: https://api.example.
// would let https://api.example.evil.test pass.
func meaningful(prefix string) string {
	prefix = prefix[:strings.LastIndexAny(prefix, "/:. _-")+1]
	if _, rest, isURL := strings.Cut(prefix, "://"); isURL && !strings.Contains(rest, "/") {
		return ""
	}
	if len(prefix) < minPrefix || strings.TrimSpace(prefix) == "" {
		return ""
	}
	return prefix
}
