package main

import (
	"context"
	"os/exec"
)

// startBrowser opens an address in the user's browser. It returns once that has been handed over. Where a program stays until its
// browser is closed, that is when ctx ends: the program goes on.
func startBrowser(ctx context.Context, address string) error {
	name, args := browserCommand(address)
	program, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	command := exec.Command(program, args...) // without ctx: the browser outlives us
	if err := command.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}
