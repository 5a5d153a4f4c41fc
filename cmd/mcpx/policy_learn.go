package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/policy/learn"
)

// exitIncomplete is the code of `mcpx policy learn` and `test` where the record is not all that happened.
const exitIncomplete = 3

func (a *app) learnCommand() *cobra.Command {
	var choice recordChoice
	var to string
	var force bool
	command := &cobra.Command{
		Use:   "learn [LOG...]",
		Short: "Make a policy that allows what has happened, and nothing else",
		Long: `Learn reads the audit log, or the LOGs (files or folders), and prints a configuration with a policy for each server: the tools
that were called, what their arguments have in common (folders, hosts, words, ranges, prefixes), the resources and prompts that
were used, and what servers asked of their clients. What was denied, and calls that failed, teach nothing; they are listed. Before
it is printed, the policy is held against the record: every call that has passed passes.

Arguments are learnt where the log has them: set audit.args to redacted (secrets left out) or full before you record. With hash,
the default, and off, tools are learnt without them, and the result is not complete.

A result that may not be all that happened says INCOMPLETE and why: a log that was edited or cut, or is a copy (--copied) that could
be, lines that cannot be read, arguments that are missing, a server of which nothing has passed.

Exit codes: 0 complete, 3 printed, but not complete, 1 failed, 2 the command line is wrong.`,
		Example: `  mcpx policy learn > learnt.yaml
  mcpx policy learn --since 7d --server 'file*' -o learnt.yaml
  mcpx policy learn --hub local -o learnt.yaml`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.learn(c.Context(), &choice, args, to, force)
		},
	}
	choice.flags(command)
	command.Flags().StringVarP(&to, "output", "o", "", "write to this `FILE`, which must not be there yet")
	command.Flags().BoolVar(&force, "force", false, "write over the file of --output")
	return command
}

func (a *app) learn(ctx context.Context, choice *recordChoice, paths []string, to string, force bool) error {
	r, err := choice.open(ctx, a, paths)
	if err != nil {
		return err
	}
	lesson, err := r.learn()
	if err != nil {
		return err
	}
	if lesson.Events == 0 {
		return errors.New("there is no such event in the record: nothing to learn from")
	}
	for _, why := range lesson.Incomplete {
		a.complain(fmt.Errorf("not complete: %s", why))
	}
	text := lesson.YAML()
	if a.json {
		var b bytes.Buffer
		if err := (&app{out: &b}).printJSON(lesson); err != nil {
			return err
		}
		text = b.Bytes()
	}
	if err := a.put(to, force, text); err != nil {
		return err
	}
	if to != "" {
		fmt.Fprintf(a.err, "%s: learnt from %s of %s\n", printable(to), count(lesson.Calls, "call"), count(len(lesson.Servers), "server"))
	}
	if !lesson.Complete() {
		return &exitError{code: exitIncomplete}
	}
	return nil
}

// learn reads the record until what was learnt lets all pass that has passed.
func (r *record) learn() (*learn.Lesson, error) {
	learner := learn.NewLearner()
	unread := 0
	for e, err := range r.events {
		if err != nil {
			unread++
			continue
		}
		learner.Add(e)
	}
	for {
		lesson := learner.Lesson()
		check, err := learn.NewCheck(lesson)
		if err != nil {
			return nil, err
		}
		for e, err := range r.events {
			if err == nil {
				check.Add(e)
			}
		}
		if check.Refused > 0 && learner.Relax(check) {
			continue
		}
		lesson.Servers = slices.DeleteFunc(lesson.Servers, func(s learn.Server) bool {
			if policy.IsServerName(s.Name) {
				return false
			}
			lesson.Incomplete = append(lesson.Incomplete, fmt.Sprintf("server %q has %s, but no configuration can name it", s.Name, count(s.Calls, "call")))
			return true
		})
		if len(lesson.Servers) == 0 { // such as for a name that was misspelt
			lesson.Incomplete = append(lesson.Incomplete, "there is no server of which anything has passed")
		}
		lesson.Incomplete = slices.Concat(lesson.Incomplete, r.flaws, r.lacking)
		if unread > 0 {
			lesson.Incomplete = append(lesson.Incomplete, count(unread, "line")+" of the record cannot be read: see mcpx audit verify")
		}
		if check.Refused > 0 {
			lesson.Incomplete = append(lesson.Incomplete, count(check.Refused, "call")+" that passed would not pass: no rule can say what they have in common")
		}
		return lesson, nil
	}
}

// put writes to a file of the user's own, or to stdout.
func (a *app) put(to string, force bool, text []byte) error {
	if to == "" {
		if _, err := a.out.Write(text); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		return nil
	}
	how := os.O_CREATE | os.O_WRONLY | os.O_EXCL
	if force {
		how = os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	}
	file, err := os.OpenFile(to, how, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%q is there already: name another file, or say --force", to)
	}
	if err != nil {
		return fmt.Errorf("write what was learnt: %w", err)
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
