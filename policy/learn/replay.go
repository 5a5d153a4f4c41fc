package learn

import (
	"bytes"
	"slices"
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
)

// A Replay asks another policy about past decisions.
type Replay struct {
	// Engine returns the rules for a server and a client; nil: the new configuration says nothing about that server.
	Engine func(server, client string) *policy.Engine

	tells map[string]bool // instances whose log has arguments, or their hashes: where it has none, none were given
}

// Know takes in an event before any is asked about.
func (p *Replay) Know(r *audit.Record) {
	if tells(r) {
		if p.tells == nil {
			p.tells = map[string]bool{}
		}
		p.tells[r.Instance] = true
	}
}

// A Replayed is a past decision and what becomes of it.
type Replayed struct {
	Record    *audit.Record
	Verdict   Verdict
	Rehearsed bool            // it passed in shadow mode only
	Now       policy.Decision // for SameDeny, NewlyDenied and NewlyAllowed
}

// Ask tells what becomes of an event. ok: it is a decision that there is something to say about. Layers in shadow mode are asked as if
// they were enforced.
func (p *Replay) Ask(r *audit.Record) (out Replayed, ok bool) {
	if r.Kind != audit.Decision || r.Server == "" {
		return Replayed{}, false
	}
	out = Replayed{Record: r, Rehearsed: policy.Shadowed(r.Decision, r.Reason)}
	if foreign(r.Rule) {
		out.Verdict = NotThePolicy
		return out, true
	}
	e := p.Engine(r.Server, r.Client)
	if e == nil {
		return Replayed{}, false
	}
	d, known, decided := p.decide(e, r)
	if !known {
		return Replayed{}, false
	}
	if !decided {
		out.Verdict = Undecided
		return out, true
	}
	out.Now = d
	allows, allowed := d.Allow && !d.Shadow, r.Decision == "allow"
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

// decide asks an engine. known: it is something that rules judge. decided: the log has all that they ask for.
func (p *Replay) decide(e *policy.Engine, r *audit.Record) (d policy.Decision, known, decided bool) {
	if r.Method != "tools/call" {
		d, known = judge(e, r, nil)
		_, all := resourcesOf(r)
		return d, known, !audit.IsCut(r.Target) && (all || !d.Allow)
	}
	target := []byte(r.Target)
	if d = e.Tool(target); !d.Allow || d.Shadow { // denied by its name
		return d, true, !audit.IsCut(r.Target)
	}
	switch how := arguments(r); {
	case how == verbatim:
	case how == missing && p.tells[r.Instance]:
		return e.Call(target, nil), true, true
	default:
		return e.Call(target, nil), true, !e.ReadsArguments(target)
	}
	probe, hidden := unredacted(r.Args)
	if hidden == nil {
		return e.Call(target, r.Args), true, true
	}
	// An object passes where only presence is asked for. If a rule for a redacted value denies it, what it would say of the value
	// is not known; if another one does, the value does not matter.
	d = e.Call(target, probe)
	return d, true, !asks(d, hidden)
}

// asks reports whether a decision is a denial by a rule for one of these arguments.
func asks(d policy.Decision, arguments []string) bool {
	if d.Allow && !d.Shadow {
		return false
	}
	rule := d.Rule[:max(strings.LastIndexByte(d.Rule, '.'), 0)]
	return slices.ContainsFunc(arguments, func(name string) bool { return strings.HasSuffix(rule, ".args."+name) })
}

// unredacted puts empty objects in the place of redacted values, and returns how rules spell these arguments.
func unredacted(args []byte) (probe []byte, arguments []string) {
	if !bytes.Contains(args, []byte(redactedValue)) {
		return args, nil
	}
	probe = appendProbe(nil, args, "", &arguments)
	return probe, arguments
}

func appendProbe(b, object []byte, at string, arguments *[]string) []byte {
	b = append(b, '{')
	first := true
	for name, value := range jsonrpc.Members(object) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(jsonrpc.AppendString(b, string(name)), ':')
		here := at + jsonPointer(string(name))
		switch {
		case string(value) == redactedValue:
			*arguments = append(*arguments, here)
			if at == "" {
				*arguments = append(*arguments, string(name))
			}
			b = append(b, "{}"...)
		case value[0] == '{':
			b = appendProbe(b, value, here, arguments)
		default:
			b = append(b, value...)
		}
	}
	return append(b, '}')
}

// foreign reports whether a rule is none that a policy spells.
func foreign(rule string) bool {
	for _, prefix := range []string{"inspection.", "rate_limit.", "jsonrpc.", "protocol.", "server.", "audit.", "http", "hub revoked.", "isolation"} {
		if strings.HasPrefix(rule, prefix) {
			return true
		}
	}
	return false
}
