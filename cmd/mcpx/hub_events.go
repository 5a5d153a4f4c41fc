package main

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// maxShown bounds what is kept of a hub's answers at once.
const maxShown = 100_000

// A hubSearch says which events of a hub are wanted.
type hubSearch struct {
	uplink.Search
	hub, tool    string
	since, until moment
	events       int
}

func (a *app) hubEvents() *cobra.Command {
	var q hubSearch
	command := &cobra.Command{
		Use:   "events",
		Short: "Find events among those that all wrappers have sent",
		Long: `Events shows the newest events for which all given flags hold, the newest last: what wrappers have sent, and what the hub
has recorded itself, such as records that are not what was written (--kind anomaly). Names are compared exactly. --since and
--until take a time such as 2026-03-01T12:00:00Z, a day such as 2026-03-01, or how long ago, such as 90m, 12h or 7d.
--outcome failed means all of tool_error, error, timeout and dropped; --shadowed what would have been denied, had mode: shadow
not let it through. The search goes on until it has enough events or has seen all: with --since it need not go so far back.

The log of this machine alone is what mcpx audit query searches.

With --json each event is one line: {"principal":…,"chain":…,"flaw":…,"event":…}. principal is whose token brought it, event
the line of its log, and flaw is there if the chain is not whole at this place.`,
		Example: `  mcpx hub events --decision deny --since 7d
  mcpx hub events --server files --tool write_file --principal bob
  mcpx hub events --kind integrity --json
  mcpx hub events --outcome failed --client claude-code --since 24h
  mcpx hub events --trace 4bf92f3577b34da6a3ce929d0e0e4736`,
		Args:              operands(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			if q.events < 1 || q.events > maxShown {
				return &exitError{exitUsage, fmt.Errorf("--lines: %d is not between 1 and %d", q.events, maxShown)}
			}
			if q.Trace != "" && !isTraceID(q.Trace) {
				return &exitError{exitUsage, fmt.Errorf("--trace: %q is not 32 lower-case hex digits", q.Trace)}
			}
			return a.withHub(q.hub, func(client *uplink.Client, t *hubTarget) error {
				found, err := q.find(c.Context(), client)
				if err != nil {
					return t.explain(err)
				}
				return a.printFound(found)
			})
		},
	}
	addHubFlag(command, &q.hub)
	f := command.Flags()
	f.StringVar(&q.Server, "server", "", "events of this `SERVER`")
	f.StringVar(&q.Target, "target", "", "events about this tool, prompt or resource")
	f.StringVar(&q.tool, "tool", "", "events about calls of this `TOOL`")
	f.StringVar(&q.Decision, "decision", "", "allow or deny")
	f.BoolVar(&q.Shadowed, "shadowed", false, "only what was allowed because of mode: shadow")
	f.StringVar(&q.Rule, "rule", "", "events that this `RULE` decided, as they show it")
	f.StringVar(&q.Outcome, "outcome", "", outcomeUsage)
	f.StringVar(&q.Kind, "kind", "", "decision, outcome, integrity, lifecycle or anomaly")
	f.StringVar(&q.Method, "method", "", "events of this `METHOD` of MCP, such as tools/call")
	f.StringVar(&q.Client, "client", "", "events of this `CLIENT`")
	f.StringVar(&q.Host, "host", "", "events of the machine `NAME`")
	f.StringVar(&q.User, "user", "", "events of the operating system's user `NAME`")
	f.StringVar(&q.Principal, "principal", "", "events that came with the token `NAME`; local: from the hub's own machine")
	f.StringVar(&q.Trace, "trace", "", "events of the trace with this `ID`, 32 hex digits")
	f.Var(&q.since, "since", "events from this `TIME` on, or so long ago")
	f.Var(&q.until, "until", "events before this `TIME`, or so long ago")
	f.IntVarP(&q.events, "lines", "n", 50, "how many `EVENTS` to show at most")
	command.MarkFlagsMutuallyExclusive("target", "tool")
	command.MarkFlagsMutuallyExclusive("method", "tool")
	completeWords(command)
	for _, name := range []string{"server", "target", "tool", "rule", "method", "client", "host", "user", "principal", "trace", "since", "until", "lines"} {
		_ = command.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return command
}

func isTraceID(text string) bool {
	return len(text) == 32 && strings.Trim(text, "0123456789abcdef") == ""
}

// A foundEvent is an event of a hub, and what its line says.
type foundEvent struct {
	uplink.FoundEvent
	record *audit.Record
}

// find returns the newest events that are wanted, the newest last. A hub answers with few or none where a page takes it long, and
// is asked to go on.
func (q *hubSearch) find(ctx context.Context, client *uplink.Client) ([]foundEvent, error) {
	search := q.Search
	search.Since, search.Until = q.since.Time, q.until.Time
	if q.tool != "" {
		search.Target, search.Method = q.tool, "tools/call"
	}
	search.Limit = min(q.events, uplink.MaxFound)
	var list []foundEvent
	for e, err := range foundEvents(ctx, client, search) {
		if err != nil {
			return nil, err
		}
		if list = append(list, e); len(list) == q.events {
			break
		}
	}
	slices.Reverse(list)
	return list, nil
}

// foundEvents yields all that a search finds, the newest first, page by page.
func foundEvents(ctx context.Context, client *uplink.Client, search uplink.Search) iter.Seq2[foundEvent, error] {
	return func(yield func(foundEvent, error) bool) {
		for {
			page, err := client.Events(ctx, search)
			if err != nil {
				yield(foundEvent{}, err)
				return
			}
			for _, e := range page.Events {
				record, err := audit.Parse([]byte(e.Line))
				if err != nil {
					err = fmt.Errorf("read an event of chain %q: %w", e.Chain, err)
				}
				if !yield(foundEvent{e, record}, err) || err != nil {
					return
				}
			}
			if page.Next == "" || page.Next == search.Before { // a hub that leads nowhere is not followed
				return
			}
			search.Before = page.Next
		}
	}
}

func (a *app) printFound(list []foundEvent) error {
	if len(list) == 0 && !a.json {
		fmt.Fprintln(a.err, "no such events")
		return nil
	}
	w := bufio.NewWriter(a.out)
	for _, e := range list {
		line := foundLine(&e)
		if a.json {
			line = foundJSON(&e)
		}
		_, _ = w.WriteString(line + "\n") // Flush tells
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print events: %w", err)
	}
	return nil
}

// foundLine shows an event as the commands of mcpx audit do, and behind the time whose it is.
func foundLine(e *foundEvent) string {
	parts := slices.Insert(eventParts(e.record), 1, fmt.Sprintf("%-10s", cut(oneLine(dash(e.Principal)))))
	if e.Flaw != "" {
		parts = append(parts, oneLine(e.Flaw))
	}
	return strings.TrimRight(strings.Join(parts, "  "), " ")
}

// foundJSON is built around the line, which stays as it is to the byte.
func foundJSON(e *foundEvent) string {
	line := jsonrpc.AppendString([]byte(`{"principal":`), e.Principal)
	line = jsonrpc.AppendString(append(line, `,"chain":`...), e.Chain)
	if e.Flaw != "" {
		line = jsonrpc.AppendString(append(line, `,"flaw":`...), e.Flaw)
	}
	return string(line) + `,"event":` + e.Line + "}"
}
