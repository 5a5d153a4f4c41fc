package hub

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/sony/gobreaker/v2"

	"github.com/rohitgs28/mcpx/hub/dashboard"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// allWrappers are those of a moment ago. Nobody changes what is in it.
func (d *dashboardSource) allWrappers(ctx context.Context) (uplink.Fleet, error) {
	return d.fleets.get(ctx, struct{}{}, func(ctx context.Context) (uplink.Fleet, error) {
		all, err := d.store.Fleet(ctx)
		if err != nil {
			return all, fmt.Errorf("list wrappers: %w", err)
		}
		return all, nil
	})
}

// alive counts the wrappers that are alive, and the events of the store, as they are now: who watches adds what arrives.
func (d *dashboardSource) alive(ctx context.Context) (wrappers int, events int64, err error) {
	all, err := d.store.Fleet(ctx)
	return aliveOf(all.Wrappers), all.Events, err
}

func aliveOf(wrappers []uplink.Wrapper) (n int) {
	for i := range wrappers {
		if wrappers[i].Alive {
			n++
		}
	}
	return n
}

// Fleet is all wrappers, those that are alive first, and the servers of the gateway.
func (d *dashboardSource) Fleet(ctx context.Context) (dashboard.Fleet, error) {
	all, err := d.allWrappers(ctx)
	if err != nil {
		return dashboard.Fleet{}, err
	}
	f := dashboard.Fleet{Wrappers: make([]dashboard.Wrapper, len(all.Wrappers))}
	for i := range all.Wrappers {
		f.Wrappers[i] = wrapperOf(&all.Wrappers[i])
	}
	slices.SortStableFunc(f.Wrappers, func(a, b dashboard.Wrapper) int {
		return cmp.Or(compareFlags(b.Alive, a.Alive), b.Seen.Compare(a.Seen))
	})
	s := d.hub.state.Load()
	for i := range s.cfg.Servers {
		server := &s.cfg.Servers[i]
		f.Gateway = append(f.Gateway, dashboard.GatewayServer{
			Name: server.Name, Transport: server.Transport, Breaker: s.routes[server.Name].breaker.word(), Mode: s.mode(server.Name),
		})
	}
	return f, nil
}

func wrapperOf(w *uplink.Wrapper) dashboard.Wrapper {
	client, clientVersion := nameAndVersion(w.ClientInfo)
	server, serverVersion := nameAndVersion(w.ServerInfo)
	return dashboard.Wrapper{
		Principal: w.Principal, Host: w.Host, User: w.User, Server: w.Server, Instance: w.Instance, Version: w.Version,
		Client: client, ClientVersion: clientVersion, ServerName: server, ServerVersion: serverVersion,
		PID: w.PID, Started: w.Started, Seen: w.Seen, Alive: w.Alive, Ended: w.Ended, Serial: w.Serial, Pending: w.Pending, Problems: w.Problems,
	}
}

// nameAndVersion reads what a client or a server calls itself.
func nameAndVersion(info []byte) (name, version string) {
	n, _ := jsonrpc.Text(jsonrpc.Member(info, "name"))
	v, _ := jsonrpc.Text(jsonrpc.Member(info, "version"))
	return string(n), string(v)
}

// word is the state of a breaker for people, "" without one.
func (b *breaker) word() string {
	if b == nil {
		return ""
	}
	switch b.machine.State() {
	case gobreaker.StateClosed:
		return "closed"
	case gobreaker.StateHalfOpen:
		return "half-open"
	default:
		return "open"
	}
}
