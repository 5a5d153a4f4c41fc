package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// A hubProcess is `mcpx hub` without a configuration.
type hubProcess struct {
	cmd    *exec.Cmd
	addr   string
	client *uplink.Client // as its administrator
}

// startHub starts a hub and waits until it answers.
func startHub(ctx context.Context, mcpx string, h *home) (*hubProcess, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &hubProcess{addr: free.Addr().String()}
	if err := free.Close(); err != nil {
		return nil, err
	}
	p.cmd = exec.CommandContext(ctx, mcpx, "hub", "--listen", p.addr, "--log-level", "warn")
	p.cmd.Env, p.cmd.Dir, p.cmd.Stderr = h.env(), h.dir, os.Stderr
	if p.client, err = uplink.NewClient(uplink.Options{Socket: filepath.Join(h.state(), "hub.sock")}); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err = p.client.Identity(ctx); err == nil {
			return p, nil
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("the hub does not answer: %w", err), p.stop())
		}
	}
}

func (p *hubProcess) stop() error {
	p.client.Close()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.cmd.Wait()
}

// settled waits until the hub has got all that is on its way, and returns how many events it has.
func (p *hubProcess) settled(ctx context.Context) (int64, error) {
	const quiet = 700 * time.Millisecond // longer than events are gathered for before they are sent
	last, since := int64(-1), time.Now()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		f, err := p.client.Fleet(ctx)
		if err != nil {
			return 0, err
		}
		if f.Events != last {
			last, since = f.Events, time.Now()
		}
		if time.Since(since) > quiet {
			return last, nil
		}
	}
	return 0, errors.New("events still come after two minutes")
}
