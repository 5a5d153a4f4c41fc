package hub

import (
	"fmt"
	"testing"

	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// What shadow mode let through is counted beside the calls, whoever decided, within the same bounds, and goes with its server.
func TestShadowDenialsAreCounted(t *testing.T) {
	m := testMetrics("files", "many", "gone")
	m.addFleet()
	rehearsed := func(tool string) *audit.Event {
		e := decision(tool, "allow", "policy.deny_tools[0]")
		e.Reason = policy.ShadowPrefix + "tool is denied"
		return e
	}
	watch := m.observe("files", "ann")
	watch(rehearsed("rm"))
	watch(rehearsed("rm"))
	watch(decision("rm", "allow", ""))
	denied := rehearsed("rm")
	denied.Decision = "deny"
	watch(denied)
	resource := rehearsed("file:///x")
	resource.Method = "resources/read"
	watch(resource)

	record := func(e *audit.Record) { m.fleet.record("ann", []*audit.Record{e}) }
	from := audit.Record{Source: wrapSource, Kind: audit.Decision, Server: "files", Method: "tools/call", Target: "rm", Decision: "allow", Reason: policy.ShadowPrefix + "x"}
	record(&from)
	for _, change := range []func(*audit.Record){
		func(e *audit.Record) { e.Reason = "" },
		func(e *audit.Record) { e.Decision = "deny" },
		func(e *audit.Record) { e.Kind = audit.Outcome },
		func(e *audit.Record) { e.Source = hubSource },
	} {
		other := from
		change(&other)
		record(&other)
	}
	wantScrape(t, m, `^mcpx_shadow_denials_total`,
		`mcpx_shadow_denials_total{server="files",source="hub",tool="rm"} 2`,
		`mcpx_shadow_denials_total{server="files",source="wrap",tool="rm"} 1`)

	many := m.observe("many", "ann")
	for i := range 3 * maxToolLabels {
		many(rehearsed(fmt.Sprint("tool", i)))
	}
	if got := scrape(t, m, `^mcpx_shadow_denials_total.*server="many"`); len(got) != maxToolLabels+1 {
		t.Errorf("%d series, want %d and one for the rest", len(got), maxToolLabels)
	}
	m.observe("gone", "ann")(rehearsed("rm"))
	m.setServers(map[string]*breaker{"files": nil, "many": nil})
	if got := scrape(t, m, `^mcpx_shadow_denials_total.*server="gone"`); len(got) != 0 {
		t.Errorf("series of a server that is gone: %q", got)
	}
}
