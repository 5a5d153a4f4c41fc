package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// An app is one invocation: its streams and the flags that every subcommand shares.
type app struct {
	in       io.Reader
	out, err io.Writer

	configPath string // --config; empty: search as findConfig says
	logLevel   string // --log-level
	json       bool   // --json, where a machine may read the output

	running bool // the command line was understood: what fails from here on is no usage error
}

// Exit codes that every subcommand shares. A subcommand with more of them says so in its help.
const (
	exitFailure = 1
	exitUsage   = 2
)

// An exitError ends the process with a code of its own. A nil err prints nothing.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// run executes the command line and returns the exit code.
func (a *app) run(args []string) int {
	args = compatible(args)
	root := a.rootCommand(args)
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	command, err := root.ExecuteC()
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		a.complain(exit.err)
		return exit.code
	}
	a.complain(err)
	if !a.running {
		fmt.Fprintf(a.err, "Try %q.\n", command.CommandPath()+" --help")
		return exitUsage
	}
	return exitFailure
}

func (a *app) complain(err error) {
	if err != nil {
		fmt.Fprintln(a.err, "mcpx: "+strings.TrimRight(printable(err.Error()), "\n"))
	}
}

const (
	groupUse   = "use"
	groupTrust = "trust"
	groupWell  = "well"
	groupOther = "other"
)

// rootCommand makes what a command line needs: all commands, but for a wrapper, which starts with every client of a machine.
func (a *app) rootCommand(args []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "mcpx",
		Short: "Put a policy, pins and a tamper-evident record in front of MCP servers",
		Long: `mcpx stands between an MCP client and an MCP server. It decides on every message by your
policy, notices when the server changes what it says about its tools, and records every decision.`,
		Example: `  mcpx demo                                       see it work, without any configuration
  mcpx wrap -- npx -y @modelcontextprotocol/server-filesystem /data
  mcpx hub                                        see and steer all wrappers of this user
  mcpx dashboard                                  look at them in the browser
  mcpx login https://hub.example.com              belong to a team's hub
  mcpx hub -c mcpx.yaml --watch                   one address for all servers of the file
  mcpx doctor                                     what is not covered, changed or broken?
  mcpx check mcpx.yaml                            is this configuration sound?
  mcpx policy explain --server filesystem --tool write_file --args '{"path":"/data/x"}'
  mcpx audit tail -f                              watch decisions as they are made`,
		Version:       buildVersion().String(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	flags := root.PersistentFlags()
	flags.StringVarP(&a.configPath, "config", "c", "", "configuration `FILE` (default: see Environment in `mcpx help`)")
	flags.StringVar(&a.logLevel, "log-level", "warn", "`LEVEL` of what is logged to stderr: debug, info, warn or error (hub: info)")
	flags.BoolVar(&a.json, "json", false, "print JSON where the command prints data")
	_ = root.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions(logLevels, cobra.ShellCompDirectiveNoFileComp))
	_ = root.RegisterFlagCompletionFunc("config", cobra.FixedCompletions([]cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt))

	root.AddGroup(
		&cobra.Group{ID: groupUse, Title: "Use:"},
		&cobra.Group{ID: groupTrust, Title: "Rules, pins and records:"},
		&cobra.Group{ID: groupWell, Title: "Is all well:"},
		&cobra.Group{ID: groupOther, Title: "Other:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, command := range commands {
			command.GroupID = group
			root.AddCommand(command)
		}
	}
	wrap := a.wrapCommand()
	_ = wrap.RegisterFlagCompletionFunc("name", a.completeServers)
	add(groupUse, wrap)
	if len(args) == 0 || args[0] != wrap.Name() {
		add(groupUse, a.clientsCommand(), a.hubCommand(), a.dashboardCommand(), a.loginCommand(), a.logoutCommand(), a.demoCommand())
		add(groupTrust, a.policyCommand(), a.pinsCommand(), a.auditCommand())
		add(groupWell, a.doctorCommand(), a.checkCommand(), a.healthCommand())
		add(groupOther, a.configCommand(), a.versionCommand())
		root.SetHelpCommandGroupID(groupOther)
		root.SetCompletionCommandGroupID(groupOther)
		root.InitDefaultHelpCmd()
		root.InitDefaultCompletionCmd()
		help, _, _ := root.Find([]string{"help"})
		help.Args = helpTopics
	}
	root.SetUsageTemplate(root.UsageTemplate() + rootHelpTail)
	a.prepare(root)
	return root
}

// rootHelpTail follows the usage of mcpx itself, not that of its subcommands.
const rootHelpTail = `{{if not .HasParent}}
Exit codes:
  0 done   1 failed   2 the command line is wrong; a command with more codes says so in its help
  mcpx wrap exits as the server did (128+n when signal n ended it)

Environment:
  MCPX_CONFIG      the configuration file, where --config names none; else ./mcpx.yaml,
                   else mcpx/mcpx.yaml in $XDG_CONFIG_HOME (~/.config)
  MCPX_STATE_DIR   what mcpx remembers: audit log, login, the store of a hub, pins of servers
                   without a configuration file (default: mcpx in $XDG_STATE_HOME, ~/.local/state)
  Servers that mcpx starts do not see variables named MCPX_*.
{{end}}`

// prepare goes through all commands, so that each of them tells a wrong command line from a failure,
// and refuses subcommands that do not exist instead of printing help as if all were well.
func (a *app) prepare(command *cobra.Command) {
	switch {
	case command.RunE != nil:
		inner := command.RunE
		command.RunE = func(c *cobra.Command, args []string) error {
			if err := errors.Join(a.checkLogLevel(), checkWords(c), checkSpan(c)); err != nil {
				return err
			}
			a.running = true
			return inner(c, args)
		}
	case command.Run == nil && command.HasSubCommands():
		command.Args = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(c, args[0])
		}
		command.DisableFlagsInUseLine = true
		command.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	for _, child := range command.Commands() {
		a.prepare(child)
	}
}

func unknownCommand(parent *cobra.Command, name string) error {
	parent.SuggestionsMinimumDistance = 2
	if close := parent.SuggestionsFor(name); len(close) > 0 {
		return fmt.Errorf("unknown command %q for %q: did you mean %s?", name, parent.CommandPath(), choices(close))
	}
	return fmt.Errorf("unknown command %q for %q", name, parent.CommandPath())
}
