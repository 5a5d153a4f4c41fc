package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/wrap/clients"
)

func (a *app) clientsUndo() *cobra.Command {
	var dryRun, yes bool
	command := &cobra.Command{
		Use:   "undo",
		Short: "Put the files back that the last clients command changed",
		Long: `Undo puts each file that wrap, unwrap, connect or disconnect changed last back as it was, if nobody changed it since. Given
again, it goes one command further back.

Exit codes: 0 done, or nothing to undo; 1 some file could not be put back.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.undoClients(dryRun, yes) },
	}
	command.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "say which files would be put back, and change nothing")
	command.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return command
}

func (a *app) undoClients(dryRun, yes bool) error {
	list, when, err := lastBackups()
	if err != nil {
		return err
	}
	if len(list) == 0 {
		fmt.Fprintln(a.out, "Nothing to undo.")
		return nil
	}
	fmt.Fprintf(a.out, "As of %s:\n", when.Local().Format(time.DateTime))
	for _, b := range list {
		what := "put back"
		if b.Made {
			what = "remove, it was not there before"
		}
		fmt.Fprintf(a.out, "  %s: %s\n", oneLine(b.Path), what)
	}
	if dryRun {
		return nil
	}
	if !yes {
		if err := a.ask(fmt.Sprintf("Put %s back?", count(len(list), "file"))); err != nil {
			return err
		}
	}
	failed := false
	for i := range list {
		b := &list[i]
		if err := b.restore(); err != nil {
			failed = true
			a.complain(fmt.Errorf("%s: %w", b.Path, err))
			continue
		}
		fmt.Fprintf(a.out, "undone: %s\n", oneLine(b.Path))
		if client, ok := clients.Lookup(b.Client); ok {
			fmt.Fprintf(a.out, "  %s: %s\n", client.Name, client.Restart)
		}
	}
	if failed {
		return &exitError{code: exitFailure}
	}
	return nil
}

// ask wants a yes from whoever is at the terminal.
func (a *app) ask(question string) error {
	terminal := a.terminal()
	if terminal == nil {
		return errors.New("nothing was changed: nobody is there to ask; look at it with --dry-run, and do it with --yes")
	}
	fmt.Fprintf(a.err, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(io.LimitReader(terminal, 256)).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}

// readUpTo reads a file of at most some bytes.
func readUpTo(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return text, err
}
