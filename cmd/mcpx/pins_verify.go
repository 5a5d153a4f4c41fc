package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/integrity"
)

func (a *app) pinsVerify() *cobra.Command {
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "verify [SERVER] [-- COMMAND ARGS...]",
		Short: "Say by the exit code whether servers are as pinned (for CI)",
		Long: `Without a COMMAND, verify looks at what wrappers have seen: is anything waiting for review? With one it starts
that server, lists its tools, prompts and instructions, compares them with the pins of SERVER, and stops it
again. It pins nothing and writes nothing. Without SERVER it is the one as which wrap would start the
COMMAND, or the only one that is pinned.

Exit codes: 0 as pinned, 10 something was added, 11 changed (also: a twin, a malformed definition),
12 removed, 1 it could not be found out. Where several apply: 11 before 12 before 10.`,
		Example: `  mcpx pins verify
  mcpx pins verify filesystem -- npx -y @modelcontextprotocol/server-filesystem /data`,
		Args: func(c *cobra.Command, args []string) error {
			if named, argv := splitAtDash(c, args); len(named) > 1 || argv != nil && len(argv) == 0 {
				return errors.New("give at most one SERVER, and a COMMAND after --")
			}
			return nil
		},
		ValidArgsFunction: a.completePins,
		RunE: func(c *cobra.Command, args []string) error {
			named, argv := splitAtDash(c, args)
			if argv == nil {
				return a.verifyStored(named)
			}
			ctx, stop := liveContext(c, timeout)
			defer stop()
			return a.verifyLive(ctx, named, argv)
		},
	}
	liveTimeout(command, &timeout)
	return command
}

// splitAtDash gives the arguments before and after --; argv is nil where there is none.
func splitAtDash(c *cobra.Command, args []string) (named, argv []string) {
	dash := c.ArgsLenAtDash()
	if dash < 0 {
		return args, nil
	}
	return args[:dash], append([]string{}, args[dash:]...)
}

// A driftReport is what `pins verify --json` prints.
type driftReport struct {
	Status string  `json:"status"` // same, added, changed or removed: the gravest
	Code   int     `json:"code"`   // the exit code
	Drifts []drift `json:"drifts"` // what is not as pinned
}

type drift struct {
	Server string `json:"server"`
	Kind   string `json:"kind"`
	Name   string `json:"name,omitempty"`
	Status string `json:"status"`
	Detail string `json:"detail,omitempty"`

	status integrity.Status
}

func (a *app) verifyStored(named []string) error {
	entries, path, err := a.pinEntries(named)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return fmt.Errorf("nothing is pinned in %q: there is nothing to verify", path)
	}
	var drifts []drift
	for _, e := range entries {
		if e.Status != integrity.Same {
			drifts = append(drifts, newDrift(e.Server, e.Kind, e.Name, e.Status, ""))
		}
	}
	return a.reportDrifts(drifts)
}

func (a *app) verifyLive(ctx context.Context, named, argv []string) error {
	file, err := a.openPins()
	if err != nil {
		return err
	}
	server, err := a.pinnedServer(file, named, argv)
	if err != nil {
		return err
	}
	live, err := listLive(ctx, argv, a.err)
	if err != nil {
		return fmt.Errorf("list what %q offers: %w", argv[0], err)
	}
	found := []integrity.Finding{file.CheckInstructions(server, live.instructions, live.instructions != nil)}
	found = append(found, file.Check(server, integrity.Tools, live.tools)...)
	found = append(found, file.Check(server, integrity.Prompts, live.prompts)...)
	var drifts []drift
	for _, f := range found {
		if f.Status != integrity.Same {
			drifts = append(drifts, newDrift(server, f.Kind, f.Name, f.Status, f.Detail))
		}
	}
	return a.reportDrifts(drifts)
}

// pinnedServer gives the server that is meant: the one that is named, else the one as which wrap would start
// the command, else the only one.
func (a *app) pinnedServer(file *integrity.File, named, argv []string) (string, error) {
	if len(named) == 1 {
		return findPinned(file, named[0])
	}
	c, err := a.loadConfig()
	if err != nil {
		return "", err
	}
	servers := file.Servers()
	if w, err := pickWrapped(c, wrapFlags{}, argv); err == nil && slices.Contains(servers, w.pins) {
		return w.pins, nil
	}
	switch len(servers) {
	case 0:
		return "", fmt.Errorf("nothing is pinned in %q: there is nothing to verify", file.Path())
	case 1:
		return servers[0], nil
	default:
		return "", fmt.Errorf("several servers are pinned in %q: name one, %s", file.Path(), choices(servers))
	}
}

func newDrift(server string, kind integrity.Kind, name string, status integrity.Status, detail string) drift {
	return drift{Server: server, Kind: kind.String(), Name: name, Status: status.String(), Detail: detail, status: status}
}

func (a *app) reportDrifts(drifts []drift) error {
	status, code := gravest(drifts)
	if a.json {
		if err := a.printJSON(driftReport{Status: status.String(), Code: code, Drifts: append([]drift{}, drifts...)}); err != nil {
			return err
		}
	} else {
		a.writeDrifts(drifts)
	}
	if code == 0 {
		return nil
	}
	return &exitError{code: code}
}

func (a *app) writeDrifts(drifts []drift) {
	if len(drifts) == 0 {
		fmt.Fprintln(a.out, "everything is as pinned")
	}
	for _, d := range drifts {
		line := fmt.Sprintf("%s: %s", integrity.Visible(d.Server), d.Kind)
		if d.Name != "" {
			line += fmt.Sprintf(" %+q", d.Name)
		}
		line += " " + d.Status
		if d.Detail != "" {
			line += ": " + d.Detail
		}
		fmt.Fprintln(a.out, line)
	}
}

// gravest gives the status that decides the exit code. What is none of the known drifts counts as changed.
func gravest(drifts []drift) (integrity.Status, int) {
	status, code := integrity.Same, 0
	for _, d := range drifts {
		switch d.status {
		case integrity.Added:
			if code == 0 {
				status, code = integrity.Added, exitAdded
			}
		case integrity.Removed:
			if code != exitChanged {
				status, code = integrity.Removed, exitRemoved
			}
		default:
			status, code = integrity.Changed, exitChanged
		}
	}
	return status, code
}
