package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// exitDenied is the code of `mcpx policy explain` for a denial.
const exitDenied = 10

func (a *app) policyCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "policy",
		Short: "Explain what the policy decides, learn one from the record, try one on it",
	}
	command.AddCommand(a.explainCommand(), a.learnCommand(), a.policyTestCommand())
	return command
}

// A question is what `mcpx policy explain` is asked.
type question struct {
	server, client         string
	tool, resource, prompt string
	args                   string
}

func (a *app) explainCommand() *cobra.Command {
	var q question
	command := &cobra.Command{
		Use:   "explain --server NAME (--tool NAME [--args JSON] | --resource URI | --prompt NAME)",
		Short: "Print the decision on a call, the rule that makes it, and where that rule stands",
		Long: `Explain asks the same rules that wrap asks, without a server. It knows the configuration only:
a call that the rules allow may still be refused because the tool's definition changed (see mcpx pins)
or because a rate limit is reached.

Exit codes: 0 allowed, 10 denied, 1 failed, 2 the command line is wrong.`,
		Example: `  mcpx policy explain --server filesystem --tool read_file --args '{"path":"/data/../etc/passwd"}'
  mcpx policy explain --server filesystem --tool write_file --client ci-bot --json
  mcpx policy explain --server filesystem --resource file:///data/notes.txt`,
		Args: operands(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("args") {
				q.args = ""
			} else if q.tool == "" {
				return &exitError{exitUsage, errors.New("--args goes with --tool")}
			}
			return a.explain(q)
		},
	}
	flags := command.Flags()
	flags.StringVar(&q.server, "server", "", "`NAME` of the server entry")
	flags.StringVar(&q.client, "client", "", "`NAME` of the client, whose override then applies too")
	flags.StringVar(&q.tool, "tool", "", "`NAME` of the tool to call")
	flags.StringVar(&q.args, "args", "", "its arguments, a `JSON` object (default: none)")
	flags.StringVar(&q.resource, "resource", "", "`URI` of the resource to read")
	flags.StringVar(&q.prompt, "prompt", "", "`NAME` of the prompt to get")
	_ = command.MarkFlagRequired("server") // the flag exists, and so below
	command.MarkFlagsOneRequired("tool", "resource", "prompt")
	command.MarkFlagsMutuallyExclusive("tool", "resource", "prompt")
	_ = command.RegisterFlagCompletionFunc("server", a.completeServers)
	_ = command.RegisterFlagCompletionFunc("client", a.completeClients)
	_ = command.RegisterFlagCompletionFunc("tool", a.completeTools)
	return command
}

// An explanation is what `mcpx policy explain --json` prints.
type explanation struct {
	Decision string     `json:"decision"`         // of the rules: allow or deny
	Shadow   bool       `json:"shadow,omitempty"` // they are not enforced: a denial is recorded, and the call passes
	Server   string     `json:"server"`
	Client   string     `json:"client,omitempty"`
	Tool     string     `json:"tool,omitempty"`
	Resource string     `json:"resource,omitempty"`
	Prompt   string     `json:"prompt,omitempty"`
	Rule     string     `json:"rule"`
	Place    string     `json:"place,omitempty"` // file:line:column of the rule
	Reason   string     `json:"reason,omitempty"`
	Steps    []ruleStep `json:"steps,omitempty"`
}

type ruleStep struct {
	Rule    string `json:"rule"`
	Verdict string `json:"verdict"` // pass, allow or deny
}

func (a *app) explain(q question) error {
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	entry, engine, err := c.engine(q.server, q.client)
	if err != nil {
		return err
	}
	if err := validArguments(q.args); err != nil {
		return err
	}
	decision, trace := ask(engine, q)
	e := explanation{
		Decision: "deny", Server: q.server, Client: q.client, Tool: q.tool, Resource: q.resource, Prompt: q.prompt,
		Rule: decision.Rule, Reason: decision.Reason, Place: c.rulePlace(entry, q.client, decision.Rule),
	}
	if decision.Allow && !decision.Shadow {
		e.Decision = "allow"
	}
	e.Shadow = entry.Policy.Shadow && decision.Allow // a name that is refused is refused in every mode
	e.Reason = strings.TrimPrefix(e.Reason, policy.ShadowPrefix)
	for _, step := range trace {
		e.Steps = append(e.Steps, ruleStep{step.Rule, step.Verdict})
	}
	if a.json {
		if err := a.printJSON(e); err != nil {
			return err
		}
	} else {
		fmt.Fprint(a.out, printable(e.String()))
	}
	if e.Decision == "deny" {
		return &exitError{code: exitDenied}
	}
	return nil
}

