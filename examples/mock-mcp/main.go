// Command mock-mcp is an MCP server over stdio for demonstrations and tests: see README.md.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/rohitgs28/mcpx/examples/mock-mcp/mock"
)

func main() {
	if err := mock.Serve(context.Background(), os.Stdin, os.Stdout, os.Getenv(mock.ControlVariable)); err != nil {
		fmt.Fprintln(os.Stderr, "mock-mcp:", err)
		os.Exit(1)
	}
}
