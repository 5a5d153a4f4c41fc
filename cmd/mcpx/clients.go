package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/wrap/clients"
)

func (a *app) clientsCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "clients",
		Short: "Put mcpx before the servers of the MCP clients on this machine",
		Long: `clients knows where MCP clients keep their settings, for this user and in the folder that you are in. It lists their
servers, puts ` + "`mcpx wrap`" + ` before the commands of those that it is not before yet, and takes it out again.

What changes is shown first, and asked about. Nothing else in a file changes: comments, order and formatting stay. A copy of
each file is kept beside mcpx's state, and undo brings it back. A file that its client writes at the same time is left alone.

Clients: ` + strings.Join(clientIDs(), ", "),
		Example: `  mcpx clients                              what is there, and what is wrapped
  mcpx clients wrap                         wrap everything, after showing it
  mcpx clients wrap cursor --server github --dry-run
  mcpx clients connect --hub http://127.0.0.1:8080
  mcpx clients undo`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return nil
		},
	}
	list := a.clientsList()
	command.RunE = list.RunE
	command.AddCommand(list, a.clientsWrap(), a.clientsUnwrap(), a.clientsConnect(), a.clientsDisconnect(), a.clientsUndo())
	return command
}

func clientIDs() []string {
	var ids []string
	for _, c := range clients.All() {
		ids = append(ids, c.ID)
	}
	return ids
}

// clientPicks are the flags that say which files and servers are meant.
type clientPicks struct {
	scope   string
	file    string
	as      string
	servers []string
}

func (p *clientPicks) flags(command *cobra.Command, withServers bool) {
	flags := command.Flags()
	flags.StringVar(&p.scope, "scope", "", "only files of a `SCOPE`: user, or project (the folder that you are in)")
	flags.StringVar(&p.file, "file", "", "one `FILE`, wherever it is, in place of those that are found")
	flags.StringVar(&p.as, "as", "", "`CLIENT` that --file belongs to")
	if withServers {
		flags.StringArrayVar(&p.servers, "server", nil, "only the server that the client calls `NAME`; may be repeated")
	}
	_ = command.RegisterFlagCompletionFunc("scope", cobra.FixedCompletions([]cobra.Completion{string(clients.User), string(clients.Project)}, cobra.ShellCompDirectiveNoFileComp))
	_ = command.RegisterFlagCompletionFunc("as", cobra.FixedCompletions(clientIDs(), cobra.ShellCompDirectiveNoFileComp))
	command.Args = func(_ *cobra.Command, ids []string) error { return p.check(ids) }
	command.ValidArgsFunction = func(_ *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return slices.DeleteFunc(clientIDs(), func(id string) bool { return slices.Contains(given, id) }), cobra.ShellCompDirectiveNoFileComp
	}
}

func (p *clientPicks) check(ids []string) error {
	for _, id := range append(slices.Clone(ids), p.as) {
		if _, ok := clients.Lookup(id); ok || id == "" {
			continue
		}
		if guess := nearest(id, clientIDs()); guess != "" {
			return fmt.Errorf("unknown client %q: did you mean %s?", id, guess)
		}
		return fmt.Errorf("unknown client %q: known are %s", id, choices(clientIDs()))
	}
	switch {
	case p.scope != "" && p.scope != string(clients.User) && p.scope != string(clients.Project):
		return fmt.Errorf("unknown scope %q: use user or project", p.scope)
	case (p.file == "") != (p.as == ""):
		return errors.New("--file and --as go together: which file, and of which client")
	case p.file != "" && (len(ids) > 0 || p.scope != ""):
		return errors.New("--file goes without names of clients and without --scope")
	}
	return nil
}

// find reads the files that are meant.
func (p *clientPicks) find(ids []string) ([]clients.File, error) {
	env, err := thisMachine()
	if err != nil {
		return nil, err
	}
	if p.file != "" {
		client, _ := clients.Lookup(p.as)
		path, err := filepath.Abs(p.file)
		return []clients.File{clients.Open(env, client, path)}, err
	}
	files := slices.DeleteFunc(clients.Find(env), func(f clients.File) bool {
		return len(ids) > 0 && !slices.Contains(ids, f.Client.ID) || p.scope != "" && p.scope != string(f.Scope)
	})
	return files, p.known(files)
}

// findPresent is find for a command that makes no file: it refuses what is not there, and says which of the clients are not.
func (p *clientPicks) findPresent(ids []string) (files []clients.File, absent []error, err error) {
	if p.file != "" {
		if _, err := os.Stat(p.file); err != nil {
			return nil, nil, fmt.Errorf("--file: %w", err)
		}
	}
	env, err := thisMachine()
	if err != nil {
		return nil, nil, err
	}
	all := clients.Find(env)
	for _, id := range ids {
		client, _ := clients.Lookup(id)
		_, empty := clients.New(env, client, clients.User)
		if !empty && !slices.ContainsFunc(all, func(f clients.File) bool { return f.Client.ID == id }) {
			absent = append(absent, fmt.Errorf("%s is not found on this machine: name its file with --file and --as", client.Name))
		}
	}
	files, err = p.find(ids)
	return files, absent, err
}

// known refuses a --server that nobody has: it was most likely misspelt.
func (p *clientPicks) known(files []clients.File) error {
	var names []string
	for _, f := range files {
		for _, s := range f.Servers {
			names = append(names, s.Key)
		}
	}
	for _, name := range p.servers {
		if slices.Contains(names, name) {
			continue
		}
		if guess := nearest(name, names); guess != "" {
			return fmt.Errorf("no client has a server %q: did you mean %s?", name, guess)
		}
		return fmt.Errorf("no client has a server %q: see `mcpx clients`", name)
	}
	return nil
}

// picks reports whether a server is meant.
func (p *clientPicks) picks(s *clients.Server) bool {
	return len(p.servers) == 0 || slices.Contains(p.servers, s.Key)
}