func ask(engine *policy.Engine, q question) (policy.Decision, policy.Trace) {
	switch {
	case q.resource != "":
		return engine.Resource([]byte(q.resource)), nil
	case q.prompt != "":
		return engine.Prompt([]byte(q.prompt)), nil
	}
	var arguments []byte // nil: the call has none
	if q.args != "" {
		arguments = []byte(q.args)
	}
	return engine.Explain([]byte(q.tool), arguments)
}

// validArguments refuses what no scanned message could hold.
func validArguments(args string) error {
	if args == "" {
		return nil
	}
	if err := jsonrpc.Valid([]byte(args)); err != nil {
		return fmt.Errorf("--args: no JSON that mcpx would pass on: %w", err)
	}
	if !strings.HasPrefix(strings.TrimLeft(args, " \t\r\n"), "{") {
		return errors.New(`--args: want a JSON object such as {"path":"/data/x"}`)
	}
	return nil
}

func (e explanation) String() string {
	var b strings.Builder
	target := "tool " + e.Tool
	switch {
	case e.Resource != "":
		target = "resource " + e.Resource
	case e.Prompt != "":
		target = "prompt " + e.Prompt
	}
	fmt.Fprintf(&b, "%-7s %s on server %s", e.Decision, target, e.Server)
	if e.Client != "" {
		fmt.Fprintf(&b, " for client %s", e.Client)
	}
	if e.Shadow {
		b.WriteString("\nshadow  the rules of this server are not enforced: a denial is recorded, and the call passes")
	}
	fmt.Fprintf(&b, "\nrule    %s", e.Rule)
	switch {
	case e.Place != "":
		fmt.Fprintf(&b, "  (%s)", e.Place)
	case e.Rule == policy.DefaultRule:
		b.WriteString("  (no rule restricts it)")
	}
	b.WriteByte('\n')
	if e.Reason != "" {
		fmt.Fprintf(&b, "reason  %s\n", e.Reason)
	}
	for i, step := range e.Steps {
		label := ""
		if i == 0 {
			label = "asked"
		}
		fmt.Fprintf(&b, "%-7s %-5s %s\n", label, step.Verdict, step.Rule)
	}
	return b.String()
}

// engine compiles the rules of one server for one client; "" is a client without an override.
func (c *config) engine(serverName, client string) (server, *policy.Engine, error) {
	entry, ok := c.server(serverName)
	if !ok {
		return server{}, nil, c.noServer(serverName)
	}
	var layers []policy.Layer
	if client != "" {
		if known := c.clientNames(); c.Auth.Type != authOAuth && !slices.Contains(known, client) {
			return server{}, nil, fmt.Errorf("no client named %q: %s", client, nameOneOf(client, known, "the configuration has none"))
		}
		if override, ok := c.Clients[client].Servers[serverName]; ok {
			layers = append(layers, entry.Policy.Override(clientLabel(client), override))
		}
	}
	engine, err := policy.Compile(entry.Policy, layers...)
	if err != nil {
		return server{}, nil, fmt.Errorf("compile the policy of server %q: %w", serverName, err)
	}
	return entry, engine, nil
}

func clientLabel(client string) string { return "client " + client }

func (c *config) noServer(name string) error {
	if c.Path == "" {
		return fmt.Errorf("no server named %q: there is no configuration file: name one with --config", name)
	}
	return fmt.Errorf("no server named %q in %s: %s", name, c.Path, nameOneOf(name, c.serverNames(), "it has no servers"))
}

// rulePlace says where the rule of a decision stands in the file; "" for rules that no file spells.
func (c *config) rulePlace(entry server, client, rule string) string {
	path := join(entry.path, rule)
	if rest, ok := strings.CutPrefix(rule, clientLabel(client)+"."); ok {
		path = "clients." + client + ".servers." + entry.Name + "." + rest
	}
	for ; path != entry.path && path != ""; path = parentPath(path) {
		if where, ok := c.places[path]; ok {
			return fmt.Sprintf("%s:%d:%d", c.Path, where.line, where.column)
		}
	}
	return ""
}
