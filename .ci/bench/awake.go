package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// awake starts a process that keeps every CPU busy, at the priority that gives way to everything else, until the function that
// it returns is called. Without, what is measured is how long CPUs take to wake up: a call that a busy hub has kept them awake
// for takes a third of the time of one that comes to an idle machine.
func awake(ctx context.Context) (end func(), err error) {
	cmd := exec.CommandContext(ctx, direct()[0], "spin")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // whose end is that of the process, also where we are killed
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	end = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		end()
		return nil, fmt.Errorf("keep the CPUs awake: %w", err)
	}
	return end, nil
}

// spin is that process.
func spin(in io.Reader, out io.Writer) error {
	n := runtime.NumCPU()
	runtime.GOMAXPROCS(n + 1) // one more reads
	ready := make(chan error, n)
	for range n {
		go func() {
			runtime.LockOSThread()
			ready <- unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
			for began := time.Now(); time.Since(began) < time.Hour; {
			}
		}()
	}
	for range n {
		if err := <-ready; err != nil {
			return err
		}
	}
	if _, err := out.Write([]byte{'.'}); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, in)
	return err
}
