package hub

import (
	"context"
	"net/http"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// serveRevoked lists what was revoked, by server.
func (f *fleet) serveRevoked(w *recorder, _ *http.Request, c *caller, named []string) error {
	all := make(map[string][]uplink.Revocation)
	for server, ruling := range *f.rulings.Load() {
		if (named[0] == "" || named[0] == server) && c.covers(server) && len(ruling.Revoked) > 0 {
			all[server] = ruling.Revoked
		}
	}
	return f.give(w, all)
}

// serveRevoke takes a tool away from everybody.
func (f *fleet) serveRevoke(w *recorder, r *http.Request, c *caller, named []string) error {
	server := named[0]
	if err := c.about(server); err != nil {
		return err
	}
	var v uplink.Revocation
	if err := f.take(w, r, &v); err != nil {
		return err
	}
	if v.Tool == "" || len(v.Tool) > maxPinName || len(v.Reason) > maxWords {
		return badRequest("a tool is needed, and a reason of some words at most")
	}
	for _, layer := range revokedLayers([]uplink.Revocation{v}) {
		if err := layer.Config.Validate(); err != nil {
			return badRequest("no tool can have this name")
		}
	}
	v.By, v.At = c.Name, time.Now().UTC()
	ctx, cancel := context.WithTimeout(r.Context(), storePatience)
	defer cancel()
	if err := f.store.Revoke(ctx, server, v); err != nil {
		return stored(err, "")
	}
	detail := append(jsonrpc.AppendString([]byte(`{"reason":`), v.Reason), '}')
	return f.settle(w, server, c, &audit.Event{Kind: audit.Integrity, Reason: "tool_revoked", Target: []byte(v.Tool), Detail: detail})
}

// serveRestore gives it back.
func (f *fleet) serveRestore(w *recorder, r *http.Request, c *caller, named []string) error {
	server, tool := named[0], named[1]
	if err := c.about(server); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), storePatience)
	defer cancel()
	if err := f.store.Restore(ctx, server, tool); err != nil {
		return stored(err, "this tool was not revoked")
	}
	return f.settle(w, server, c, &audit.Event{Kind: audit.Integrity, Reason: "tool_restored", Target: []byte(tool)})
}
