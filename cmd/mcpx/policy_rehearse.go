package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/policy/learn"
)

// exitOtherwise is the code of `mcpx policy test --fail-on-change` where a past decision would be another.
const exitOtherwise = 10

// A rehearsal is what `mcpx policy test` is asked.
type rehearsal struct {
	recordChoice
	log                []string
	examples           int
	showArgs, onChange bool
}

func (a *app) policyTestCommand() *cobra.Command {
	var r rehearsal
	command := &cobra.Command{
		Use:   "test --replay LOG [FILE]",
		Short: "Say which past calls a policy would decide otherwise",
		Long: `Test asks the policies of FILE, or of the configuration in use, about every decision in LOG, an audit log (a file or folder;
--replay may be given several times), or with --hub about what all wrappers have sent, and counts what would change: calls that
passed and would be denied, and the other way round. What pins, rate limits or the protocol decided is left out. A policy in shadow
mode is asked as if it were enforced; what shadow mode has told of in the record has passed.

Where a rule asks for arguments that the log does not have (audit.args: hash or off, or redacted ones), the decision stays undecided:
that is a change for --fail-on-change.

Exit codes: 0; 10 something changes or stays undecided, with --fail-on-change; 3 the record is not all that happened, with
--fail-on-change; 1 failed; 2 the command line is wrong.`,
		Example: `  mcpx policy test --replay ~/.local/state/mcpx/audit new.yaml
  mcpx policy test --hub local --since 7d --fail-on-change new.yaml`,
		Args:              operands(0, 1),
		ValidArgsFunction: cobra.FixedCompletions([]cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt),
		RunE: func(c *cobra.Command, args []string) error {
			if len(r.log) == 0 && r.hub == "" {
				return &exitError{exitUsage, errors.New("say what to ask about: --replay LOG, or --hub local")}
			}
			if len(args) == 1 {
				a.configPath = args[0]
			}
			return a.rehearse(c.Context(), &r)
		},
	}
	r.flags(command)
	f := command.Flags()
	f.StringArrayVar(&r.log, "replay", nil, "ask about the decisions in this audit `LOG`, a file or folder")
	f.IntVar(&r.examples, "examples", 3, "show so many `CALLS` for each kind of change")
	f.BoolVar(&r.showArgs, "show-args", false, "show the arguments of examples, as far as the log has them")
	f.BoolVar(&r.onChange, "fail-on-change", false, "exit with 10 if a decision would be another")
	return command
}

// A tally counts what becomes of the decisions about one target.
type tally struct {
	Server       string    `json:"server"`
	Method       string    `json:"method"`
	Target       string    `json:"target,omitempty"`
	Same         int       `json:"same"`
	NewlyDenied  int       `json:"newly_denied"`
	Rehearsed    int       `json:"newly_denied_as_shadow_mode_told,omitempty"`
	NewlyAllowed int       `json:"newly_allowed"`
	Undecided    int       `json:"undecided"`
	NotThePolicy int       `json:"not_the_policy,omitempty"`
	Examples     []example `json:"examples,omitempty"`
}

// An example is a past call that would be decided otherwise.
type example struct {
	Change string    `json:"change"` // denied, allowed or undecided
	Time   time.Time `json:"time"`
	Client string    `json:"client,omitempty"`
	Was    string    `json:"was"` // the rule that decided
	Rule   string    `json:"rule,omitempty"`
	Place  string    `json:"place,omitempty"` // of the rule in the file
	Reason string    `json:"reason,omitempty"`
	Args   string    `json:"args,omitempty"`
}

// A rehearsed is what `mcpx policy test --json` prints.
type rehearsed struct {
	Decisions    int      `json:"decisions"`
	Same         int      `json:"same"`
	NewlyDenied  int      `json:"newly_denied"`
	Rehearsed    int      `json:"newly_denied_as_shadow_mode_told,omitempty"`
	NewlyAllowed int      `json:"newly_allowed"`
	Undecided    int      `json:"undecided"`
	NotThePolicy int      `json:"not_the_policy"`
	Incomplete   []string `json:"incomplete,omitempty"`
	Targets      []*tally `json:"targets"`
}

func (a *app) rehearse(ctx context.Context, q *rehearsal) error {
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	record, err := q.open(ctx, a, q.log)
	if err != nil {
		return err
	}
	out, err := c.replay(record, q)
	if err != nil {
		return err
	}
	for _, why := range out.Incomplete {
		a.complain(fmt.Errorf("not complete: %s", why))
	}
	if a.json {
		err = a.printJSON(out)
	} else {
		fmt.Fprint(a.out, printable(out.String()))
	}
	switch {
	case err != nil:
		return err
	case q.onChange && out.NewlyDenied+out.NewlyAllowed+out.Undecided > 0:
		return &exitError{code: exitOtherwise}
	case q.onChange && len(out.Incomplete) > 0:
		return &exitError{code: exitIncomplete}
	default:
		return nil
	}
}

