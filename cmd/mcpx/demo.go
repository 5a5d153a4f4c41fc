package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// cleanUp is how long the demo and its build may take to remove their files once they are interrupted.
const cleanUp = 5 * time.Second

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show mcpx at work between a real client and a mock server",
		Long: `Demo starts ` + "`mcpx wrap`" + ` with a policy around a mock server, drives it with a real MCP client, and tells
what the client sees: a filtered list, calls that pass and calls that do not, a tool whose definition
changes in the middle of the session, and the record of it all. It needs no configuration, and works in
a folder of its own that it removes.

Client and server are a program of their own, mock-mcp. Where it does not lie beside mcpx, Go builds it:
from the source in the folder where you are, or else from the release that this mcpx is.

Exit codes: 0 everything went as told, 1 something did not.`,
		Args: operands(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return a.demo(ctx)
		},
	}
}

// demo lets mock-mcp play with this mcpx, and ends as it does.
func (a *app) demo(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	mock, remove, err := a.mockProgram(ctx, self)
	if err != nil {
		return err
	}
	defer remove()
	command := interruptible(ctx, mock, "play", self)
	command.Stdout, command.Stderr = a.out, a.err
	err = command.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		return &exitError{code: exit.ExitCode()} // it has said why
	}
	if err != nil {
		return fmt.Errorf("run %q: %w", mock, err)
	}
	return nil
}

// interruptible makes a command that is interrupted, and not killed at once, when ctx ends.
func interruptible(ctx context.Context, name string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, name, args...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = cleanUp
	return command
}
