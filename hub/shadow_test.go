package hub_test

import (
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/auth"
	"github.com/rohitgs28/mcpx/policy"
)

// A reload takes an open session from one mode to the other, the override of its client included; the session at the server stays.
func TestReloadChangesTheModeOfAnOpenSession(t *testing.T) {
	b := newBackend(t)
	mode := func(shadow bool) hub.Config {
		cfg := config(hub.Server{Name: "b", URL: b.URL, Policy: policy.Config{DenyTools: []string{"dangerous_*"}, Shadow: shadow}})
		cfg.Auth = auth.Config{Enabled: true, Type: auth.Bearer, Clients: []auth.Client{{Name: "ann", Token: "token-of-ann"}}}
		cfg.Clients = map[string]map[string]policy.Override{"ann": {"b": {DenyTools: []string{"echo"}}}}
		return cfg
	}
	g := start(t, mode(true))
	heads := []string{"Authorization: Bearer token-of-ann", "MCP-Protocol-Version: 2025-11-25"}
	heads = append(heads, "Mcp-Session-Id: "+g.post("b", initialize, heads...).header.Get("Mcp-Session-Id"))
	g.post("b", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, heads...)
	for i, shadow := range []bool{true, false, true} {
		if err := g.hub.Reload(mode(shadow)); err != nil {
			t.Fatal(err)
		}
		status, listed := 403, 0
		if shadow {
			status, listed = 200, 2
		}
		list := g.post("b", listTools, heads...).body
		if got := strings.Count(list, `"dangerous_delete"`) + strings.Count(list, `"echo"`); got != listed {
			t.Errorf("shadow %v: %d of the two tools that the rules deny are in %s", shadow, got, list)
		}
		for j, tool := range []string{"dangerous_delete", "echo"} {
			if got := g.post("b", callTool(10+2*i+j, tool), heads...); got.status != status {
				t.Errorf("shadow %v: %s: %+v", shadow, tool, got)
			}
		}
		want := `"policy":{"mode":"enforce"`
		if shadow {
			want = `"policy":{"mode":"shadow"`
		}
		for _, page := range []string{"/servers", "/health"} {
			if got := g.do("GET", page, "", heads[0]); !strings.Contains(got.body, want) {
				t.Errorf("shadow %v: %s is %s", shadow, page, got.body)
			}
		}
	}
	if got := b.called(); got != "dangerous_delete echo dangerous_delete echo" {
		t.Errorf("the server was called: %s", got)
	}
	page := g.do("GET", "/metrics", "", heads[0]).body
	for _, want := range []string{
		`mcpx_shadow_denials_total{server="b",source="hub",tool="dangerous_delete"} 2`,
		`mcpx_shadow_denials_total{server="b",source="hub",tool="echo"} 2`,
		`mcpx_tool_calls_total{client="ann",decision="allow",server="b",source="hub",tool="echo"} 2`,
		`mcpx_tool_calls_total{client="ann",decision="deny",server="b",source="hub",tool="echo"} 1`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	g.stop()
	for rule, times := range map[string]int{
		`"decision":"allow","rule":"policy.deny_tools[0]","reason":"shadow: tool \"dangerous_delete\" is denied by policy.deny_tools[0]"`: 2,
		`"decision":"allow","rule":"client ann.deny_tools[0]","reason":"shadow: tool \"echo\" is denied by client ann.deny_tools[0]"`:     2,
		`"decision":"deny","rule":"client ann.deny_tools[0]"`:                                                                             1,
	} {
		if got := strings.Count(g.record.String(), rule); got != times {
			t.Errorf("%d of %s, want %d:\n%s", got, rule, times, g.record)
		}
	}
}
