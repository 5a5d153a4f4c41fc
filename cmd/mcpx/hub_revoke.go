package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
)

// hubAdminCommands are those of `mcpx hub` that ask a hub which runs.
func (a *app) hubAdminCommands() []*cobra.Command {
	return []*cobra.Command{a.hubStatus(), a.hubEvents(), a.hubRevoke(), a.hubRestore(), a.hubRevoked()}
}

// addHubFlag adds --hub to a command that cannot do without a hub.
func addHubFlag(command *cobra.Command, value *string) {
	command.Flags().StringVar(value, "hub", "", "the hub at `URL`, or local; default: the one of the configuration or of `mcpx login`, else this machine's own")
	_ = command.RegisterFlagCompletionFunc("hub", cobra.NoFileCompletions)
}

func (a *app) hubRevoke() *cobra.Command {
	var flag, reason string
	command := &cobra.Command{
		Use:   "revoke SERVER TOOL",
		Short: "Take a tool away from everybody, at once",
		Long: `Revoke denies a tool to all who use the hub: running wrappers refuse it within a second and tell their clients to list again,
those that start later refuse it within a second as well, or from their start if the hub had told this machine before, also
offline. It needs no restart and changes no configuration. What policies and pins say is not touched.`,
		Example:           `  mcpx hub revoke filesystem write_file --reason "CVE-2026-12345"`,
		Args:              operands(2, 2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withHub(flag, func(client *uplink.Client, t *hubTarget) error {
				return a.revoke(c.Context(), client, t, args[0], uplink.Revocation{Tool: args[1], Reason: reason})
			})
		},
	}
	addHubFlag(command, &flag)
	command.Flags().StringVar(&reason, "reason", "", "why: `TEXT` for the record and for mcpx hub revoked")
	return command
}

// A revocationReport is one revocation as --json prints it.
type revocationReport struct {
	Server string    `json:"server"`
	Tool   string    `json:"tool"`
	Reason string    `json:"reason,omitempty"`
	By     string    `json:"by,omitempty"`
	At     time.Time `json:"at,omitzero"`
	Seen   *bool     `json:"seen,omitempty"` // revoke only: whether a wrapper has seen a tool of that name
}

func (a *app) revoke(ctx context.Context, client *uplink.Client, t *hubTarget, server string, r uplink.Revocation) error {
	if !uplink.ValidServer(server) {
		return fmt.Errorf("%q is no name of a server: see `mcpx hub status`", server)
	}
	pins, err := pinsAtHub(ctx, client, t, server)
	if err != nil {
		return err
	}
	if len(pins) == 0 { // wrapped without a name?
		if found, err := findAtHub(ctx, client, t, server); err == nil {
			pins, server = found, found[0].Server
		}
	}
	if err := client.Revoke(ctx, server, r); err != nil {
		return t.explain(err)
	}
	var tools []string
	for _, p := range pins {
		if p.Kind == integrity.Tools {
			tools = append(tools, p.Name)
		}
	}
	seen := slices.Contains(tools, r.Tool)
	if a.json {
		return a.printJSON(revocationReport{Server: server, Tool: r.Tool, Reason: r.Reason, Seen: &seen})
	}
	fmt.Fprintf(a.out, "revoked %s of %s for all\n", integrity.Visible(r.Tool), server)
	if !seen {
		remedy := ""
		if guess := nearest(r.Tool, tools); guess != "" {
			remedy = fmt.Sprintf(": did you mean %s? Then `mcpx hub restore` takes this one back", guess)
		}
		a.complain(fmt.Errorf("note: no wrapper has seen a tool %q of %q yet%s", r.Tool, server, remedy))
	}
	return nil
}

func (a *app) hubRestore() *cobra.Command {
	var flag string
	command := &cobra.Command{
		Use:               "restore SERVER TOOL",
		Short:             "Give a revoked tool back",
		Long:              `Restore ends a revocation. The tool is then judged by policies and pins again, as before.`,
		Args:              operands(2, 2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withHub(flag, func(client *uplink.Client, t *hubTarget) error {
				return a.restore(c.Context(), client, t, args[0], args[1])
			})
		},
	}
	addHubFlag(command, &flag)
	return command
}

func (a *app) restore(ctx context.Context, client *uplink.Client, t *hubTarget, server, tool string) error {
	if !uplink.ValidServer(server) {
		return fmt.Errorf("%q is no name of a server: see `mcpx hub revoked`", server)
	}
	err := client.Restore(ctx, server, tool)
	if status, ok := errors.AsType[*uplink.StatusError](err); ok && status.Status == http.StatusNotFound {
		return fmt.Errorf("tool %q of %q is not revoked: see `mcpx hub revoked`", tool, server)
	}
	if err != nil {
		return t.explain(err)
	}
	if a.json {
		return a.printJSON(revocationReport{Server: server, Tool: tool})
	}
	fmt.Fprintf(a.out, "restored %s of %s\n", integrity.Visible(tool), server)
	return nil
}

func (a *app) hubRevoked() *cobra.Command {
	var flag string
	command := &cobra.Command{
		Use:               "revoked [SERVER]",
		Short:             "List the tools that are revoked",
		Args:              operands(0, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			server := ""
			if len(args) > 0 {
				if server = args[0]; !uplink.ValidServer(server) {
					return fmt.Errorf("%q is no name of a server", server)
				}
			}
			return a.withHub(flag, func(client *uplink.Client, t *hubTarget) error {
				revoked, err := client.Revoked(c.Context(), server)
				if err != nil {
					return t.explain(err)
				}
				return a.printRevoked(revoked)
			})
		},
	}
	addHubFlag(command, &flag)
	return command
}

func (a *app) printRevoked(revoked map[string][]uplink.Revocation) error {
	list := []revocationReport{}
	for _, server := range slices.Sorted(maps.Keys(revoked)) {
		for _, r := range revoked[server] {
			list = append(list, revocationReport{Server: server, Tool: r.Tool, Reason: r.Reason, By: r.By, At: r.At})
		}
	}
	if a.json {
		return a.printJSON(list)
	}
	if len(list) == 0 {
		fmt.Fprintln(a.out, "nothing is revoked")
		return nil
	}
	table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVER\tTOOL\tSINCE\tBY\tREASON")
	for _, r := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", integrity.Visible(r.Server), integrity.Visible(r.Tool), stamp(r.At),
			dash(integrity.Visible(r.By)), dash(integrity.Visible(r.Reason)))
	}
	return table.Flush()
}

// stamp shows a moment to people; --json prints all of it.
func stamp(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.Local().Format("2006-01-02 15:04:05")
}
