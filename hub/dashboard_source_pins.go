package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/hub/dashboard"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// Pins is what was seen of a server, of all with "", for people to approve.
func (d *dashboardSource) Pins(ctx context.Context, server string) ([]dashboard.PinServer, error) {
	reviews, err := d.store.Review(ctx, server)
	if err != nil {
		return nil, pageError(err)
	}
	servers := make([]dashboard.PinServer, 0, len(reviews))
	for i := range reviews {
		s, err := pinServerOf(&reviews[i])
		if err != nil {
			return nil, fmt.Errorf("server %q: %w", reviews[i].Server, err)
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// pinServerOf sorts what was seen of a server by kind and name.
func pinServerOf(r *uplink.Review) (dashboard.PinServer, error) {
	s := dashboard.PinServer{Name: r.Server}
	for _, group := range byTarget(r.Items) {
		name, err := pinNameOf(group)
		if err != nil {
			return s, err
		}
		switch {
		case !name.Approved:
			s.Added++
		case slices.ContainsFunc(group, group.since):
			s.Changed++
		}
		s.Names = append(s.Names, name)
	}
	slices.SortStableFunc(s.Names, func(a, b dashboard.PinName) int {
		return cmp.Or(cmp.Compare(kindOrder(a.Kind), kindOrder(b.Kind)), cmp.Compare(a.Name, b.Name))
	})
	return s, nil
}

// kindOrder is the order in which people are shown what a server offers.
func kindOrder(kind string) int {
	return slices.Index([]string{integrity.Instructions.String(), integrity.Tools.String(), integrity.Prompts.String()}, kind)
}

// A pinGroup is all definitions that were seen under one name: the approved one first, then the one that was seen last.
type pinGroup []uplink.Proposal

func byTarget(items []uplink.Proposal) []pinGroup {
	at := make(map[[2]string]int)
	var groups []pinGroup
	for _, item := range items {
		target := [2]string{item.Kind, item.Name}
		i, known := at[target]
		if !known {
			i = len(groups)
			at[target] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], item)
	}
	for _, g := range groups {
		slices.SortStableFunc(g, func(a, b uplink.Proposal) int {
			return cmp.Or(compareFlags(b.Approved, a.Approved), b.Last.Compare(a.Last))
		})
	}
	return groups
}

// since reports whether a definition other than the approved one was seen since that was approved.
func (g pinGroup) since(p uplink.Proposal) bool { return !p.Approved && p.Last.After(g[0].ApprovedAt) }

func pinNameOf(group pinGroup) (dashboard.PinName, error) {
	name := dashboard.PinName{Kind: group[0].Kind, Name: group[0].Name, Approved: group[0].Approved}
	base := []byte(group[0].Definition)
	for i, p := range group {
		whole, err := definitionShown(&p)
		if err != nil {
			return name, err
		}
		c := dashboard.PinCandidate{
			PinRef:   dashboard.PinRef{Kind: p.Kind, Name: p.Name, Digest: p.Digest},
			Approved: p.Approved, ApprovedBy: p.ApprovedBy, ApprovedAt: p.ApprovedAt,
			First: p.First, Last: p.Last, By: p.By, ServerVersion: versionText(p.ServerInfo),
		}
		if whole {
			c.Definition = string(p.Definition)
		}
		switch {
		case !whole || p.Approved:
		case i == 0:
			c.Changes = changesOf(integrity.Diff(nil, p.Definition))
		case name.Candidates[0].Definition != "":
			c.Changes = changesOf(integrity.Diff(base, p.Definition))
		}
		name.Candidates = append(name.Candidates, c)
	}
	return name, nil
}

// definitionShown reports whether the store gave the definition, and refuses one that is not that of its digest: what a person
// reads must be what is approved.
func definitionShown(p *uplink.Proposal) (bool, error) {
	kind, err := integrity.ParseKind(p.Kind)
	if err != nil {
		return false, err
	}
	t := integrity.Target{Kind: kind, Name: p.Name}
	digest, err := integrity.DigestOf(t, p.Definition)
	switch {
	case err == nil && digest == p.Digest:
		return true, nil
	case string(p.Definition) == "null":
		return false, nil
	default:
		return false, fmt.Errorf("%s: the store was changed: the definition in it is not that of the digest %s", t, p.Digest)
	}
}

func versionText(info []byte) string {
	name, version := nameAndVersion(info)
	return strings.TrimSpace(name + " " + version)
}

func changesOf(changes []integrity.Change) []dashboard.Change {
	shown := make([]dashboard.Change, len(changes))
	for i, c := range changes {
		shown[i] = dashboard.Change{Path: c.Path, Old: readable(c.Old), New: readable(c.New)}
	}
	return shown
}

// readable is the text of a JSON string, else the JSON.
func readable(value []byte) string {
	if text, ok := jsonrpc.Text(value); ok {
		return string(text)
	}
	return string(value)
}

// Approve approves definitions for all who use a server, as the call under /v1 does.
func (d *dashboardSource) Approve(ctx context.Context, who, server string, items []dashboard.PinRef) error {
	a := uplink.Approval{Items: make([]uplink.ApprovalItem, len(items))}
	for i, item := range items {
		a.Items[i] = uplink.ApprovalItem(item)
	}
	err := d.fleet.approve(ctx, server, &caller{Token: store.Token{Name: who, Admin: true}}, a)
	d.waiting.forget()
	d.overviews.forget()
	refused, ok := errors.AsType[*refusal](err)
	switch {
	case err == nil || !ok:
		return err
	case refused.status == http.StatusNotFound:
		return fmt.Errorf("%w: %s", dashboard.ErrNotFound, refused.message)
	case refused.status < http.StatusInternalServerError:
		return fmt.Errorf("%w: %s", dashboard.ErrInvalid, refused.message)
	default:
		d.fleet.log.Error().Err(err).Str("server", server).Time("at", time.Now()).Msg("an approval failed")
		return err
	}
}