// replay asks the configuration about each decision of the record.
func (c *config) replay(record *record, q *rehearsal) (*rehearsed, error) {
	type who struct{ server, client string }
	engines := map[who]*policy.Engine{}
	var failed error
	replay := learn.Replay{Engine: func(server, client string) *policy.Engine {
		if _, named := c.Clients[client]; !named {
			client = ""
		}
		key := who{server, client}
		e, ok := engines[key]
		if ok {
			return e
		}
		if _, known := c.server(server); known {
			var err error
			if _, e, err = c.engine(server, client); err != nil {
				failed = err
			}
		}
		engines[key] = e
		return e
	}}
	out := &rehearsed{Incomplete: record.flaws, Targets: []*tally{}}
	all := map[[3]string]*tally{}
	unread, unknown := 0, map[string]int{}
	for e, err := range record.events {
		if err == nil {
			replay.Know(e)
		}
	}
	for e, err := range record.events {
		if err != nil {
			unread++
			continue
		}
		if _, known := c.server(e.Server); !known && e.Server != "" && e.Kind == audit.Decision {
			unknown[e.Server]++
			continue
		}
		if r, ok := replay.Ask(e); ok {
			out.count(all, r, c, q)
		}
	}
	if unread > 0 {
		out.Incomplete = append(out.Incomplete, count(unread, "line")+" of the record cannot be read: see mcpx audit verify")
	}
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		out.Incomplete = append(out.Incomplete, fmt.Sprintf("the configuration has no server %q, which %s are about", name, count(unknown[name], "decision")))
	}
	out.Targets = slices.SortedFunc(maps.Values(all), func(x, y *tally) int {
		return cmp.Or(cmp.Compare(y.changes(), x.changes()), cmp.Compare(x.Server, y.Server), cmp.Compare(x.Method, y.Method), cmp.Compare(x.Target, y.Target))
	})
	return out, failed
}

func (t *tally) changes() int { return t.NewlyDenied + t.NewlyAllowed + t.Undecided }

// maxTallied bounds the targets that are counted one by one.
const maxTallied = 10_000

func (out *rehearsed) count(all map[[3]string]*tally, r learn.Replayed, c *config, q *rehearsal) {
	e := r.Record
	key := [3]string{e.Server, e.Method, e.Target}
	if len(all) >= maxTallied && all[key] == nil {
		key[2] = "(others)"
	}
	t := all[key]
	if t == nil {
		t = &tally{Server: key[0], Method: key[1], Target: key[2]}
		all[key] = t
	}
	out.Decisions++
	change := ""
	switch r.Verdict {
	case learn.SameAllow, learn.SameDeny:
		out.Same++
		t.Same++
	case learn.NewlyDenied:
		out.NewlyDenied++
		t.NewlyDenied++
		change = "denied"
		if r.Rehearsed {
			out.Rehearsed++
			t.Rehearsed++
		}
	case learn.NewlyAllowed:
		out.NewlyAllowed++
		t.NewlyAllowed++
		change = "allowed"
	case learn.Undecided:
		out.Undecided++
		t.Undecided++
		change = "undecided"
	case learn.NotThePolicy:
		out.NotThePolicy++
		t.NotThePolicy++
	}
	if change == "" {
		return
	}
	shown := 0
	for _, one := range t.Examples {
		if one.Change == change {
			shown++
		}
	}
	if shown >= q.examples {
		return
	}
	entry, _ := c.server(e.Server)
	one := example{
		Change: change, Time: e.Time, Client: e.Client, Was: e.Rule, Rule: r.Now.Rule,
		Reason: strings.TrimPrefix(r.Now.Reason, policy.ShadowPrefix),
	}
	if r.Now.Rule != "" {
		one.Place = c.rulePlace(entry, e.Client, r.Now.Rule)
	}
	if q.showArgs {
		one.Args = string(e.Args)
	}
	t.Examples = append(t.Examples, one)
}

func (out *rehearsed) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d as before, %d would be denied, %d would be allowed, %d undecided; %d not the policy's\n",
		count(out.Decisions, "decision"), out.Same, out.NewlyDenied, out.NewlyAllowed, out.Undecided, out.NotThePolicy)
	if out.Rehearsed > 0 {
		fmt.Fprintf(&b, "shadow mode has told of %d of those that would be denied\n", out.Rehearsed)
	}
	for _, t := range out.Targets {
		if t.changes() == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s  %s %s: %d as before", t.Server, t.Method, oneLine(t.Target), t.Same)
		for _, part := range []struct {
			n    int
			text string
		}{{t.NewlyDenied, "would be denied"}, {t.NewlyAllowed, "would be allowed"}, {t.Undecided, "undecided: the log has no arguments"}} {
			if part.n > 0 {
				fmt.Fprintf(&b, ", %d %s", part.n, part.text)
			}
		}
		b.WriteByte('\n')
		for _, one := range t.Examples {
			b.WriteString(one.String())
		}
	}
	return b.String()
}

func (e *example) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s  %-9s", e.Time.Local().Format(time.DateTime), e.Change)
	if e.Client != "" {
		fmt.Fprintf(&b, "  client %s", oneLine(e.Client))
	}
	fmt.Fprintf(&b, "  was %s", oneLine(e.Was))
	if e.Rule != "" {
		fmt.Fprintf(&b, ", now %s", oneLine(e.Rule))
	}
	if e.Place != "" {
		fmt.Fprintf(&b, " (%s)", e.Place)
	}
	b.WriteByte('\n')
	if e.Args != "" {
		fmt.Fprintf(&b, "    %s\n", oneLine(e.Args))
	}
	return b.String()
}
