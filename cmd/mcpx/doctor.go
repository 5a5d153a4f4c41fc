package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// doctorPatience is how long one check may take.
const doctorPatience = 5 * time.Second

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is not covered, not reachable, changed or broken, and what to do about it",
		Long: `doctor looks at everything that has to fit together: the configuration, the audit log and what of it waits for a hub,
pins that wait for review, the hub and the rules kept of it, the MCP clients of this machine with their servers, and
whether those servers are there. It starts no server and changes no setting; of a server with a URL it asks whether
anything answers.

Exit codes: 0 all is well, 1 something has to be done.`,
		Example: "  mcpx doctor\n  mcpx doctor --json",
		Args:    operands(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context()) },
	}
}

// How much a finding matters.
const (
	wellFound    = "ok"
	noteFound    = "note" // worth knowing; nothing has to be done
	problemFound = "problem"
)

// A finding is one thing that the doctor says.
type finding struct {
	Check    string `json:"check"`
	Severity string `json:"severity"` // ok, note or problem
	What     string `json:"what"`
	Where    string `json:"where,omitempty"`
	Fix      string `json:"fix,omitempty"`
}

// A doctorReport is what `mcpx doctor --json` prints.
type doctorReport struct {
	OK       bool      `json:"ok"`
	Problems int       `json:"problems"`
	Findings []finding `json:"findings"`
}

// A check looks at one part. What it says of where and how is for people; it says nothing secret.
type check struct {
	name string
	run  func(context.Context) []finding
}

// doctor runs all checks at once, each within its time, and prints what they found in their order.
func (a *app) doctor(ctx context.Context) error {
	checks := a.checks()
	found := make([][]finding, len(checks))
	var running sync.WaitGroup
	for i, c := range checks {
		running.Go(func() { found[i] = c.within(ctx, doctorPatience) })
	}
	running.Wait()
	report := doctorReport{Findings: []finding{}}
	for _, findings := range found {
		for _, f := range findings {
			if f.Severity == problemFound {
				report.Problems++
			}
			report.Findings = append(report.Findings, f)
		}
	}
	report.OK = report.Problems == 0
	if a.json {
		if err := a.printJSON(report); err != nil {
			return err
		}
	} else {
		a.printFindings(report)
	}
	if !report.OK {
		return &exitError{code: exitFailure}
	}
	return nil
}

// within runs a check, and says so where it does not end in time. What reads files or asks a keyring knows no deadline: it is
// left to itself, and ends with us.
func (c check) within(ctx context.Context, patience time.Duration) []finding {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	done := make(chan []finding, 1)
	go func() { done <- c.run(ctx) }()
	var found []finding
	select {
	case found = <-done:
	case <-ctx.Done():
		select { // what the deadline made end by itself says more
		case found = <-done:
		case <-time.After(patience / 10):
			found = []finding{{Severity: problemFound, What: fmt.Sprintf("this check did not end within %v", patience), Fix: "look at the disk, the network and the keyring"}}
		}
	}
	for i := range found {
		found[i].Check = c.name
	}
	return found
}

func (a *app) printFindings(report doctorReport) {
	last := ""
	for _, f := range report.Findings {
		if f.Check != last {
			fmt.Fprintln(a.out, f.Check)
			last = f.Check
		}
		fmt.Fprintf(a.out, "  %-7s  %s\n", f.Severity, oneLine(f.What))
		if f.Where != "" {
			fmt.Fprintf(a.out, "           in %s\n", oneLine(f.Where))
		}
		if f.Fix != "" {
			fmt.Fprintf(a.out, "           → %s\n", oneLine(f.Fix))
		}
	}
	if report.OK {
		fmt.Fprintln(a.out, "all is well")
		return
	}
	fmt.Fprintln(a.out, count(report.Problems, "problem"))
}
