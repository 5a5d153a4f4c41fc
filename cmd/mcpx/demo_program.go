package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The demo's client and server are not linked into mcpx: the libraries that they are made of would cost every wrapper
// of every client time and memory. See TestDemoIsNotLinked.
const (
	mockName    = "mock-mcp"
	ourModule   = "github.com/rohitgs28/mcpx"
	mockPackage = ourModule + "/examples/" + mockName
)

// patience is how long building may take before it is mentioned.
const patience = 2 * time.Second

// mockProgram finds the program that lies beside mcpx's own file, as in a release, or builds it in a temporary folder,
// which remove deletes.
func (a *app) mockProgram(ctx context.Context, self string) (file string, remove func(), err error) {
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	file = filepath.Join(filepath.Dir(self), programFile(mockName))
	if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
		return file, func() {}, nil
	}
	folder, err := os.MkdirTemp("", "mcpx-demo-build-")
	if err != nil {
		return "", nil, fmt.Errorf("make a folder for the demo's program: %w", err)
	}
	remove = func() { _ = os.RemoveAll(folder) }
	if err := a.buildMock(ctx, folder); err != nil {
		remove()
		if ctx.Err() != nil {
			return "", nil, errors.New("the demo was interrupted")
		}
		return "", nil, fmt.Errorf("the demo needs the program %s: there is no %s, and it cannot be built: %w", mockName, file, err)
	}
	return filepath.Join(folder, programFile(mockName)), remove, nil
}

func programFile(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}

// buildMock has Go build the program into folder.
func (a *app) buildMock(ctx context.Context, folder string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("there is no Go in the PATH: install Go, or put %s of the same release beside mcpx", mockName)
	}
	args, err := buildArgs(currentModules(ctx), buildVersion().Version, folder)
	if err != nil {
		return err
	}
	command := interruptible(ctx, "go", args...)
	// For this machine, whatever else the user builds for. GOBIN is where `go install` puts what it builds; GOTMPDIR is
	// what an interrupted build leaves behind.
	command.Env = append(os.Environ(), "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH, "GOBIN="+folder, "GOTMPDIR="+folder)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := a.runPatiently(command); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(output.Bytes()))
	}
	return nil
}

// runPatiently runs a build, and says that it does if it takes long.
func (a *app) runPatiently(build *exec.Cmd) error {
	done := make(chan error, 1)
	go func() { done <- build.Run() }()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		fmt.Fprintln(a.err, "mcpx: Go builds the demo's client and server, which takes long only the first time")
		return <-done
	}
}

// currentModules gives the main modules of the folder we are in; there may be none.
func currentModules(ctx context.Context) []string {
	out, err := exec.CommandContext(ctx, "go", "list", "-m").Output()
	if err != nil {
		return nil
	}
	return strings.Fields(string(out))
}

// buildArgs are the arguments of a go command that builds the program into folder: from the source at hand if we are
// inside of it, otherwise from the release that we are.
func buildArgs(modules []string, version, folder string) ([]string, error) {
	if slices.Contains(modules, ourModule) {
		return []string{"build", "-buildvcs=false", "-o", filepath.Join(folder, programFile(mockName)), mockPackage}, nil
	}
	if strings.HasPrefix(version, "v") && !strings.Contains(version, "+") { // +dirty: built from changed source
		return []string{"install", mockPackage + "@" + version}, nil
	}
	return nil, errors.New("this mcpx is no release: run `mcpx demo` in the folder of its source, or build " + mockName +
		" there and put it beside mcpx")
}
