package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/integrity"
)

// Exit codes of `pins verify`. Where several apply the gravest is used: changed, removed, added.
const (
	exitAdded   = 10
	exitChanged = 11
	exitRemoved = 12
)

func (a *app) pinsCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "pins",
		Short: "Review and approve what servers say about their tools, prompts and themselves",
		Long: `The first time that mcpx sees a server's tools, prompts and instructions it pins them in mcpx.lock, beside
the configuration in use or else in the state folder. What differs from its pin later is withheld until you
approve it here. Running wrappers notice an approval by themselves.

mcpx.lock is made to be committed: then everybody works with what was reviewed. With --hub, list, diff and approve work
on what all wrappers of a hub have seen and what is approved there for all of them, which counts for more than mcpx.lock.`,
		Example: `  mcpx pins list
  mcpx pins diff filesystem
  mcpx pins approve filesystem read_file
  mcpx pins verify filesystem -- npx -y @modelcontextprotocol/server-filesystem /data
  mcpx pins approve --hub filesystem`,
	}
	command.AddCommand(a.pinsList(), a.pinsDiff(), a.pinsApprove(), a.pinsReset(), a.pinsVerify())
	return command
}

func (a *app) pinsList() *cobra.Command {
	var hub hubFlag
	command := &cobra.Command{
		Use:   "list [SERVER]",
		Short: "List what is pinned, and what differs from it",
		Long: `List shows each definition that is pinned, and what differs from it.

With --hub it shows those that the hub has approved, and those that wrappers have seen since: new where none is approved,
changed, or outdated where some still see one that another has replaced.`,
		Args:              operands(0, 1),
		ValidArgsFunction: a.completePins,
		RunE: func(c *cobra.Command, args []string) error {
			if hub.given() {
				return a.listHubPins(c.Context(), hub, args)
			}
			entries, _, err := a.pinEntries(args)
			if err != nil {
				return err
			}
			return a.printPins(entries)
		},
	}
	hub.add(command)
	return command
}

func (a *app) pinsDiff() *cobra.Command {
	var hub hubFlag
	command := &cobra.Command{
		Use:   "diff [SERVER [TOOL...]]",
		Short: "Show what waits for review, field by field",
		Long: `Diff shows each tool, prompt and instructions that differ from their pins: the path of every field that
changed, what it said and what it says now. Characters that cannot be seen are shown as escapes.

With --hub it compares what wrappers have seen with what the hub has approved for all.`,
		Args:              cobra.ArbitraryArgs, // a server, and tools of it
		ValidArgsFunction: a.completePins,
		RunE: func(c *cobra.Command, args []string) error {
			if hub.given() {
				return a.diffHubPins(c.Context(), hub, args)
			}
			entries, path, err := a.pinEntries(args)
			if err != nil {
				return err
			}
			if len(args) > 1 {
				named := args[1:]
				entries = slices.DeleteFunc(entries, func(e integrity.Entry) bool {
					return e.Kind == integrity.Instructions || !slices.Contains(named, e.Name)
				})
				for _, name := range named {
					if !slices.ContainsFunc(entries, func(e integrity.Entry) bool { return e.Name == name }) {
						return fmt.Errorf("server %q in %q has no tool or prompt %q: see `mcpx pins list`", args[0], path, name)
					}
				}
			}
			return a.printPinDiffs(entries)
		},
	}
	hub.add(command)
	return command
}

func (a *app) pinsApprove() *cobra.Command {
	var pick pinTargets
	var timeout time.Duration
	var hub hubFlag
	var digest string
	command := &cobra.Command{
		Use:   "approve SERVER [TOOL...] [-- COMMAND ARGS...]",
		Short: "Make what the server says now the pin",
		Long: `Approve pins the changed or new definitions that wait for review, and forgets the pins of tools that were
removed. It prints what it approved. A tool that is as pinned is marked as approved by a person, which also
lets it pass where another server has a tool of its name and shadowed_tools is enforce. Running wrappers let it pass
from now on, and tell their clients to list again.

What waits is what wrappers have seen. With a COMMAND, approve starts that server, lists it and stops it, and
approves what it says at this moment; SERVER need not be known yet. So a lock file can be made, reviewed and
committed before any client has used the server.

With --hub it approves for all who use the hub, at once: the definitions that are named, or all that wait. Where different
machines see different definitions of one tool, say which one you mean with --digest.`,
		Example: `  mcpx pins approve filesystem read_file write_file
  mcpx pins approve filesystem --prompt review --instructions
  mcpx pins approve filesystem --all
  mcpx pins approve --hub filesystem read_file
  mcpx pins approve filesystem --all -- npx -y @modelcontextprotocol/server-filesystem /data`,
		Args: func(c *cobra.Command, args []string) error {
			if named, argv := splitAtDash(c, args); len(named) == 0 || argv != nil && len(argv) == 0 {
				return errors.New("give a SERVER, and a COMMAND if there is a --")
			}
			return nil
		},
		ValidArgsFunction: a.completePins,
		RunE: func(c *cobra.Command, args []string) error {
			named, argv := splitAtDash(c, args)
			switch {
			case hub.given() && argv != nil:
				return errors.New("--hub approves what wrappers have seen: it goes without a COMMAND")
			case hub.given():
				return a.approveHubPins(c.Context(), hub, named[0], pick, named[1:], digest)
			case digest != "":
				return errors.New("--digest goes with --hub: here at most one definition of a tool waits")
			}
			targets, err := pick.targets(named[1:])
			if err != nil {
				return err
			}
			if argv == nil {
				return a.reviewPins(named[0], targets, (*integrity.File).Approve, a.printApproved)
			}
			ctx, stop := liveContext(c, timeout)
			defer stop()
			return a.approveLive(ctx, named[0], targets, argv)
		},
	}
	pick.flags(command)
	liveTimeout(command, &timeout)
	command.Flags().BoolVar(&pick.all, "all", false, "everything of the server that waits for review")
	command.Flags().StringVar(&digest, "digest", "", "with --hub: the definition whose digest begins with `PREFIX`")
	hub.add(command)
	return command
}

