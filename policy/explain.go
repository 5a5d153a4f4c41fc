package policy

// A Trace is what an explained decision looked at, in order.
type Trace []Step

// A Step is one rule with what it said.
type Step struct {
	Rule    string
	Verdict string // "allow", "deny", or "pass": the rule has no objection
	Reason  string // for a denial
}

// Explain decides like [Engine.Call] and tells each rule that had a say, those in shadow mode last. The last step is the one that
// decided, or would have.
func (e *Engine) Explain(name, arguments []byte) (Decision, Trace) {
	var tr Trace
	d := e.call(name, arguments, &tr)
	if e.shadow != nil && d.Allow {
		d = d.rehearsed(e.shadow.call(name, arguments, &tr))
	}
	if len(tr) == 0 || d.Allow && !d.Shadow {
		tr = append(tr, Step{Rule: d.Rule, Verdict: allow})
	}
	return d, tr
}

// ReadsArguments reports whether rules about the arguments of a tool have a say in the decision about a call.
func (e *Engine) ReadsArguments(tool []byte) bool {
	for _, l := range e.layers {
		for _, r := range l.toolRules {
			if r.glob.match(tool) {
				return true
			}
		}
	}
	return e.shadow != nil && e.shadow.ReadsArguments(tool)
}

// note adds a decision. A nil trace, the usual case, records nothing.
func (t *Trace) note(d Decision) Decision {
	if t == nil {
		return d
	}
	step := Step{Rule: d.Rule, Verdict: deny, Reason: d.Reason}
	if d.Allow {
		step.Verdict = "pass"
	}
	*t = append(*t, step)
	return d
}

func (t *Trace) pass(rule string) {
	if t != nil {
		*t = append(*t, Step{Rule: rule, Verdict: "pass"})
	}
}
