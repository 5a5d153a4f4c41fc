package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/examples/mock-mcp/mock"
)

// mockCommandName is the hidden command by which this binary is the demo's server.
const mockCommandName = "mock-server"

// mockCommand runs the mock server of examples/mock-mcp, so that the demo needs nothing but this binary.
func (a *app) mockCommand() *cobra.Command {
	return &cobra.Command{
		Use:    mockCommandName,
		Short:  "Run the mock MCP server that the demo wraps",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return mock.Serve(c.Context(), a.in, a.out, os.Getenv(mock.ControlVariable))
		},
	}
}