func (a *app) pinsReset() *cobra.Command {
	var pick pinTargets
	command := &cobra.Command{
		Use:   "reset SERVER [TOOL...]",
		Short: "Forget pins, so that what is seen next is new",
		Long: `Reset forgets the pins of tools, and what waits for review under their names. When they are seen next they
are new tools, for which new_tools decides. Without a TOOL it forgets the whole server: what it lists next
is trusted and pinned as on the first day.`,
		Args:              operands(1, many),
		ValidArgsFunction: a.completePins,
		RunE: func(_ *cobra.Command, args []string) error {
			pick.all = !pick.any(args[1:])
			targets, err := pick.targets(args[1:])
			if err != nil {
				return err
			}
			return a.reviewPins(args[0], targets, (*integrity.File).Reset, a.printReset)
		},
	}
	pick.flags(command)
	return command
}

// pinTargets are the flags that say what of a server is meant.
type pinTargets struct {
	prompts           []string
	instructions, all bool
}

func (t *pinTargets) flags(command *cobra.Command) {
	command.Flags().StringArrayVar(&t.prompts, "prompt", nil, "a prompt of that `NAME`; may be repeated")
	command.Flags().BoolVar(&t.instructions, "instructions", false, "the server's instructions")
}

func (t *pinTargets) any(tools []string) bool {
	return len(tools) > 0 || len(t.prompts) > 0 || t.instructions
}

// targets gives what is meant; none means everything.
func (t *pinTargets) targets(tools []string) ([]integrity.Target, error) {
	switch {
	case t.all && t.any(tools):
		return nil, errors.New("--all goes without names of tools and without --prompt and --instructions")
	case t.all:
		return nil, nil
	case !t.any(tools):
		return nil, errors.New("nothing named: give the names of tools, --prompt, --instructions or --all")
	}
	var list []integrity.Target
	for _, name := range tools {
		list = append(list, integrity.Target{Kind: integrity.Tools, Name: name})
	}
	for _, name := range t.prompts {
		list = append(list, integrity.Target{Kind: integrity.Prompts, Name: name})
	}
	if t.instructions {
		list = append(list, integrity.Target{Kind: integrity.Instructions})
	}
	return list, nil
}

// openPins opens the lock file in use.
func (a *app) openPins() (*integrity.File, error) {
	path, err := a.lockPath()
	if err != nil {
		return nil, err
	}
	return integrity.Open(path)
}

// pinEntries gives the entries of the server that args begin with, or of all servers, and the file's path.
func (a *app) pinEntries(args []string) ([]integrity.Entry, string, error) {
	file, err := a.openPins()
	if err != nil {
		return nil, "", err
	}
	servers := file.Servers()
	if len(args) > 0 {
		server, err := findPinned(file, args[0])
		if err != nil {
			return nil, "", err
		}
		servers = []string{server}
	}
	entries := []integrity.Entry{}
	for _, server := range servers {
		entries = append(entries, file.Entries(server)...)
	}
	return entries, file.Path(), nil
}

// findPinned gives the name in the lock file of the server that is meant. A server that was wrapped without a
// name is there as NAME@ and a digest of its command line; NAME finds it if it is the only one.
func findPinned(file *integrity.File, name string) (string, error) {
	servers := file.Servers()
	if slices.Contains(servers, name) {
		return name, nil
	}
	found, remedy := onlyUnnamed(servers, name, "nothing is pinned yet; that happens when a client lists the tools of a wrapped server")
	if found != "" {
		return found, nil
	}
	return "", fmt.Errorf("server %q is not in %q: %s", name, file.Path(), remedy)
}

// onlyUnnamed gives the only one of the servers that is there as NAME@ and a digest, or else what to do about that. nothing is
// said where there are no servers.
func onlyUnnamed(servers []string, name, nothing string) (found, remedy string) {
	var unnamed []string
	for _, s := range servers {
		if strings.HasPrefix(s, name+"@") {
			unnamed = append(unnamed, s)
		}
	}
	switch {
	case len(unnamed) == 1:
		return unnamed[0], ""
	case len(unnamed) > 1:
		return "", "say which, " + choices(unnamed)
	case len(servers) == 0:
		return "", nothing
	}
	if guess := nearest(name, servers); guess != "" {
		return "", "did you mean " + guess + "?"
	}
	return "", "known are " + choices(servers)
}

func (a *app) reviewPins(server string, targets []integrity.Target,
	act func(*integrity.File, string, ...integrity.Target) ([]integrity.Entry, error),
	report func(server string, done []integrity.Entry) error,
) error {
	file, err := a.openPins()
	if err != nil {
		return err
	}
	if server, err = findPinned(file, server); err != nil {
		return err
	}
	done, err := act(file, server, targets...)
	if err != nil {
		return err
	}
	return report(server, done)
}

// completePins completes the name of a server, then those of its tools.
func (a *app) completePins(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	file, err := a.openPins()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	if len(args) == 0 {
		return file.Servers(), cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	server, err := findPinned(file, args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, e := range file.Entries(server) {
		if e.Kind == integrity.Tools && !slices.Contains(args[1:], e.Name) {
			names = append(names, e.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
