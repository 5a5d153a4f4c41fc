package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Decision is the answer of a rule. The zero Decision denies.
type Decision struct {
	Allow bool

	// Shadow: it allows what a rule in shadow mode would have denied. Rule and Reason are those of that denial, Reason behind
	// [ShadowPrefix].
	Shadow bool

	// Rule is the path of the rule that decided: `policy.deny_tools[0]`, `client ci-bot.read_only`,
	// `policy.tool_rules.query.args.sql.regex`; or [DefaultRule] where no rule had a say.
	Rule string

	// Reason is a sentence for people. It names target, argument and rule, never a value. Empty for an allow without Shadow.
	Reason string

	// RetryAfter is when a rate limit would let the same message pass; zero for other decisions.
	RetryAfter time.Duration
}

// Rules that no configuration spells.
const (
	DefaultRule   = "default"   // nothing restricts the target
	NameRule      = "name"      // the name itself is refused
	ArgumentsRule = "arguments" // the arguments are no object
	MethodRule    = "methods"   // an unknown method
)

// Shadowed reports whether a decision of the audit log, by these two members, allows what a rule in shadow mode would have denied.
func Shadowed(decision, reason string) bool {
	return decision == allow && strings.HasPrefix(reason, ShadowPrefix)
}

// ShadowPrefix begins the reason of a decision that allows what a rule in shadow mode would have denied. In the audit log it is
// what tells such a decision from others.
const ShadowPrefix = "shadow: "

// rehearsed is d, which allows, once the layers in shadow mode have said what they would do. Where no other rule had a say, that
// rule of theirs is named which would allow it.
func (d Decision) rehearsed(shadow Decision) Decision {
	if shadow.Allow {
		if d.Rule == DefaultRule {
			d.Rule = shadow.Rule
		}
		return d
	}
	return Decision{Allow: true, Shadow: true, Rule: shadow.Rule, Reason: ShadowPrefix + shadow.Reason}
}

func allowed(rule string) Decision { return Decision{Allow: true, Rule: rule} }

func denied(rule, format string, args ...any) Decision {
	return Decision{Rule: rule, Reason: fmt.Sprintf(format, args...)}
}

// quoted returns a name from outside in a form that is safe in a sentence.
func quoted(name []byte) string {
	const limit = 200
	if len(name) <= limit {
		return strconv.QuoteToASCII(string(name))
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return strconv.QuoteToASCII(string(name[:cut])) + "…"
}
