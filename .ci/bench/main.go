// Command bench measures what a hub costs: the calls that pass through a wrapper, the wrapper itself, and the hub that takes
// the events of many. See run, which builds what it needs.
//
// It measures real processes on this machine, each with a state folder of its own. Only what is compared within one run means
// anything on a machine that does other things as well.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A plan says how much is measured.
type plan struct {
	mcpx, before string // programs; before may be none

	rounds  int           // of each kind of call
	round   time.Duration // of calls
	starts  int
	backlog int64         // bytes of events that a wrapper catches up on
	idle    time.Duration // in which a wrapper does nothing
	events  int           // that a hub takes
	chains  int           // from so many wrappers
}

var (
	usual = plan{rounds: 12, round: 500 * time.Millisecond, starts: 60, backlog: 100 << 20, idle: 20 * time.Second, events: 400_000, chains: 8}
	quick = plan{rounds: 2, round: 100 * time.Millisecond, starts: 3, backlog: 2 << 20, idle: time.Second, events: 4000, chains: 2}
)

// A row is one line of the table. target is what is to hold, "" where nothing was promised.
type row struct {
	what, value, target string
	missed              bool
}

type measurement struct {
	name string
	run  func(context.Context, plan) ([]row, error)
}

// measurements are all there are, in the order in which they run.
var measurements = []measurement{
	{"latency", measureLatency},
	{"start", measureStart},
	{"memory", measureMemory},
	{"idle", measureIdle},
	{"ingest", measureIngest},
}

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "serve":
		err = serve(os.Stdin, os.Stdout)
	case len(os.Args) == 2 && os.Args[1] == "spin":
		err = spin(os.Stdin, os.Stdout)
	default:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		err = run(ctx)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	mcpx := flag.String("mcpx", "", "`FILE` of the mcpx that is measured")
	before := flag.String("before", "", "`FILE` of an older mcpx to compare starts and idling with")
	smoke := flag.Bool("quick", false, "do each thing once or twice, and judge no number: only that all of it works")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: bench -mcpx FILE [-before FILE] [-quick] [latency] [start] [memory] [idle] [ingest]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *mcpx == "" {
		return errors.New("-mcpx: name the program to measure")
	}
	p := usual
	if *smoke {
		p = quick
	}
	p.mcpx, p.before = *mcpx, *before
	var rows []row
	for _, name := range flag.Args() {
		if !slices.ContainsFunc(measurements, func(m measurement) bool { return m.name == name }) {
			return fmt.Errorf("there is no measurement %q", name)
		}
	}
	for _, m := range measurements {
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), m.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring", m.name)
		got, err := m.run(ctx, p)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		rows = append(rows, got...)
	}
	missed := show(rows, *smoke)
	if missed > 0 {
		return fmt.Errorf("%d of the targets are missed", missed)
	}
	return nil
}

// show prints the table and returns how many targets are missed.
func show(rows []row, smoke bool) (missed int) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		verdict := ""
		switch {
		case smoke:
			r.target = ""
		case r.target == "":
		case r.missed:
			missed++
			verdict = "MISSED"
		default:
			verdict = "ok"
		}
		fmt.Fprintln(w, strings.TrimRight(r.what+"\t"+r.value+"\t"+r.target+"\t"+verdict, "\t"))
	}
	w.Flush()
	return missed
}

// quantile returns the value below which the share q of all lies. It sorts them.
func quantile[T cmp.Ordered](values []T, q float64) (v T) {
	if len(values) == 0 {
		return v
	}
	slices.Sort(values)
	return values[min(int(q*float64(len(values))), len(values)-1)]
}
