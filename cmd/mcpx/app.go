package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// An app is one invocation: its streams and the flags that every subcommand shares.
type app struct {
	in       io.Reader
	out, err io.Writer

	configPath string // --config; empty: search as SPEC says
	logLevel   string // --log-level
	json       bool   // --json, where a machine may read the output
}

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
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.Execute()
	if err == nil {
		return 0
	}
	code := 1
	if exit, ok := errors.AsType[*exitError](err); ok {
		code, err = exit.code, exit.err
	}
	if err != nil {
		fmt.Fprintln(a.err, "mcpx: "+err.Error())
	}
	return code
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "mcpx",
		Short:         "Secure MCP servers",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	return root
}
