package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/rohitgs28/mcpx/examples/mock-mcp/mock"
	"github.com/rohitgs28/mcpx/examples/mock-mcp/play"
)

// TestMain lets the test binary pose as mcpx and as mock-mcp, which are in the PATH of every test, beside each other.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"mcpx":           main,
		mockName:         mockMain,
		chaosServerName:  chaosServerMain,
		tracedServerName: tracedServerMain,
		fakeServerName:   fakeServerMain,
	})
}

// mockMain does what examples/mock-mcp does, except that it serves stdio unless told otherwise, and minds no arguments there.
func mockMain() {
	if err := runMock(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runMock(args []string) error {
	if len(args) == 2 && args[0] == "serve" {
		return serveMock(args[1])
	}
	if len(args) != 2 || args[0] != "play" {
		return mock.Serve(context.Background(), os.Stdin, os.Stdout, os.Getenv(mock.ControlVariable))
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return play.Run(context.Background(), play.Programs{MCPX: args[1], Mock: self}, os.Stdout, os.Stderr)
}

// serveMock serves over HTTP until it is killed or interrupted.
func serveMock(address string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return mock.ServeHTTP(ctx, listener, os.Getenv(mock.ControlVariable))
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       *update,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "until": until, "inscribe": inscribe},
		Setup: func(e *testscript.Env) error {
			for name, value := range isolated(e.WorkDir) {
				e.Setenv(name, value)
			}
			return nil
		},
	})
}

// exits runs a program that must end with a code: exits CODE PROGRAM [ARG…].
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if (got == want) == neg {
		ts.Fatalf("%q ended with %d, want %d", args[1:], got, want)
	}
}

// inscribe puts the script's folder, with slashes, in place of $WORK in files: inscribe FILE….
func inscribe(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := strings.ReplaceAll(ts.ReadFile(name), "$WORK", filepath.ToSlash(ts.Getenv("WORK")))
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// until runs a program again and again until it succeeds: until PROGRAM [ARG…].
func until(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.After(30 * time.Second)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := ts.Exec(args[0], args[1:]...)
		if (err == nil) != neg {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			ts.Fatalf("%q: %v, for too long", args, err)
		}
	}
}

// isolated is the environment that keeps a test from the configuration and state of whoever runs it.
func isolated(folder string) map[string]string {
	return map[string]string{
		"HOME": folder, "USERPROFILE": folder, "AppData": folder, "LocalAppData": folder,
		"XDG_CONFIG_HOME": folder + "/config", "XDG_STATE_HOME": folder + "/state", "XDG_RUNTIME_DIR": folder + "/run",
		"MCPX_CONFIG": "", "MCPX_STATE_DIR": "",
	}
}
