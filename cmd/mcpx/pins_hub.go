package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// hubInUse is --hub without a value: the hub that wrappers use as well.
const hubInUse = "in use"

// A hubFlag is --hub of commands that work on this machine's pins without it.
type hubFlag struct{ value string }

func (f *hubFlag) add(command *cobra.Command) {
	command.Flags().StringVar(&f.value, "hub", "", "the pins that the hub in use has for all, or those of the hub at `URL`, in place of this machine's")
	command.Flags().Lookup("hub").NoOptDefVal = hubInUse
}

func (f *hubFlag) given() bool { return f.value != "" }

// name is what --hub of other commands would be.
func (f *hubFlag) name() string {
	if f.value == hubInUse {
		return ""
	}
	return f.value
}

// A hubPin is what a hub knows of one target: the definition that is approved for all, and those that were seen.
type hubPin struct {
	Server string
	integrity.Target
	Approved *hubDefinition   // nil: none
	Waiting  []*hubDefinition // seen since then, the earliest first
	Past     []*hubDefinition // seen before then, and not since: decided against
}

// A hubDefinition is one definition, whichever versions of the server gave it.
type hubDefinition struct {
	uplink.Proposal
	Versions []string // name and version of the servers that gave it
	State    hubState
	Omitted  bool // the hub did not send Definition: all of them together are too much
}

// A hubState is what became of a definition.
type hubState string

const (
	stateApproved hubState = "approved"
	stateNew      hubState = "new"      // nothing is approved under its name
	stateChanged  hubState = "changed"  // first seen after another one was approved
	stateOutdated hubState = "outdated" // known when another one was approved, and seen since: some did not follow
	statePast     hubState = "past"
)

// pinsAtHub asks a hub for what it knows of a server, of all with "".
func pinsAtHub(ctx context.Context, client *uplink.Client, t *hubTarget, server string) ([]hubPin, error) {
	reviews, err := client.Review(ctx, server)
	if err != nil {
		return nil, t.explain(err)
	}
	pins := []hubPin{}
	for _, r := range reviews {
		of, err := readReview(r)
		if err != nil {
			return nil, fmt.Errorf("server %q at the hub %s: %w", r.Server, t, err)
		}
		pins = append(pins, of...)
	}
	slices.SortStableFunc(pins, func(a, b hubPin) int { return cmp.Compare(a.Server, b.Server) })
	return pins, nil
}

// readReview sorts what was proposed for a server by target, in the order in which people are shown it. What a person reads
// here must be what is approved by its digest, so a definition that has another one is refused.
func readReview(r uplink.Review) ([]hubPin, error) {
	known := make(map[integrity.Target]map[string]*hubDefinition)
	for _, p := range r.Items {
		kind, err := integrity.ParseKind(p.Kind)
		if err != nil {
			return nil, err
		}
		t := integrity.Target{Kind: kind, Name: p.Name}
		whole, err := shown(t, p)
		if err != nil {
			return nil, err
		}
		if known[t] == nil {
			known[t] = make(map[string]*hubDefinition)
		}
		d := known[t][p.Digest].with(p)
		d.Omitted = !whole
		known[t][p.Digest] = d
	}
	pins := make([]hubPin, 0, len(known))
	for t, definitions := range known {
		pins = append(pins, newHubPin(r.Server, t, definitions))
	}
	slices.SortFunc(pins, func(a, b hubPin) int {
		return cmp.Or(cmp.Compare(kindOrder(a.Kind), kindOrder(b.Kind)), cmp.Compare(a.Name, b.Name))
	})
	return pins, nil
}

// shown reports whether the hub sent the definition, and refuses one that is not that of its digest.
func shown(t integrity.Target, p uplink.Proposal) (bool, error) {
	digest, err := integrity.DigestOf(t, p.Definition)
	switch {
	case err == nil && digest == p.Digest:
		return true, nil
	case string(p.Definition) == "null": // it was left out; for what has no instructions it would have been the case above
		return false, nil
	case err != nil:
		return false, err
	default:
		return false, fmt.Errorf("%s: the definition that it shows has the digest %s, not %s", t, digest, p.Digest)
	}
}

func kindOrder(k integrity.Kind) int {
	return slices.Index([]integrity.Kind{integrity.Instructions, integrity.Tools, integrity.Prompts}, k)
}

// with joins what is known of a definition with one more proposal of it: each version of the server made one.
func (d *hubDefinition) with(p uplink.Proposal) *hubDefinition {
	version := serverVersion(p.ServerInfo)
	if d == nil {
		d = &hubDefinition{Proposal: p}
	} else {
		d.By = append(slices.Clone(d.By), p.By...)
		if p.First.Before(d.First) {
			d.First = p.First
		}
		if p.Last.After(d.Last) {
			d.Last = p.Last
		}
		if p.Approved {
			d.Approved, d.ApprovedBy, d.ApprovedAt = true, p.ApprovedBy, p.ApprovedAt
		}
	}
	slices.Sort(d.By)
	d.By = slices.Compact(d.By)
	if version != "" && !slices.Contains(d.Versions, version) {
		d.Versions = append(d.Versions, version)
		slices.Sort(d.Versions)
	}
	return d
}

// serverVersion gives what a server calls itself, "" if it said nothing.
func serverVersion(info []byte) string {
	name, _ := jsonrpc.Text(jsonrpc.Member(info, "name"))
	version, _ := jsonrpc.Text(jsonrpc.Member(info, "version"))
	return strings.TrimSpace(string(name) + " " + string(version))
}

