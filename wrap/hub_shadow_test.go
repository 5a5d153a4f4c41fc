//go:build unix

package wrap_test

import (
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/policy"
)

func rehearsing(tool string) func(*uplink.Bundle) {
	return func(b *uplink.Bundle) {
		b.Layers = append(b.Layers, uplink.AsLayer(policy.Layer{Label: "hub", Config: policy.Config{DenyTools: []string{tool}, Shadow: true}}))
	}
}

// A hub rehearses a rule with a wrapper that runs: what it would deny is recorded, passes and is listed. What the wrapper's own rules
// and revocations deny stays denied. Once the rule is in force, it denies.
func TestHubRehearsesWithARunningWrapper(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	hub.rule(bundle(1, rehearsing("echo"), revoking("big")))
	s := startSession(t, hub.env()...).begin()
	hub.awaitSerial(1)
	if got := s.call(1, "echo"); !allowed(got) {
		t.Errorf("a call that is denied in shadow mode: %s", got)
	}
	for id, row := range []struct{ tool, rule string }{{"rm", "policy.deny_tools[0]"}, {"big", "hub revoked.deny_tools[0]"}} {
		if got := s.call(2+id, row.tool); !deniedBy(got, row.rule) {
			t.Errorf("a call of %s: %s", row.tool, got)
		}
	}
	s.write(`{"jsonrpc":"2.0","id":"l","method":"tools/list"}` + "\n")
	if got := s.read(); !strings.Contains(got, `"echo"`) || strings.Contains(got, `"big"`) {
		t.Errorf("listed: %s", got)
	}
	hub.rule(bundle(2, denying("echo")))
	hub.awaitSerial(2)
	if got := s.call(10, "echo"); !deniedBy(got, "hub.deny_tools[0]") {
		t.Errorf("a call that is denied: %s", got)
	}
	s.finish()
	log := s.verified()
	for text, times := range map[string]int{
		`"target":"echo","decision":"allow","rule":"hub.deny_tools[0]","reason":"shadow: `: 1,
		`"target":"echo","decision":"deny","rule":"hub.deny_tools[0]"`:                     1,
		`"serial":1,"layers":1,"shadow":1,`:                                                1,
		`"serial":2,"layers":1,"shadow":0,`:                                                1,
	} {
		if got := strings.Count(log, text); got != times {
			t.Errorf("%d of %s, want %d: %s", got, text, times, log)
		}
	}
}
