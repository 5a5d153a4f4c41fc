package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rohitgs28/mcpx/integrity"
)

// A hubPinReport is one definition that a hub knows, as --json prints it.
type hubPinReport struct {
	Server     string          `json:"server"`
	Kind       string          `json:"kind"`           // tool, prompt or instructions
	Name       string          `json:"name,omitempty"` // absent: instructions
	Status     hubState        `json:"status"`
	Digest     string          `json:"digest"`
	ApprovedBy string          `json:"approved_by,omitempty"`
	ApprovedAt time.Time       `json:"approved_at,omitzero"`
	First      time.Time       `json:"first,omitzero"`
	Last       time.Time       `json:"last,omitzero"`
	By         []string        `json:"by,omitempty"`
	Versions   []string        `json:"versions,omitempty"`
	Against    string          `json:"against,omitempty"` // digest of what changes compare with; absent: nothing
	Changes    []pinChange     `json:"changes,omitempty"`
	Definition json.RawMessage `json:"definition,omitempty"` // list only; absent: too much for all servers at once
}

func reportHubPin(p *hubPin, d *hubDefinition, changes bool) hubPinReport {
	r := hubPinReport{
		Server: p.Server, Kind: p.Kind.String(), Name: p.Name, Status: d.State, Digest: d.Digest, ApprovedBy: d.ApprovedBy,
		ApprovedAt: d.ApprovedAt, First: d.First, Last: d.Last, By: d.By, Versions: d.Versions,
	}
	if !changes {
		if !d.Omitted {
			r.Definition = json.RawMessage(d.Definition)
		}
		return r
	}
	if base := p.base(d); base != nil {
		r.Against = base.Digest
	}
	for _, c := range p.changes(d) {
		r.Changes = append(r.Changes, pinChange{Path: c.Path, Old: c.Old, New: c.New})
	}
	return r
}

func (a *app) printHubPins(pins []hubPin) error {
	if a.json {
		list := []hubPinReport{}
		for i := range pins {
			p := &pins[i]
			if p.Approved != nil {
				list = append(list, reportHubPin(p, p.Approved, false))
			}
			for _, d := range p.Waiting {
				list = append(list, reportHubPin(p, d, false))
			}
		}
		return a.printJSON(list)
	}
	if len(pins) == 0 {
		fmt.Fprintln(a.out, "no wrapper has told the hub yet what a server lists")
		return nil
	}
	table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVER\tKIND\tNAME\tSTATE\tDIGEST\tBY")
	row := func(p *hubPin, d *hubDefinition, by string) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", integrity.Visible(p.Server), p.Kind,
			cmp.Or(integrity.Visible(p.Name), "-"), d.State, shortDigest(d.Digest), by)
	}
	for i := range pins {
		p := &pins[i]
		if p.Approved != nil {
			row(p, p.Approved, cmp.Or(integrity.Visible(p.Approved.ApprovedBy), "-"))
		}
		for _, d := range p.Waiting {
			row(p, d, witnesses(d))
		}
	}
	return table.Flush()
}

func (a *app) printHubDiffs(pins []hubPin) error {
	var waiting []approval
	for _, p := range pins {
		for _, d := range p.Waiting {
			waiting = append(waiting, approval{p, d})
		}
	}
	if a.json {
		return a.printJSON(reportApprovals(waiting))
	}
	if len(waiting) == 0 {
		fmt.Fprintln(a.out, "everything is as the hub has approved")
	}
	a.writeHubDiffs(waiting)
	return nil
}

func reportApprovals(list []approval) []hubPinReport {
	reports := []hubPinReport{}
	for _, c := range list {
		reports = append(reports, reportHubPin(&c.pin, c.definition, true))
	}
	return reports
}

func (a *app) writeHubDiffs(list []approval) {
	for i, c := range list {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		state := string(c.definition.State)
		if c.definition.State == stateNew {
			state = "new, not approved"
		}
		fmt.Fprintf(a.out, "%s: %s: %s\n", integrity.Visible(c.pin.Server), c.pin.Target, state)
		fmt.Fprintf(a.out, "  %s, %s\n", shortDigest(c.definition.Digest), witnesses(c.definition))
		if base := c.pin.base(c.definition); base != nil && c.pin.Approved == nil {
			fmt.Fprintf(a.out, "  compared with %s\n", shortDigest(base.Digest))
		}
		if c.definition.Omitted {
			fmt.Fprintf(a.out, "  too much to show for all servers at once: `mcpx pins diff --hub %s`\n", integrity.Visible(c.pin.Server))
		}
		for line := range strings.Lines(integrity.FormatDiff(c.pin.changes(c.definition))) {
			fmt.Fprint(a.out, "  "+line)
		}
	}
}

func (a *app) printHubApproved(server string, done []approval) error {
	if a.json {
		return a.printJSON(reportApprovals(done))
	}
	if len(done) == 0 {
		fmt.Fprintf(a.out, "nothing of %s waits for review at the hub\n", integrity.Visible(server))
		return nil
	}
	a.writeHubDiffs(done)
	fmt.Fprintf(a.out, "approved %s for all\n", count(len(done), "definition"))
	return nil
}
