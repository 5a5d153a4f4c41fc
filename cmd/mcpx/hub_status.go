package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
)

func (a *app) hubStatus() *cobra.Command {
	var flag string
	var all bool
	command := &cobra.Command{
		Use:   "status",
		Short: "Show which wrappers are alive, and what needs a person",
		Long: `Status asks the hub who it is and whom it takes us for. To administrators (the hub's own user, and tokens that were made
with --admin) it also shows the wrappers that are alive, what is wrong with the records that they send, and which
definitions wait for approval.`,
		Args: operands(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withHub(flag, func(client *uplink.Client, t *hubTarget) error {
				report, err := askStatus(c.Context(), client, t)
				if err != nil {
					return t.explain(err)
				}
				return a.printStatus(report, all, time.Now())
			})
		},
	}
	addHubFlag(command, &flag)
	command.Flags().BoolVar(&all, "all", false, "also wrappers that have ended or fallen silent")
	return command
}

// A statusReport is what --json prints.
type statusReport struct {
	Hub      string          `json:"hub"`
	Identity uplink.Identity `json:"identity"`
	Fleet    *uplink.Fleet   `json:"fleet,omitempty"`   // administrators only
	Waiting  []waitingReport `json:"waiting,omitempty"` // administrators only
	Trouble  string          `json:"trouble,omitempty"` // why Waiting could not be told
}

// A waitingReport says how many definitions of a server nobody has decided about.
type waitingReport struct {
	Server      string `json:"server"`
	Definitions int    `json:"definitions"`
}

func askStatus(ctx context.Context, client *uplink.Client, t *hubTarget) (*statusReport, error) {
	r := &statusReport{Hub: t.String()}
	var err error
	if r.Identity, err = client.Identity(ctx); err != nil || !r.Identity.Admin {
		return r, err
	}
	fleet, err := client.Fleet(ctx)
	if err != nil {
		return nil, err
	}
	r.Fleet = &fleet
	slices.SortStableFunc(fleet.Wrappers, func(a, b uplink.Wrapper) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Host, b.Host), a.Started.Compare(b.Started))
	})
	pins, err := pinsAtHub(ctx, client, t, "")
	if err != nil { // the rest is worth having
		r.Trouble = err.Error()
		return r, nil
	}
	waiting := make(map[string]int)
	var servers []string
	for i := range pins {
		if n := len(pins[i].fresh()); n > 0 {
			if waiting[pins[i].Server] == 0 {
				servers = append(servers, pins[i].Server)
			}
			waiting[pins[i].Server] += n
		}
	}
	for _, s := range servers {
		r.Waiting = append(r.Waiting, waitingReport{s, waiting[s]})
	}
	return r, nil
}

func (a *app) printStatus(r *statusReport, all bool, now time.Time) error {
	if a.json {
		return a.printJSON(r)
	}
	id := &r.Identity
	table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	line := func(name, value string) { fmt.Fprintf(table, "%s\t%s\n", name, value) }
	line("hub", oneLine(r.Hub))
	line("version", oneLine(dash(id.Version)))
	line("key", id.Key.String())
	line("we are", whoWeAre(id))
	if id.Dashboard != "" {
		line("dashboard", oneLine(id.Dashboard)+": `mcpx dashboard` opens it")
	}
	if r.Fleet != nil {
		alive := 0
		for i := range r.Fleet.Wrappers {
			if r.Fleet.Wrappers[i].Alive {
				alive++
			}
		}
		line("events", strconv.FormatInt(r.Fleet.Events, 10)+" in the store")
		line("wrappers", fmt.Sprintf("%d alive, %d ended", alive, len(r.Fleet.Wrappers)-alive))
		line("waiting", whatWaits(r))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print status: %w", err)
	}
	if r.Fleet == nil {
		fmt.Fprintln(a.out, "\nwrappers, records and what waits are shown to administrators: the hub's own user, and tokens that were made with --admin")
		return nil
	}
	return errors.Join(a.printWrappers(r.Fleet.Wrappers, all, now), a.printBadChains(r.Fleet.Chains))
}

func whoWeAre(id *uplink.Identity) string {
	text := oneLine(id.Principal)
	if id.Admin {
		text += ", an administrator"
	}
	if len(id.Servers) > 0 {
		text += ", for " + oneLine(strings.Join(id.Servers, ", "))
	}
	if !id.Expires.IsZero() {
		text += ", until " + stamp(id.Expires)
	}
	return text
}

func whatWaits(r *statusReport) string {
	if r.Trouble != "" {
		return "unknown: " + oneLine(r.Trouble)
	}
	if len(r.Waiting) == 0 {
		return "nothing"
	}
	var parts []string
	for _, w := range r.Waiting {
		parts = append(parts, fmt.Sprintf("%s of %s", count(w.Definitions, "definition"), integrity.Visible(w.Server)))
	}
	return strings.Join(parts, ", ") + ": see `mcpx pins diff --hub`"
}

// printWrappers prints a line for each wrapper, and below it what it could not do.
func (a *app) printWrappers(list []uplink.Wrapper, all bool, now time.Time) error {
	list = slices.DeleteFunc(slices.Clone(list), func(w uplink.Wrapper) bool { return !w.Alive && !all })
	if len(list) == 0 {
		return nil
	}
	fmt.Fprintln(a.out)
	table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVER\tSTATE\tFOR\tHOST\tUSER\tCLIENT\tVERSION\tSEEN\tPENDING")
	for i := range list {
		w := &list[i]
		for _, cell := range []string{
			w.Server, wrapperState(w), w.Principal, w.Host, w.User, serverVersion(w.ClientInfo), w.Version, ago(now.Sub(w.Seen)),
		} {
			fmt.Fprintf(table, "%s\t", cut(oneLine(dash(cell))))
		}
		fmt.Fprintln(table, w.Pending)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print wrappers: %w", err)
	}
	for i := range list {
		for _, problem := range list[i].Problems {
			fmt.Fprintf(a.out, "%s for %s on %s: %s\n", oneLine(list[i].Server), oneLine(list[i].Principal), oneLine(dash(list[i].Host)), oneLine(problem))
		}
	}
	return nil
}

// cut keeps what somebody calls himself from pushing the rest of a line out of sight.
func cut(s string) string {
	const most = 40
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}

func wrapperState(w *uplink.Wrapper) string {
	switch {
	case w.Ended:
		return "ended"
	case !w.Alive:
		return "silent"
	case len(w.Problems) > 0:
		return "troubled"
	default:
		return "alive"
	}
}

func (a *app) printBadChains(chains []uplink.Chain) error {
	chains = slices.DeleteFunc(slices.Clone(chains), func(c uplink.Chain) bool { return c.Problems == 0 })
	if len(chains) == 0 {
		return nil
	}
	fmt.Fprintln(a.out, "\nRecords that are not what was written, or not whole (`mcpx hub events --kind anomaly` tells more):")
	table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "OF\tCHAIN\tPROBLEMS\tEVENTS\tLAST")
	for _, c := range chains {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\n", oneLine(c.Principal), oneLine(c.Chain), c.Problems, c.Events, stamp(c.Last))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print chains: %w", err)
	}
	return nil
}

// ago shows how long something is past, in one unit.
func ago(d time.Duration) string {
	switch {
	case d < 0:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd ago", int(d.Hours()/24))
	}
}
