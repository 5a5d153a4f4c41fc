package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// A recordChoice says which part of which record a command reads.
type recordChoice struct {
	server, client string // * stands for any text
	since, until   moment
	hub            string
	copied         bool
}

func (r *recordChoice) flags(command *cobra.Command) {
	f := command.Flags()
	f.StringVar(&r.server, "server", "", "only events of this `SERVER`; * stands for any text")
	f.StringVar(&r.client, "client", "", "only events of this `CLIENT` of a gateway")
	f.Var(&r.since, "since", "only events from this `TIME` on, or so long ago")
	f.Var(&r.until, "until", "only events before this `TIME`, or so long ago")
	f.StringVar(&r.hub, "hub", "", "read what all wrappers have sent to the hub at `URL`, or local")
	f.BoolVar(&r.copied, "copied", false, "the logs are from another machine or were moved: do not ask how long they should be, so nobody knows whether they are cut")
	for _, name := range []string{"server", "client", "since", "until"} {
		_ = command.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	_ = command.RegisterFlagCompletionFunc("hub", cobra.FixedCompletions([]cobra.Completion{hubLocal}, cobra.ShellCompDirectiveNoFileComp))
}

// A record is what was written down, to be read from the beginning as often as it takes.
type record struct {
	events  iter.Seq2[*audit.Record, error]
	flaws   []string // why it is not what happened
	lacking []string // why there may have been more
}

// maxFlaws is how many flaws of a record are told. What follows the first few seldom says more.
const maxFlaws = 5

// open finds the record and checks that it is what was written.
func (r *recordChoice) open(ctx context.Context, a *app, paths []string) (*record, error) {
	if r.hub != "" {
		if len(paths) > 0 {
			return nil, &exitError{exitUsage, fmt.Errorf("--hub and %q: give one of them", paths[0])}
		}
		return r.fromHub(ctx, a)
	}
	if r.until.IsZero() {
		r.until.Time = time.Now() // what is being written meanwhile would be in one reading and not in the other
	}
	named := len(paths) > 0
	if !named {
		path, err := a.auditPath()
		if err != nil {
			return nil, err
		}
		paths = []string{path}
	}
	heads := ""
	if !r.copied {
		state, err := stateDir()
		if err != nil {
			return nil, err
		}
		heads = filepath.Join(state, headsName)
	}
	result, err := audit.Verify(heads, paths...)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return nil, fmt.Errorf("there is no record yet in %q: put mcpx wrap in front of a server, and use it", paths[0])
	}
	if err != nil {
		return nil, err
	}
	out := &record{events: func(yield func(*audit.Record, error) bool) {
		for _, path := range paths {
			for event, err := range audit.Read(path, r.since.Time) {
				if (err != nil || r.wants(event)) && !yield(event, err) {
					return
				}
			}
		}
	}}
	for i, p := range result.Problems {
		if i == maxFlaws {
			out.flaws = append(out.flaws, fmt.Sprintf("%d more problems: see mcpx audit verify", len(result.Problems)-i))
			break
		}
		out.flaws = append(out.flaws, "the record is not what was written: "+p.String())
	}
	for _, c := range result.Chains {
		for _, note := range c.Lacking {
			if len(out.lacking) < maxFlaws {
				out.lacking = append(out.lacking, "the record may lack events of "+c.Name+": "+note)
			}
		}
	}
	return out, nil
}

func (r *recordChoice) wants(e *audit.Record) bool {
	return like(r.server, e.Server) && like(r.client, e.Client) && (r.until.IsZero() || e.Time.Before(r.until.Time))
}

// maxFromHub bounds the events of a hub that are held, since a hub gives the newest first.
const maxFromHub = 1_000_000

func (r *recordChoice) fromHub(ctx context.Context, a *app) (*record, error) {
	client, _, err := a.hubClient(r.hub)
	if err != nil {
		return nil, err
	}
	search := uplink.Search{Since: r.since.Time, Until: r.until.Time, Limit: uplink.MaxFound}
	if !strings.Contains(r.server, "*") {
		search.Server = r.server
	}
	var lines []string // the newest first
	out := &record{}
	for found, err := range foundEvents(ctx, client, search) {
		if err != nil {
			return nil, err
		}
		e := found.record
		if found.Flaw != "" && len(out.flaws) < maxFlaws {
			out.flaws = append(out.flaws, fmt.Sprintf("%s at event %d of chain %s of %s", found.Flaw, e.Seq, found.Chain, found.Principal))
		}
		if !r.wants(e) || e.Kind != audit.Decision && e.Kind != audit.Outcome {
			continue
		}
		if lines = append(lines, found.Line); len(lines) > maxFromHub {
			return nil, fmt.Errorf("the hub has more than %d such events: choose fewer with --since or --server", maxFromHub)
		}
	}
	out.events = func(yield func(*audit.Record, error) bool) {
		for _, line := range slices.Backward(lines) {
			if !yield(audit.Parse([]byte(line))) {
				return
			}
		}
	}
	return out, nil
}
