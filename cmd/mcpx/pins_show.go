package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/rohitgs28/mcpx/integrity"
)

// A pinReport is one pin as --json prints it.
type pinReport struct {
	Server   string      `json:"server"`
	Kind     string      `json:"kind"`           // tool, prompt or instructions
	Name     string      `json:"name,omitempty"` // absent: instructions
	Status   string      `json:"status"`         // same, added, changed, removed, twin or malformed
	Approved bool        `json:"approved"`       // by a person
	Pinned   string      `json:"pinned,omitempty"`
	Pending  string      `json:"pending,omitempty"`
	Changes  []pinChange `json:"changes,omitempty"` // diff and approve only
}

type pinChange struct {
	Path string          `json:"path"`
	Old  json.RawMessage `json:"old,omitempty"` // absent: was not there
	New  json.RawMessage `json:"new,omitempty"` // absent: is not there any more
}

func reportPins(entries []integrity.Entry, changes bool) []pinReport {
	list := make([]pinReport, len(entries))
	for i, e := range entries {
		list[i] = pinReport{Server: e.Server, Kind: e.Kind.String(), Name: e.Name, Status: e.Status.String(),
			Approved: e.Approved, Pinned: e.PinnedDigest, Pending: e.PendingDigest}
		if !changes {
			continue
		}
		for _, c := range pinChanges(e) {
			list[i].Changes = append(list[i].Changes, pinChange{Path: c.Path, Old: c.Old, New: c.New})
		}
	}
	return list
}

// pinChanges compares what is pinned with what waits for review.
func pinChanges(e integrity.Entry) []integrity.Change {
	switch e.Status {
	case integrity.Changed, integrity.Added, integrity.Removed:
		return integrity.Diff(e.Pinned, e.Pending)
	default:
		return nil
	}
}

func (a *app) printPins(entries []integrity.Entry) error {
	if a.json {
		return a.printJSON(reportPins(entries, false))
	}
	if len(entries) == 0 {
		fmt.Fprintln(a.out, "nothing is pinned yet")
		return nil
	}
	table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVER\tKIND\tNAME\tSTATE\tDIGEST")
	for _, e := range entries {
		digest := e.PinnedDigest
		if digest == "" {
			digest = e.PendingDigest
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", integrity.Visible(e.Server), e.Kind,
			cmp.Or(integrity.Visible(e.Name), "-"), pinWord(e), cmp.Or(shortDigest(digest), "-"))
	}
	return table.Flush()
}

// pinWord says in a word what became of a pin.
func pinWord(e integrity.Entry) string {
	switch e.Status {
	case integrity.Same:
		if e.Approved {
			return "approved"
		}
		return "pinned"
	case integrity.Added:
		return "new"
	default:
		return e.Status.String()
	}
}

// pinState says it in a sentence where a word is not enough.
func pinState(e integrity.Entry) string {
	switch e.Status {
	case integrity.Added:
		return "new, not approved"
	case integrity.Twin:
		return "its name is listed twice, or beside a look-alike; none of them is delivered"
	case integrity.Malformed:
		return "its definition reads differently to different clients; it is not delivered"
	default:
		return pinWord(e)
	}
}

// shortDigest keeps what tells digests apart for a reader; --json prints all of it.
func shortDigest(digest string) string {
	version, hex, _ := strings.Cut(digest, ":")
	if len(hex) <= 12 {
		return digest
	}
	return version + ":" + hex[:12]
}

func (a *app) printPinDiffs(entries []integrity.Entry) error {
	waiting := []integrity.Entry{}
	for _, e := range entries {
		if e.Status != integrity.Same {
			waiting = append(waiting, e)
		}
	}
	if a.json {
		return a.printJSON(reportPins(waiting, true))
	}
	if len(waiting) == 0 {
		fmt.Fprintln(a.out, "everything is as pinned")
	}
	a.writePinDiffs(waiting)
	return nil
}

func (a *app) writePinDiffs(entries []integrity.Entry) {
	apart := false // the entry before showed more than a line
	for _, e := range entries {
		if apart {
			fmt.Fprintln(a.out)
		}
		fmt.Fprintf(a.out, "%s: %s: %s\n", integrity.Visible(e.Server), e.Target, pinState(e))
		diff := ""
		if e.Status != integrity.Removed { // else the server says nothing that could be compared
			diff = integrity.FormatDiff(pinChanges(e))
		}
		for line := range strings.Lines(diff) {
			fmt.Fprint(a.out, "  "+line)
		}
		apart = diff != ""
	}
}

func (a *app) printApproved(server string, done []integrity.Entry) error {
	if a.json {
		return a.printJSON(reportPins(done, true))
	}
	if len(done) == 0 {
		fmt.Fprintf(a.out, "nothing of %s waits for review\n", integrity.Visible(server))
		return nil
	}
	a.writePinDiffs(done)
	fmt.Fprintf(a.out, "approved %s\n", count(len(done), "definition"))
	return nil
}

func (a *app) printReset(server string, done []integrity.Entry) error {
	if a.json {
		return a.printJSON(reportPins(done, false))
	}
	for _, e := range done {
		fmt.Fprintf(a.out, "forgot %s\n", e.Target)
	}
	fmt.Fprintf(a.out, "reset %s of %s\n", count(len(done), "pin"), integrity.Visible(server))
	return nil
}
