package learn

import (
	"strings"

	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A Verdict is what becomes of a past decision under another policy.
type Verdict uint8

// The verdicts.
const (
	SameAllow    Verdict = iota
	SameDeny             // also by another rule
	NewlyDenied          // it passed, and would not
	NewlyAllowed         // it was denied, and would pass
	Undecided            // the log does not have the arguments that a rule asks for
	NotThePolicy         // pins, limits or the protocol decided, whatever the policy
	verdicts
)

// A Replay asks another policy about past decisions.
type Replay struct {
	// Engine returns the rules for a server and a client; nil: the new configuration says nothing about that server.
	Engine func(server, client string) *policy.Engine

	verbatim map[string]bool // instances whose log has arguments
}

// A Replayed is a past decision and what becomes of it.
type Replayed struct {
	Record  *audit.Record
	Verdict Verdict
	Now     policy.Decision // for SameDeny, NewlyDenied and NewlyAllowed
}

// Ask tells what becomes of an event. ok: it is a decision that there is something to say about.
func (p *Replay) Ask(r *audit.Record) (out Replayed, ok bool) {
	if p.verbatim == nil {
		p.verbatim = map[string]bool{}
	}
	if r.Method == "tools/call" && arguments(r) == verbatim {
		p.verbatim[r.Instance] = true
	}
	if r.Kind != audit.Decision || r.Server == "" {
		return Replayed{}, false
	}
	out = Replayed{Record: r}
	if foreign(r.Rule) {
		out.Verdict = NotThePolicy
		return out, true
	}
	e := p.Engine(r.Server, r.Client)
	if e == nil {
		return Replayed{}, false
	}
	args, have := r.Args, true
	switch arguments(r) {
	case hashed:
		args, have = nil, false
	case missing:
		have = p.verbatim[r.Instance]
	case verbatim:
	}
	d, known := judge(e, r, args)
	if !known {
		return Replayed{}, false
	}
	if r.Method == "tools/call" && hangs(e, r, args, have) {
		out.Verdict = Undecided
		return out, true
	}
	out.Now = d
	allows := d.Allow && !d.Shadow
	allowed := r.Decision == "allow" && !rehearsed(r)
	switch {
	case allowed && allows:
		out.Verdict = SameAllow
	case !allowed && !allows:
		out.Verdict = SameDeny
	case allowed:
		out.Verdict = NewlyDenied
	default:
		out.Verdict = NewlyAllowed
	}
	return out, true
}

// foreign reports whether a rule is none that a policy spells.
func foreign(rule string) bool {
	for _, prefix := range []string{"inspection.", "rate_limit.", "jsonrpc.", "protocol.", "server.", "audit.", "http", "hub revoked."} {
		if strings.HasPrefix(rule, prefix) {
			return true
		}
	}
	return false
}

// hangs reports whether the decision about a call depends on arguments that the log does not have.
func hangs(e *policy.Engine, r *audit.Record, args []byte, have bool) bool {
	target := []byte(r.Target)
	if d := e.Tool(target); !d.Allow || d.Shadow {
		return false // denied by its name
	}
	if !have {
		return e.ReadsArguments(target)
	}
	if !strings.Contains(string(args), redactedValue) {
		return false
	}
	_, trace := e.Explain(target, args)
	for name, value := range jsonrpc.Members(args) {
		if !strings.Contains(string(value), redactedValue) {
			continue
		}
		for _, step := range trace {
			if strings.Contains(step.Rule, ".args."+pointer(string(name))) {
				return true
			}
		}
	}
	return false
}