func newHubPin(server string, t integrity.Target, definitions map[string]*hubDefinition) hubPin {
	pin := hubPin{Server: server, Target: t}
	for _, d := range definitions {
		if d.Approved {
			d.State, pin.Approved = stateApproved, d
		}
	}
	byFirst := func(a, b *hubDefinition) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.Digest, b.Digest))
	}
	for _, d := range slices.SortedFunc(maps.Values(definitions), byFirst) {
		switch {
		case d.Approved:
			continue
		case pin.Approved == nil:
			d.State = stateNew
		case d.First.After(pin.Approved.ApprovedAt):
			d.State = stateChanged
		case d.Last.After(pin.Approved.ApprovedAt):
			d.State = stateOutdated
		default:
			d.State = statePast
			pin.Past = append(pin.Past, d)
			continue
		}
		pin.Waiting = append(pin.Waiting, d)
	}
	return pin
}

// fresh are the definitions that nobody has decided about.
func (p *hubPin) fresh() []*hubDefinition {
	var list []*hubDefinition
	for _, d := range p.Waiting {
		if d.State != stateOutdated {
			list = append(list, d)
		}
	}
	return list
}

// base is what a waiting definition is compared with: the approved one, else the first of those that wait, else nothing.
func (p *hubPin) base(d *hubDefinition) *hubDefinition {
	switch {
	case p.Approved != nil:
		return p.Approved
	case len(p.Waiting) > 0 && p.Waiting[0] != d:
		return p.Waiting[0]
	default:
		return nil
	}
}

func (p *hubPin) changes(d *hubDefinition) []integrity.Change {
	base := p.base(d)
	if d.Omitted || base != nil && base.Omitted {
		return nil
	}
	if base != nil {
		return integrity.Diff(base.Definition, d.Definition)
	}
	return integrity.Diff(nil, d.Definition)
}

// withHub runs do with a client of the hub that is meant.
func (a *app) withHub(flag string, do func(*uplink.Client, *hubTarget) error) error {
	client, target, err := a.hubClient(flag)
	if err != nil {
		return err
	}
	defer client.Close()
	return do(client, target)
}

// pinsOfHub hands what the hub knows of the server that args begin with, or of all servers, to do.
func (a *app) pinsOfHub(ctx context.Context, f hubFlag, args []string, do func(*uplink.Client, *hubTarget, []hubPin) error) error {
	for _, arg := range args {
		if strings.Contains(arg, "://") {
			return fmt.Errorf("%q names no server: the address of a hub goes with a sign, --hub=%s", arg, arg)
		}
	}
	return a.withHub(f.name(), func(client *uplink.Client, t *hubTarget) error {
		pins, err := findHubPins(ctx, client, t, args)
		if err != nil {
			return err
		}
		return do(client, t, pins)
	})
}

// findHubPins gives the pins of the server that args begin with, at least one, or those of all servers.
func findHubPins(ctx context.Context, client *uplink.Client, t *hubTarget, args []string) ([]hubPin, error) {
	if len(args) == 0 {
		return pinsAtHub(ctx, client, t, "")
	}
	if uplink.ValidServer(args[0]) {
		if pins, err := pinsAtHub(ctx, client, t, args[0]); err != nil || len(pins) > 0 {
			return pins, err
		}
	}
	return findAtHub(ctx, client, t, args[0])
}

// findAtHub is findPinned for the servers of a hub: it gives the pins of the only server that is named NAME@ and a digest.
func findAtHub(ctx context.Context, client *uplink.Client, t *hubTarget, name string) ([]hubPin, error) {
	pins, err := pinsAtHub(ctx, client, t, "")
	if err != nil {
		return nil, err
	}
	var servers []string
	for _, p := range pins {
		if !slices.Contains(servers, p.Server) {
			servers = append(servers, p.Server)
		}
	}
	found, remedy := onlyUnnamed(servers, name, "no wrapper has told it yet what a server lists; that happens when a client lists the tools of a wrapped server")
	if found != "" {
		return slices.DeleteFunc(pins, func(p hubPin) bool { return p.Server != found }), nil
	}
	return nil, fmt.Errorf("the hub %s knows no server %q: %s", t, name, remedy)
}

// pinsNamed leaves the pins of the targets, all if there are none.
func pinsNamed(pins []hubPin, targets []integrity.Target) ([]hubPin, error) {
	if len(targets) == 0 {
		return pins, nil
	}
	var found []hubPin
	var errs []error
	for _, t := range targets {
		i := slices.IndexFunc(pins, func(p hubPin) bool { return p.Target == t })
		if i < 0 {
			errs = append(errs, fmt.Errorf("no wrapper has seen %s of %q: see `mcpx pins list --hub`", t, pins[0].Server))
			continue
		}
		found = append(found, pins[i])
	}
	return found, errors.Join(errs...)
}

func (a *app) listHubPins(ctx context.Context, f hubFlag, args []string) error {
	return a.pinsOfHub(ctx, f, args, func(_ *uplink.Client, _ *hubTarget, pins []hubPin) error { return a.printHubPins(pins) })
}

func (a *app) diffHubPins(ctx context.Context, f hubFlag, args []string) error {
	return a.pinsOfHub(ctx, f, args, func(_ *uplink.Client, _ *hubTarget, pins []hubPin) error {
		if len(args) > 1 {
			names := args[1:]
			for _, name := range names {
				if !slices.ContainsFunc(pins, func(p hubPin) bool { return p.Kind != integrity.Instructions && p.Name == name }) {
					return fmt.Errorf("no wrapper has seen a tool or prompt %q of %q: see `mcpx pins list --hub`", name, pins[0].Server)
				}
			}
			pins = slices.DeleteFunc(pins, func(p hubPin) bool { return p.Kind == integrity.Instructions || !slices.Contains(names, p.Name) })
		}
		return a.printHubDiffs(pins)
	})
}
