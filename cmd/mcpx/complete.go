package main

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/integrity"
)

// What a shell completes comes from the configuration in use and the pins beside it. A file that
// cannot be read completes nothing: a shell is no place for its errors.

func (c *config) serverNames() []string {
	var names []string
	for _, s := range c.Servers {
		names = append(names, s.Name)
	}
	return names
}

func (c *config) clientNames() []string {
	names := slices.Collect(maps.Keys(c.Clients))
	for _, client := range c.Auth.Clients {
		names = append(names, client.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (a *app) completeServers(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.serverNames(), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeClients(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.clientNames(), cobra.ShellCompDirectiveNoFileComp
}

// completeTools offers the tools that the server of --server has pinned.
func (a *app) completeTools(command *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	path, err := a.lockPath()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	file, err := integrity.Open(path)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	server, _ := command.Flags().GetString("server") // "" where the command has no such flag
	var names []cobra.Completion
	for _, entry := range file.Entries(server) {
		if entry.Kind == integrity.Tools {
			names = append(names, entry.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
