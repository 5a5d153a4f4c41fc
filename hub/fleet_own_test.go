package hub_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// The hub's own log reaches its store like any other, up to the last event.
func TestOwnLogIsStoredToTheEnd(t *testing.T) {
	b := newBackend(t)
	dir := shortDir(t)
	g := startTeam(t, config(hub.Server{Name: "b", URL: b.URL, Policy: policy.Config{DenyTools: []string{"dangerous_*"}}}), func(_ *hub.Options, opt *audit.Options) {
		opt.Config, opt.DefaultDir, opt.StateDir, opt.Hub = audit.Config{}, filepath.Join(dir, "audit"), filepath.Join(dir, "state"), audit.LocalHub
	})
	g.post("b", callTool(1, "echo"))
	g.post("b", callTool(2, "dangerous_delete"))
	g.stop()
	var inFiles []string
	for r, err := range audit.Read(filepath.Join(dir, "audit"), time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		inFiles = append(inFiles, r.ID)
	}
	if len(inFiles) < 4 {
		t.Fatalf("%d events in files", len(inFiles))
	}
	page, err := g.store.Events(t.Context(), store.Filter{}, 1000, "")
	events := page.Events
	if err != nil || len(events) != len(inFiles) {
		t.Fatalf("%d of %d events are stored, %v", len(events), len(inFiles), err)
	}
	for i, e := range events {
		if want := inFiles[len(inFiles)-1-i]; e.ID != want || e.Principal != uplink.LocalPrincipal {
			t.Errorf("event %d is %s of %q, want %s", i, e.ID, e.Principal, want)
		}
	}
	if problems, n, err := g.store.Verify(t.Context()); err != nil || len(problems) > 0 || int(n) != len(inFiles) {
		t.Errorf("verify: %d events, %v, %v", n, problems, err)
	}
}

// What waits of the hub's own log is counted: a store that cannot take it, or has no time to, is seen.
func TestOwnEventsThatWaitAreCounted(t *testing.T) {
	b := newBackend(t)
	dir := shortDir(t)
	g := startTeam(t, config(hub.Server{Name: "b", URL: b.URL}), func(_ *hub.Options, opt *audit.Options) {
		opt.Config, opt.DefaultDir, opt.StateDir, opt.Hub = audit.Config{}, filepath.Join(dir, "audit"), filepath.Join(dir, "state"), audit.LocalHub
	})
	g.post("b", callTool(1, "echo"))
	eventually(t, "a store with all events", func() bool {
		return g.metric("mcpx_events_waiting") == "0" && g.metric("mcpx_events_stored_total") != "0"
	})
	if err := g.store.Close(); err != nil {
		t.Fatal(err)
	}
	g.post("b", callTool(2, "echo"))
	eventually(t, "an event that waits", func() bool { return g.metric("mcpx_events_waiting") == "2" })
}
