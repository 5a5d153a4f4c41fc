// Command mock-mcp is an MCP server for demonstrations and tests, over HTTP or stdio, and the client that
// drives it through mcpx in `mcpx demo`: see README.md.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/rohitgs28/mcpx/examples/mock-mcp/mock"
	"github.com/rohitgs28/mcpx/examples/mock-mcp/play"
)

// defaultAddress is where the gateway of examples/demo.yaml looks for the server.
const defaultAddress = "127.0.0.1:3001"

const usage = `usage: mock-mcp [serve [ADDRESS]]  serve MCP over HTTP, on ` + defaultAddress + `
       mock-mcp stdio              serve MCP on stdin and stdout
       mock-mcp play MCPX          play the demo with the mcpx of that file`

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 0:
		err = serve(defaultAddress)
	case args[0] == "serve" && len(args) <= 2:
		err = serve(append(args, defaultAddress)[1])
	case args[0] == "stdio" && len(args) == 1:
		err = mock.Serve(context.Background(), os.Stdin, os.Stdout, os.Getenv(mock.ControlVariable))
	case args[0] == "play" && len(args) == 2:
		err = demo(args[1])
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mock-mcp:", err)
		os.Exit(1)
	}
}

func serve(address string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Fprintf(os.Stderr, "mock-mcp serves http://%s%s\n", listener.Addr(), mock.Path)
	return mock.ServeHTTP(ctx, listener, os.Getenv(mock.ControlVariable))
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
