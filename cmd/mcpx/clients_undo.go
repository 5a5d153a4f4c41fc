package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/wrap"
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
		Args: operands(0, 0),
		RunE: func(*cobra.Command, []string) error { return a.undoClients(dryRun, yes) },
	}
	command.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "say which files would be put back, and change nothing")
	command.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return command
}

// An undoReport is what `mcpx clients undo --json` prints.
type undoReport struct {
	DryRun bool         `json:"dry_run,omitempty"`
	When   *time.Time   `json:"when,omitempty"` // of the command that is taken back; absent: there is none
	Files  []undoneFile `json:"files"`
}

type undoneFile struct {
	Client string `json:"client"`
	Path   string `json:"path"`
	Remove bool   `json:"remove,omitempty"` // it was not there before
	Error  string `json:"error,omitempty"`  // why it is left as it is
}

func (r *undoReport) failed() bool {
	return slices.ContainsFunc(r.Files, func(f undoneFile) bool { return f.Error != "" })
}

func (a *app) undoClients(dryRun, yes bool) error {
	list, when, err := lastBackups()
	if err != nil {
		return err
	}
	report := undoReport{DryRun: dryRun, Files: []undoneFile{}}
	if len(list) == 0 {
		if a.json {
			return a.printJSON(report)
		}
		fmt.Fprintln(a.out, "Nothing to undo.")
		return nil
	}
	if !dryRun {
		wrap.IgnoreBrokenPipes() // as where they were changed
	}
	report.When = &when
	able := a.planUndo(list, &report)
	if !dryRun && able > 0 {
		if err := a.confirmUndo(yes, able); err != nil {
			return err
		}
		a.undoAll(list, &report)
	}
	if a.json {
		if err := a.printJSON(report); err != nil {
			return err
		}
	}
	if report.failed() {
		return &exitError{code: exitFailure}
	}
	return nil
}

// planUndo says what is going to happen to each file, and returns how many can be put back.
func (a *app) planUndo(list []backup, report *undoReport) (able int) {
	if !a.json {
		fmt.Fprintf(a.out, "As of %s:\n", report.When.Local().Format(time.DateTime))
	}
	for i := range list {
		b := &list[i]
		file := undoneFile{Client: b.Client, Path: b.Path, Remove: b.Made}
		what := "put back"
		if b.Made {
			what = "remove, it was not there before"
		}
		if _, err := b.left(); err != nil {
			what, file.Error = "leave as it is", err.Error()
			a.complain(fmt.Errorf("%s: %w", b.Path, err))
		} else {
			able++
		}
		if !a.json {
			fmt.Fprintf(a.out, "  %s: %s\n", oneLine(b.Path), what)
		}
		report.Files = append(report.Files, file)
	}
	return able
}

func (a *app) confirmUndo(yes bool, able int) error {
	if yes {
		return nil
	}
	if a.json {
		return errors.New("nothing was changed: --json asks no questions; give --yes or --dry-run")
	}
	return a.ask(fmt.Sprintf("Put %s back?", count(able, "file")))
}

// undoAll puts the files back that can be.
func (a *app) undoAll(list []backup, report *undoReport) {
	for i := range list {
		b, file := &list[i], &report.Files[i]
		if file.Error != "" {
			continue
		}
		if err := b.restore(); err != nil {
			file.Error = err.Error()
			a.complain(fmt.Errorf("%s: %w", b.Path, err))
			continue
		}
		if a.json {
			continue
		}
		fmt.Fprintf(a.out, "undone: %s\n", oneLine(b.Path))
		if client, ok := clients.Lookup(b.Client); ok {
			fmt.Fprintf(a.out, "  %s: %s\n", client.Name, client.Restart)
		}
	}
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
