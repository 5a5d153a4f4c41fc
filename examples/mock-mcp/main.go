// Command mock-mcp is an MCP server over stdio for demonstrations and tests, and the client that
// drives it through mcpx in `mcpx demo`: see README.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/rohitgs28/mcpx/examples/mock-mcp/mock"
	"github.com/rohitgs28/mcpx/examples/mock-mcp/play"
)

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 0:
		err = mock.Serve(context.Background(), os.Stdin, os.Stdout, os.Getenv(mock.ControlVariable))
	case len(args) == 2 && args[0] == "play":
		err = demo(args[1])
	default:
		fmt.Fprintln(os.Stderr, "usage: mock-mcp            serve MCP on stdin and stdout\n       mock-mcp play MCPX  play the demo with the mcpx of that file")
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mock-mcp:", err)
		os.Exit(1)
	}
}

// demo plays with ourselves as the server.
func demo(mcpx string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // so that nothing is left behind
	defer stop()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	return play.Run(ctx, play.Programs{MCPX: mcpx, Mock: self}, os.Stdout, os.Stderr)
}
