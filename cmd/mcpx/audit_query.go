package main

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// A query says which events are wanted.
type query struct {
	server, client, target, tool, method, rule, reason string // * stands for any text
	decision, outcome, kind                            string
	since, until                                       moment
	shadowed                                           bool // only what was allowed in shadow mode alone

	bad int // lines that are no events
}

func (q *query) flags(command *cobra.Command) {
	f := command.Flags()
	f.StringVar(&q.server, "server", "", "events of this `SERVER`")
	f.StringVar(&q.client, "client", "", "events of this `CLIENT`")
	f.StringVar(&q.target, "target", "", "events about this tool, prompt or resource")
	f.StringVar(&q.tool, "tool", "", "events about calls of this `TOOL`")
	f.StringVar(&q.method, "method", "", "events about this `METHOD`, such as tools/call")
	f.StringVar(&q.rule, "rule", "", "events that this `RULE` decided")
	f.StringVar(&q.reason, "reason", "", "events with this `REASON`")
	f.StringVar(&q.decision, "decision", "", "allow or deny")
	f.BoolVar(&q.shadowed, "shadowed", false, "only what was allowed because of mode: shadow")
	f.StringVar(&q.outcome, "outcome", "", outcomeUsage)
	f.StringVar(&q.kind, "kind", "", "decision, outcome, integrity, lifecycle or anomaly")
	f.Var(&q.since, "since", "events from this `TIME` on, or so long ago")
	f.Var(&q.until, "until", "events before this `TIME`, or so long ago")
	completeWords(command)
}

// failed is the outcome that stands for all that are failures.
const failed = "failed"

const outcomeUsage = "ok, tool_error, error, denied, timeout, cancelled or dropped, or failed"

// searchWords are the values that flags of a search may have.
func searchWords() map[string][]string {
	return map[string][]string{
		"decision": {"allow", "deny"},
		"kind":     {"decision", "outcome", "integrity", "lifecycle", "anomaly"},
		"outcome":  {"ok", "tool_error", "error", "denied", "timeout", "cancelled", "dropped", failed},
	}
}

func completeWords(command *cobra.Command) {
	for name, words := range searchWords() {
		_ = command.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
}

// checkWords refuses a word that no event can have: a search for it would find nothing, as if nothing had happened.
func checkWords(c *cobra.Command) error {
	words := searchWords()
	for _, name := range slices.Sorted(maps.Keys(words)) {
		flag := c.Flags().Lookup(name)
		if flag == nil || flag.Value.String() == "" || slices.Contains(words[name], flag.Value.String()) {
			continue
		}
		return fmt.Errorf("--%s: %q is not one of %s", name, flag.Value, strings.Join(words[name], ", "))
	}
	return nil
}

// find yields the events that are wanted, and the errors of lines that are none.
func (q *query) find(path string) iter.Seq2[*audit.Record, error] {
	return func(yield func(*audit.Record, error) bool) {
		for r, err := range audit.Read(path, q.since.Time) {
			if err != nil {
				q.bad++
			}
			if (err != nil || q.wants(r)) && !yield(r, err) {
				return
			}
		}
	}
}

// unread returns an error if there were lines that could not be read.
func (q *query) unread() error {
	if q.bad == 0 {
		return nil
	}
	return fmt.Errorf("%s could not be read: see mcpx audit verify", count(q.bad, "line"))
}

func (q *query) wants(r *audit.Record) bool {
	switch {
	case !q.until.IsZero() && !r.Time.Before(q.until.Time):
		return false
	case q.tool != "" && (r.Method != "tools/call" || !like(q.tool, r.Target)):
		return false
	case q.shadowed && !policy.Shadowed(r.Decision, r.Reason):
		return false
	}
	return like(q.server, r.Server) && like(q.client, r.Client) && like(q.target, r.Target) && like(q.method, r.Method) &&
		like(q.rule, r.Rule) && like(q.reason, r.Reason) && is(q.decision, r.Decision) && isOutcome(q.outcome, r.Outcome) &&
		is(q.kind, string(r.Kind))
}

func is(want, got string) bool { return want == "" || want == got }

func isOutcome(want, got string) bool {
	if want == failed {
		return audit.IsFailure(got)
	}
	return is(want, got)
}

// like reports whether s matches pattern, in which * stands for any text. The empty pattern matches all.
func like(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	first, rest, wild := strings.Cut(pattern, "*")
	s, ok := strings.CutPrefix(s, first)
	if !ok || !wild {
		return ok && s == ""
	}
	parts := strings.Split(rest, "*")
	last := parts[len(parts)-1]
	for _, part := range parts[:len(parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, last)
}

// A moment is a flag that holds a point in time. The zero moment was not given.
type moment struct{ time.Time }

func (m *moment) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Format(time.RFC3339)
}

func (*moment) Type() string { return "TIME" }

// Set reads a time, a day in the local zone, or how long ago.
func (m *moment) Set(s string) (err error) {
	if m.Time, err = time.Parse(time.RFC3339, s); err == nil {
		return nil
	}
	if m.Time, err = time.ParseInLocation(time.DateOnly, s, time.Local); err == nil {
		return nil
	}
	ago, err := parseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is no time: write 2026-03-01T12:00:00Z, 2026-03-01, or how long ago, such as 12h or 7d", s)
	}
	m.Time = time.Now().Add(-ago)
	return nil
}

// checkSpan refuses a command line whose --since is not before its --until: nothing could be found.
func checkSpan(c *cobra.Command) error {
	since, until := c.Flags().Lookup("since"), c.Flags().Lookup("until")
	if since == nil || until == nil || !since.Changed || !until.Changed {
		return nil
	}
	from, ok := since.Value.(*moment)
	to, both := until.Value.(*moment)
	if ok && both && !from.Before(to.Time) {
		return fmt.Errorf("--since is %s, which is not before --until, %s: nothing lies between them", from, to)
	}
	return nil
}
