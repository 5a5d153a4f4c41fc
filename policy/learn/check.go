package learn

import (
	"fmt"
	"strings"

	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// A Check holds a lesson against the record that it was learnt from: what has passed must pass.
type Check struct {
	pairs   pairs
	engines map[string]*policy.Engine
	rules   map[string]map[string]policy.ToolRule // of each server
	bad     map[string]bool                       // parts of policies
	Passed  int
	Refused int
}

// NewCheck returns a check of a lesson. It fails where the lesson is no policy.
func NewCheck(l *Lesson) (*Check, error) {
	c := &Check{engines: map[string]*policy.Engine{}, rules: map[string]map[string]policy.ToolRule{}, bad: map[string]bool{}}
	for _, s := range l.Servers {
		e, err := policy.Compile(s.Policy)
		if err != nil {
			return nil, fmt.Errorf("what was learnt of server %q: %w", s.Name, err)
		}
		c.engines[s.Name], c.rules[s.Name] = e, s.Policy.ToolRules
	}
	return c, nil
}

// Add takes in an event of the record.
func (c *Check) Add(r *audit.Record) {
	e := c.engines[r.Server]
	if e == nil || r.Kind == audit.Decision && (r.Decision != "allow" || single(r)) || r.Kind != audit.Decision && r.Kind != audit.Outcome {
		return
	}
	decision, outcome, _ := c.pairs.add(r)
	if decision == nil || !passed(outcome) {
		return
	}
	args := decision.Args
	if arguments(decision) != verbatim {
		args = nil
	}
	d, known := judge(e, decision, args)
	switch {
	case !known:
	case d.Allow:
		c.Passed++
	default:
		c.Refused++
		c.blame(decision, d.Rule)
	}
}

// blame notes which part of a lesson is too narrow for a call.
func (c *Check) blame(r *audit.Record, rule string) {
	name := policy.Literal(r.Target)
	made, ok := c.rules[r.Server][name]
	if !ok || r.Method != "tools/call" {
		return
	}
	at := "tool_rules." + name
	rest, _ := strings.CutPrefix(rule, "policy."+at+".args.")
	if arg := rest[:max(strings.LastIndexByte(rest, '.'), 0)]; arg != "" {
		if _, ok := made.Args[arg]; ok {
			at += ".args." + arg
		}
	}
	c.bad[part(r.Server, at)] = true
}

// maxRelaxed is more than there are rules for one argument.
const maxRelaxed = 8

// Relax widens what the check has found to be too narrow, and reports whether there was anything left to widen.
func (l *Learner) Relax(c *Check) bool {
	more := false
	for part := range c.bad {
		if l.relaxed[part] < maxRelaxed {
			l.relaxed[part]++
			more = true
		}
	}
	return more
}
