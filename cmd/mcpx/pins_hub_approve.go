package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
)

// An approval is a definition that a person approves for all.
type approval struct {
	pin        hubPin
	definition *hubDefinition
}

// approveHubPins approves what is named of a server at the hub, or all that waits. If one of them cannot be, none is.
func (a *app) approveHubPins(ctx context.Context, f hubFlag, server string, pick pinTargets, tools []string, digest string) error {
	pick.all = pick.all || !pick.any(tools)
	targets, err := pick.targets(tools)
	if err != nil {
		return err
	}
	if digest != "" && len(targets) != 1 {
		return errors.New("--digest goes with the name of one tool, --prompt or --instructions")
	}
	return a.pinsOfHub(ctx, f, []string{server}, func(client *uplink.Client, t *hubTarget, pins []hubPin) error {
		server = pins[0].Server
		pins, err := pinsNamed(pins, targets)
		if err != nil {
			return err
		}
		chosen, err := choose(pins, digest, len(targets) > 0)
		if err != nil {
			return err
		}
		if len(chosen) == 0 {
			return a.printHubApproved(server, nil)
		}
		var items []uplink.ApprovalItem
		for _, c := range chosen {
			items = append(items, uplink.ApprovalItem{Kind: c.pin.Kind.String(), Name: c.pin.Name, Digest: c.definition.Digest})
		}
		if err := client.Approve(ctx, server, uplink.Approval{Items: items}); err != nil {
			return t.explain(err)
		}
		return a.printHubApproved(server, chosen)
	})
}

// choose picks the definition of each pin that is meant: that of the digest, else the only one that nobody has decided about.
func choose(pins []hubPin, digest string, named bool) ([]approval, error) {
	var list []approval
	var errs []error
	for _, pin := range pins {
		d, err := pin.choose(digest, named)
		if d != nil && d.Omitted {
			err = fmt.Errorf("the hub does not show %s of %q, %s: it is not approved unseen", pin.Target, pin.Server, shortDigest(d.Digest))
		}
		errs = append(errs, err)
		if d != nil {
			list = append(list, approval{pin, d})
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return list, nil
}

// choose returns nil where there is nothing to approve.
func (p *hubPin) choose(digest string, named bool) (*hubDefinition, error) {
	if digest != "" {
		return p.chooseDigest(digest)
	}
	fresh := p.fresh()
	switch {
	case len(fresh) == 1:
		return fresh[0], nil
	case len(fresh) > 1:
		return nil, fmt.Errorf("%d different definitions of %s of %q wait: say which, with --digest%s", len(fresh), p.Target, p.Server, digestChoices(fresh))
	case named && len(p.Waiting) > 0: // back to what another one has replaced: not by accident
		return nil, fmt.Errorf("%s of %q: nothing is new since %s approved it; to go back, say to what, with --digest%s",
			p.Target, p.Server, p.Approved.ApprovedBy, digestChoices(p.Waiting))
	default:
		return nil, nil
	}
}

// chooseDigest finds a definition by the beginning of its digest, with or without the version before the colon.
func (p *hubPin) chooseDigest(prefix string) (*hubDefinition, error) {
	all := slices.Concat(p.Waiting, p.Past)
	if p.Approved != nil {
		all = append(all, p.Approved)
	}
	var found []*hubDefinition
	for _, d := range all {
		_, hex, _ := strings.Cut(d.Digest, ":")
		if strings.HasPrefix(d.Digest, prefix) || strings.HasPrefix(hex, prefix) {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("no definition of %s of %q has a digest that begins with %q: known are%s", p.Target, p.Server, prefix, digestChoices(all))
	case len(found) > 1:
		return nil, fmt.Errorf("%d definitions of %s of %q have a digest that begins with %q: give more of it%s", len(found), p.Target, p.Server, prefix, digestChoices(found))
	case found[0].State == stateApproved:
		return nil, nil
	default:
		return found[0], nil
	}
}

// digestChoices lists definitions below the line that asks to choose one.
func digestChoices(list []*hubDefinition) string {
	var b strings.Builder
	for _, d := range list {
		fmt.Fprintf(&b, "\n  %s  %s", shortDigest(d.Digest), witnesses(d))
	}
	return b.String()
}

// witnesses says who has seen a definition, and from which server.
func witnesses(d *hubDefinition) string {
	text := "seen by nobody any more"
	if len(d.By) > 0 {
		text = "seen by " + integrity.Visible(d.By[0])
	}
	if more := len(d.By) - 1; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if len(d.Versions) > 0 {
		text += ", from " + integrity.Visible(strings.Join(d.Versions, ", "))
	}
	return text
}
