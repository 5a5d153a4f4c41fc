package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/integrity/audit"
)

// exitBroken is the exit code of `audit verify` for a log that is not what was written.
const exitBroken = 10

func (a *app) auditCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "audit",
		Short: "Read and verify the record of what was decided",
		Long: `Every decision of mcpx and every outcome is an event in the audit log: a line of JSON that carries the hash of
the line before it. PATH is a log file or a folder of segments; without it, the log of the configuration in
use is meant, else the one in the state folder.`,
		Example: `  mcpx audit tail -f
  mcpx audit query --decision deny --since 7d
  mcpx audit verify
  mcpx audit export --format csv --since 30d -o events.csv`,
	}
	command.AddCommand(a.auditTail(), a.auditQuery(), a.auditVerify(), a.auditExport())
	return command
}

// auditTarget gives the log that a command is about: the named one, or the one in use. A log in use that does not exist
// yet is an empty one; it is reported as absent.
func (a *app) auditTarget(args []string) (path string, absent bool, err error) {
	if len(args) > 0 {
		_, err := os.Stat(args[0])
		return args[0], false, err
	}
	path, err = a.auditPath()
	if err != nil {
		return "", false, err
	}
	_, err = os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, true, nil
	}
	return path, false, err
}

func (a *app) noEvents(path string) {
	if !a.json {
		fmt.Fprintf(a.err, "no events yet in %s\n", printable(path))
	}
}

func (a *app) auditTail() *cobra.Command {
	var n int
	var follow bool
	command := &cobra.Command{
		Use:   "tail [PATH]",
		Short: "Show the last events, and with -f those to come",
		Long: `Tail shows the last events, one a line: time, what was decided or came of it, server, method and target, and
why. With --json it prints the events as they stand in the log.`,
		Args: operands(0, 1),
		RunE: func(command *cobra.Command, args []string) error {
			if n < 0 {
				return fmt.Errorf("-n %d is negative", n)
			}
			path, absent, err := a.auditTarget(args)
			if err != nil {
				return err
			}
			if absent && !follow {
				a.noEvents(path)
				return nil
			}
			ctx, stop := signal.NotifyContext(command.Context(), os.Interrupt)
			defer stop()
			return a.tail(ctx, path, n, follow)
		},
	}
	command.Flags().IntVarP(&n, "lines", "n", 20, "how many `EVENTS` to show")
	command.Flags().BoolVarP(&follow, "follow", "f", false, "go on with events as they are recorded, until interrupted")
	return command
}

// tail shows the last n events of a log, and if it is to follow, all later ones until ctx ends.
func (a *app) tail(ctx context.Context, path string, n int, follow bool) error {
	t, err := audit.NewTail(path)
	if err != nil {
		return err
	}
	records, err := t.Last(n)
	if err != nil {
		return err
	}
	if err := a.printEvents(records); err != nil || !follow {
		return err
	}
	ticker := time.NewTicker(audit.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		records, err := t.Poll()
		if err != nil {
			return err
		}
		if err := a.printEvents(records); err != nil {
			return err
		}
	}
}

func (a *app) auditQuery() *cobra.Command {
	var q query
	var limit int
	command := &cobra.Command{
		Use:   "query [PATH]",
		Short: "Find events",
		Long: `Query shows the events for which all given flags hold, in the order of their times. In the values of --server,
--client, --target, --method, --rule and --reason a * stands for any text. --since and --until take a time
such as 2026-03-01T12:00:00Z, a day such as 2026-03-01, or how long ago, such as 90m, 12h or 7d. --outcome failed
means all of tool_error, error, timeout and dropped.`,
		Example: `  mcpx audit query --decision deny --since 7d
  mcpx audit query --server filesystem --tool 'write_*' --json
  mcpx audit query --kind integrity`,
		Args: operands(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if limit < 0 {
				return fmt.Errorf("--limit %d is negative", limit)
			}
			path, absent, err := a.auditTarget(args)
			if err != nil {
				return err
			}
			if absent {
				a.noEvents(path)
				return nil
			}
			return a.query(path, &q, limit)
		},
	}
	q.flags(command)
	command.Flags().IntVar(&limit, "limit", 0, "show only the last `EVENTS` of those that were found; 0: all")
	return command
}

