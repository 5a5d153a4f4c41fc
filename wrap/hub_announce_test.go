//go:build unix

package wrap_test

import (
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// The client of a running wrapper is told that its list is another one now, and only when it is.
func TestClientHearsOfTheHubsRules(t *testing.T) {
	for name, change := range map[string]func(*uplink.Bundle){"a rule": denying("echo"), "a revocation": revoking("echo")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub := startHub(t)
			s := startSession(t, append(hub.env(), "TEST_ANNOUNCES=1")...).begin()
			hub.awaitSerial(1)
			hub.rule(bundle(2)) // nothing that matters to a client
			hub.awaitSerial(2)
			for i, next := range []*uplink.Bundle{bundle(3, change), bundle(4)} {
				hub.rule(next)
				if got := s.read(); got != `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`+"\n" {
					t.Fatalf("the client is told %s", got)
				}
				s.write(`{"jsonrpc":"2.0","id":"l","method":"tools/list"}` + "\n")
				if got, listed := s.read(), i == 1; strings.Contains(got, `"echo"`) != listed {
					t.Errorf("with serial %d: %s", next.Serial, got)
				}
			}
			s.finish()
		})
	}
}
