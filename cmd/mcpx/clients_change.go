package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/wrap"
	"github.com/rohitgs28/mcpx/wrap/clients"
)

// A clientChange is one command that changes files: what it would do is collected, shown, asked about, and done.
type clientChange struct {
	dryRun, yes bool
	verb        string // what is done to a server, in the past: wrapped
	changes     []*clients.Change
	failed      bool // something could not be done, and that was said
}

func (cc *clientChange) flags(command *cobra.Command) {
	command.Flags().BoolVarP(&cc.dryRun, "dry-run", "n", false, "show what would change, and change nothing")
	command.Flags().BoolVarP(&cc.yes, "yes", "y", false, "do not ask")
}

// miss says which clients are not there. The others go on.
func (a *app) miss(cc *clientChange, absent []error) {
	for _, err := range absent {
		cc.failed = true
		a.complain(err)
	}
}

// plan asks for the change of each file. What cannot be done is said; the others go on.
func (a *app) plan(cc *clientChange, files []clients.File, change func(*clients.File) (*clients.Change, error)) {
	for i := range files {
		f := &files[i]
		err := f.Err
		var c *clients.Change
		if err == nil {
			c, err = change(f)
		}
		if err != nil {
			cc.failed = true
			a.complain(fmt.Errorf("%s:%w: the file is left as it is", f.Path, spaced(err)))
			continue
		}
		for _, skipped := range c.Skipped {
			cc.failed = true
			a.complain(fmt.Errorf("%s:%w", f.Path, skipped))
		}
		if !c.Empty() {
			cc.changes = append(cc.changes, c)
		}
	}
}

// spaced puts a space before an error that does not begin with a line number.
func spaced(err error) error {
	if wrong, ok := errors.AsType[*clients.PlaceError](err); ok && wrong.Line > 0 {
		return err
	}
	return fmt.Errorf(" %w", err)
}

// carryOut shows what was planned, asks, and does it.
func (a *app) carryOut(cc *clientChange) error {
	if len(cc.changes) == 0 && !cc.failed {
		if a.json {
			return a.printJSON(changesReport{Files: []changeReport{}})
		}
		fmt.Fprintln(a.out, "Nothing to do.")
		return nil
	}
	if !cc.dryRun {
		wrap.IgnoreBrokenPipes() // or who reads only the first lines leaves half of the files as they were
	}
	if !a.json {
		for _, c := range cc.changes {
			fmt.Fprint(a.out, printable(strings.ReplaceAll(c.Diff(), "\t", "    ")))
		}
	}
	report := changesReport{DryRun: cc.dryRun, Files: []changeReport{}}
	if len(cc.changes) > 0 && !cc.dryRun {
		if err := a.confirm(cc); err != nil {
			return err
		}
		a.writeAll(cc, &report)
	} else {
		for _, c := range cc.changes {
			report.add(c, "", nil)
		}
	}
	if a.json {
		if err := a.printJSON(report); err != nil {
			return err
		}
	} else if !cc.dryRun && len(report.Files) > 0 {
		a.printWritten(cc, &report)
	}
	if cc.failed {
		return &exitError{code: exitFailure}
	}
	return nil
}

// confirm asks whoever is at the terminal.
func (a *app) confirm(cc *clientChange) error {
	if cc.yes {
		return nil
	}
	if a.json {
		return errors.New("nothing was changed: --json asks no questions; give --yes or --dry-run")
	}
	return a.ask(fmt.Sprintf("Change %s?", count(len(cc.changes), "file")))
}

func (a *app) writeAll(cc *clientChange, report *changesReport) {
	backups, err := newBackups()
	for _, c := range cc.changes {
		var copied string
		writeErr := err
		if writeErr == nil {
			writeErr = c.Write(func(before []byte) error {
				copied, writeErr = backups.keep(c, before)
				return writeErr
			})
		}
		if writeErr != nil {
			cc.failed = true
			a.complain(fmt.Errorf("write %s: %w", c.File.Path, writeErr))
			backups.forget(copied)
			copied = ""
		}
		report.add(c, copied, writeErr)
	}
	if err == nil {
		backups.prune()
	}
}

// changesReport is what the commands that change files print with --json.
type changesReport struct {
	DryRun bool           `json:"dry_run,omitempty"`
	Files  []changeReport `json:"files"`

	restart []clients.Client
}

type changeReport struct {
	Client  string   `json:"client"`
	Path    string   `json:"path"`
	Servers []string `json:"servers"`
	Backup  string   `json:"backup,omitempty"`
	Error   string   `json:"error,omitempty"`
}

func (r *changesReport) add(c *clients.Change, backup string, err error) {
	file := changeReport{Client: c.File.Client.ID, Path: c.File.Path, Servers: []string{}, Backup: backup}
	for _, s := range c.Done {
		file.Servers = append(file.Servers, s.Key)
	}
	if err != nil {
		file.Error = err.Error()
	} else if len(r.restart) == 0 || r.restart[len(r.restart)-1].ID != c.File.Client.ID {
		r.restart = append(r.restart, c.File.Client)
	}
	r.Files = append(r.Files, file)
}

func (a *app) printWritten(cc *clientChange, report *changesReport) {
	fmt.Fprintln(a.out)
	for _, f := range report.Files {
		if f.Error == "" {
			fmt.Fprintf(a.out, "%s: %s in %s\n", cc.verb, oneLine(strings.Join(f.Servers, ", ")), oneLine(f.Path))
		}
	}
	if len(report.restart) == 0 {
		return
	}
	fmt.Fprintln(a.out, "\nFor this to take effect:")
	for _, c := range report.restart {
		fmt.Fprintf(a.out, "  %s: %s\n", c.Name, c.Restart)
	}
	fmt.Fprintln(a.out, "`mcpx clients undo` takes it back.")
}