func (a *app) query(path string, q *query, limit int) error {
	var last []*audit.Record
	for r, err := range q.find(path) {
		switch {
		case err != nil:
			a.complain(err)
		case limit == 0:
			if err := a.printEvents([]*audit.Record{r}); err != nil {
				return err
			}
		default:
			if last = append(last, r); len(last) >= 2*limit {
				last = append(last[:0], last[len(last)-limit:]...)
			}
		}
	}
	if err := a.printEvents(last[max(0, len(last)-limit):]); err != nil {
		return err
	}
	return q.unread()
}

func (a *app) auditVerify() *cobra.Command {
	var copied bool
	command := &cobra.Command{
		Use:   "verify [PATH...]",
		Short: "Prove that the log is what was written, or say where it is not",
		Long: `Verify reads all of the log and finds events that were edited, removed, moved, put there or cut off. It prints
one line for each chain of events: each process has a chain in a folder, all share one in a file. What is cut
off the end is found by comparison with the state folder, where the end of each chain is noted too.

Exit codes: 0 the log is intact, 10 it is not, 1 it cannot be read.`,
		Example: `  mcpx audit verify
  mcpx audit verify --copied ./collected/audit`,
		RunE: func(_ *cobra.Command, args []string) error { return a.verifyAudit(args, copied) },
		Args: cobra.ArbitraryArgs,
	}
	command.Flags().BoolVar(&copied, "copied", false, "the log comes from another place or machine: do not compare its end with the state folder")
	return command
}

func (a *app) verifyAudit(paths []string, copied bool) error {
	state, err := stateDir()
	if err != nil {
		return err
	}
	heads := filepath.Join(state, headsName)
	if copied {
		heads = ""
	}
	named := len(paths) > 0
	if !named {
		path, err := a.auditPath()
		if err != nil {
			return err
		}
		paths = []string{path}
	}
	result, err := audit.Verify(heads, paths...)
	if errors.Is(err, fs.ErrNotExist) && !named {
		a.noEvents(paths[0])
		result, err = &audit.Result{Chains: []audit.Chain{}, Problems: []audit.Problem{}}, nil
	}
	if err != nil {
		return err
	}
	if err := a.printVerified(result); err != nil {
		return err
	}
	if !result.Intact() {
		return &exitError{code: exitBroken}
	}
	return nil
}

func (a *app) auditExport() *cobra.Command {
	var q query
	var format, out string
	command := &cobra.Command{
		Use:   "export [PATH]",
		Short: "Write events to a file or to stdout, as JSON lines or CSV",
		Long: `Export writes the events for which all given flags hold, see mcpx audit query. JSON lines are written as they
stand in the log. In CSV a value that a spreadsheet could take for a formula gets a ' in front.`,
		Example: `  mcpx audit export --format csv --since 30d -o events.csv`,
		Args:    operands(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if format != "jsonl" && format != "csv" {
				return fmt.Errorf("--format %q is unknown: use jsonl or csv", format)
			}
			path, absent, err := a.auditTarget(args)
			if err != nil {
				return err
			}
			if absent {
				return fmt.Errorf("there is no audit log at %s yet", path)
			}
			return a.export(path, &q, format, out)
		},
	}
	q.flags(command)
	command.Flags().StringVar(&format, "format", "jsonl", "jsonl or csv")
	command.Flags().StringVarP(&out, "output", "o", "", "a new `FILE`; default: stdout")
	_ = command.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]cobra.Completion{"jsonl", "csv"}, cobra.ShellCompDirectiveNoFileComp))
	return command
}
