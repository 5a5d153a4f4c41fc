package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/wrap"
	"github.com/rohitgs28/mcpx/wrap/clients"
)

func (a *app) clientsWrap() *cobra.Command {
	var pick clientPicks
	var cc clientChange
	var mcpx string
	command := &cobra.Command{
		Use:   "wrap [CLIENT...]",
		Short: "Put mcpx wrap before the command of each server that is not wrapped",
		Long: `Wrap makes each server's command one of mcpx wrap, in all files that are found or in those of the clients that are named.
The server keeps its environment, its arguments and its place; mcpx gets the client's name for it as --name.
What is wrapped already stays as it is, unless the mcpx that it names is not there any more.

With --config the wrappers get that configuration, and only servers that have an entry in it are wrapped, for wrap starts no
other. Servers at a URL are not touched: see connect.

Clients are told to start mcpx by its whole path, for many of them have a short PATH; in a project's files it is plain mcpx
if your PATH finds this one, since others have it elsewhere. --mcpx says what else to write, also for what is wrapped already.

Exit codes: 0 done, or nothing to do; 1 something could not be done.`,
		Example: `  mcpx clients wrap --dry-run
  mcpx clients wrap claude-desktop cursor --yes
  mcpx clients wrap --scope project --server github
  mcpx clients wrap --file ~/other/mcp.json --as cursor`,
		RunE: func(_ *cobra.Command, ids []string) error { return a.wrapClients(&pick, &cc, ids, mcpx) },
	}
	pick.flags(command, true)
	cc.flags(command)
	command.Flags().StringVar(&mcpx, "mcpx", "", "`COMMAND` that clients are to start as mcpx (default: see above)")
	return command
}

func (a *app) wrapClients(pick *clientPicks, cc *clientChange, ids []string, mcpx string) error {
	files, absent, err := pick.findPresent(ids)
	if err != nil {
		return err
	}
	entries, err := a.wrapEntries()
	if err != nil {
		return err
	}
	cc.verb = "wrapped"
	a.miss(cc, absent)
	a.plan(cc, files, func(f *clients.File) (*clients.Change, error) {
		own, err := ourCommand(f.Scope)
		if err != nil {
			return nil, err
		}
		gone := isGone
		if mcpx != "" {
			own, gone = mcpx, func(command string) bool { return command != mcpx }
		}
		return f.Wrap(clients.Wrapping{
			MCPX: own, Config: entries.pass, Gone: gone,
			Only: func(s *clients.Server) (bool, error) {
				if !pick.picks(s) {
					return false, nil
				}
				return true, entries.check(f.Scope, s)
			},
		})
	})
	a.warnOfNames(files)
	return a.carryOut(cc)
}

// ourCommand is what a client is to start: the path by which PATH finds this program, which stays the same when a package manager
// puts a newer one there, else where it is.
func ourCommand(scope clients.Scope) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find mcpx itself: %w: name it with --mcpx", err)
	}
	found, err := exec.LookPath("mcpx")
	if err != nil || !sameFile(self, found) {
		return self, nil
	}
	if scope == clients.Project {
		return "mcpx", nil
	}
	return filepath.Abs(found)
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// isGone reports whether a command is a path at which there is nothing.
func isGone(command string) bool {
	if !filepath.IsAbs(command) {
		return false
	}
	_, err := os.Stat(command)
	return errors.Is(err, fs.ErrNotExist)
}

// wrapEntries is what the configuration means for servers that are to be wrapped: where it has entries, wrap starts only those.
type wrapEntries struct {
	path    string
	pass    string // for --config of the wrappers
	names   map[string]bool
	project bool // wrappers find it only in this folder
}

func (a *app) wrapEntries() (wrapEntries, error) {
	c, err := a.loadConfig()
	if err != nil {
		return wrapEntries{}, err
	}
	e := wrapEntries{path: c.Path}
	switch {
	case a.configPath != "" || os.Getenv(configVariable) != "": // a client need not have our environment
		e.pass = c.Path
	case c.Path != "":
		here, err := filepath.Abs(configName)
		e.project = err == nil && here == c.Path
	}
	if len(c.Servers) > 0 {
		e.names = map[string]bool{}
		for _, name := range c.serverNames() {
			e.names[name] = true
		}
	}
	return e, nil
}

func (e wrapEntries) check(scope clients.Scope, s *clients.Server) error {
	name := clients.SafeName(s.Key)
	if e.names == nil || e.names[name] || e.project && scope != clients.Project || s.State == clients.Wrapped {
		return nil
	}
	return fmt.Errorf("%s has no server %q, so mcpx wrap would not start it: add an entry", e.path, name)
}

// warnOfNames tells of servers that will share policy and pins though they are not the same.
func (a *app) warnOfNames(files []clients.File) {
	first := map[string]string{}
	told := map[string]bool{}
	for _, f := range files {
		for i := range f.Servers {
			s := &f.Servers[i]
			words, name := s.Inner, s.Name
			if s.State == clients.Unwrapped {
				words, name = append([]string{s.Command}, s.Args...), clients.SafeName(s.Key)
			}
			if len(words) == 0 || name == "" {
				continue
			}
			program := wrap.Name(words)
			if known, ok := first[name]; ok && known != program && !told[name] {
				told[name] = true
				fmt.Fprintf(a.err, "mcpx: warning: %q is %s in one place and %s in another: they share rules and pins under that name; give one of them another key in its file\n",
					name, known, strings.TrimSpace(printable(program)))
			} else if !ok {
				first[name] = program
			}
		}
	}
}

func (a *app) clientsUnwrap() *cobra.Command {
	var pick clientPicks
	var cc clientChange
	command := &cobra.Command{
		Use:   "unwrap [CLIENT...]",
		Short: "Take mcpx out again",
		Long: `Unwrap gives each wrapped server its own command back, as it was written before. It does not matter which mcpx wrapped it,
and when.

Exit codes: 0 done, or nothing to do; 1 something could not be done.`,
		RunE: func(_ *cobra.Command, ids []string) error {
			files, absent, err := pick.findPresent(ids)
			if err != nil {
				return err
			}
			cc.verb = "unwrapped"
			a.miss(&cc, absent)
			a.plan(&cc, files, func(f *clients.File) (*clients.Change, error) { return f.Unwrap(pick.picks) })
			return a.carryOut(&cc)
		},
	}
	pick.flags(command, true)
	cc.flags(command)
	return command
}
