package main

import (
	"errors"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/wrap"
)

// wrapHub says what a wrapper has to do with a hub, nil for nothing. It looks into files only: no network, no keyring.
func wrapHub(t *hubTarget, w wrapped) (*wrap.Hub, error) {
	if t == nil {
		return nil, nil
	}
	state, err := stateDir()
	if err != nil {
		return nil, err
	}
	h := &wrap.Hub{
		Destination: t.Destination,
		Connect: func() (*uplink.Client, error) {
			if !t.present() {
				return nil, uplink.ErrNoHub
			}
			return t.client()
		},
		Dir:       state,
		Key:       t.Key,
		Principal: t.Principal,
		Required:  t.Required,
		Rules:     w.policy,
		Version:   buildVersion().Version,
	}
	if t.Destination == audit.LocalHub {
		h.Principal = uplink.LocalPrincipal
	}
	return h, nil
}

// wrapTarget finds the hub of a wrapper, nil for none.
func (a *app) wrapTarget(c *config, flag string) (*hubTarget, error) {
	t, err := a.hubFor(c, flag)
	if err == nil && t == nil && c.Hub.Required {
		return nil, errors.New("wrap: the configuration says hub.required, so --hub none is no choice")
	}
	return t, err
}

// destined makes a wrapper's audit log one that a team hub waits for. What is destined for nobody goes to the hub on this
// machine, if there ever is one.
func destined(opt audit.Options, t *hubTarget) audit.Options {
	if t != nil {
		opt.MaxPending = t.Pending
		if t.Destination != audit.LocalHub {
			opt.Hub = t.Destination
		}
	}
	return opt
}
