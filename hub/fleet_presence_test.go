package hub_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
)

func TestPresence(t *testing.T) {
	g := startTeam(t, config())
	laptop := g.token(store.Token{Name: "laptop"})
	c := g.clientOf(laptop)
	p := uplink.Presence{Instance: "i", Server: "files", Version: "1", Host: "h", User: "u", PID: 1, Started: time.Now(), ClientInfo: uplink.RawJSON(`{"name":"c"}`)}
	if err := c.Heartbeat(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	fleet, err := g.client().Fleet(t.Context())
	if err != nil || len(fleet.Wrappers) != 1 || !fleet.Wrappers[0].Alive || fleet.Wrappers[0].Principal != "laptop" {
		t.Errorf("fleet %+v, %v", fleet, err)
	}
	other := p
	other.Instance, other.Pending = "j", 7
	p.Pending = 5
	for _, beat := range []uplink.Presence{p, other} {
		if err := c.Heartbeat(t.Context(), beat); err != nil {
			t.Fatal(err)
		}
	}
	if alive, waiting := g.metric("mcpx_wrappers_alive"), g.metric("mcpx_events_waiting"); alive != "2" || waiting != "12" {
		t.Errorf("%s wrappers are alive with %s events", alive, waiting)
	}
	other.Ended = true
	if err := c.Heartbeat(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	p.Ended = true
	if err := c.Heartbeat(t.Context(), p); err != nil || g.metric("mcpx_wrappers_alive") != "0" {
		t.Errorf("after it said goodbye: %v", err)
	}
	for name, body := range map[string]string{
		"an unknown member": `{"instance":"i","server":"files","principal":"boss"}`,
		"a twin":            `{"instance":"i","server":"files","server":"vault"}`,
		"no instance":       `{"server":"files"}`,
		"no server":         `{"instance":"i"}`,
		"a giant":           `{"instance":"i","server":"files","host":"` + strings.Repeat("h", 300) + `"}`,
		"no JSON":           `instance`,
	} {
		if got := g.do("POST", "/v1/heartbeat", body, laptop); got.status != 400 {
			t.Errorf("%s: status %d", name, got.status)
		}
	}
}

// A token that is for some servers says nothing of others, not even that it runs one.
func TestHeartbeatOutsideTheToken(t *testing.T) {
	g := startTeam(t, config())
	some := g.token(store.Token{Name: "some", Servers: []string{"git*"}})
	for server, want := range map[string]int{"github": 204, "files": 403} {
		if got := g.do("POST", "/v1/heartbeat", `{"instance":"i","server":"`+server+`"}`, some); got.status != want {
			t.Errorf("%s: status %d, want %d", server, got.status, want)
		}
	}
	fleet, err := g.client().Fleet(t.Context())
	if err != nil || len(fleet.Wrappers) != 1 {
		t.Errorf("fleet %+v, %v", fleet, err)
	}
}

func TestHeartbeatsOfOnePrincipalAreBounded(t *testing.T) {
	g := startTeam(t, config())
	laptop, other := g.token(store.Token{Name: "laptop"}), g.token(store.Token{Name: "other"})
	last := answer{}
	for range 1300 {
		if last = g.do("POST", "/v1/heartbeat", "{}", laptop); last.status == 429 {
			break
		}
	}
	if last.status != 429 || last.header.Get("Retry-After") == "" {
		t.Errorf("a flood ends in %+v", last)
	}
	if got := g.do("POST", "/v1/heartbeat", `{"instance":"i","server":"s"}`, other); got.status/100 != 2 && got.status != 400 {
		t.Errorf("another principal: %+v", got)
	}
}

func TestHubWithoutServersOnlyTakesEvents(t *testing.T) {
	g := startTeam(t, config())
	if got := g.do("GET", "/health", ""); got.status != 200 {
		t.Errorf("/health: %+v", got)
	}
	if got := g.do("GET", "/readyz", ""); got.status != 200 {
		t.Errorf("/readyz: %+v", got)
	}
	if got := g.post("files", listTools); got.status != 404 {
		t.Errorf("/mcp/files: %+v", got)
	}
}

func TestWithoutAStoreThereIsNoV1(t *testing.T) {
	g := start(t, config())
	if got := g.do("GET", "/v1/hub", ""); got.status != 404 {
		t.Errorf("%+v", got)
	}
}

// An administrator for some servers sees who runs those, and no chain, which is of no server.
func TestFleetIsThatOfTheToken(t *testing.T) {
	g := startTeam(t, config())
	c := g.clientOf(g.token(store.Token{Name: "laptop"}))
	for _, server := range []string{"files", "payments"} {
		if err := c.Heartbeat(t.Context(), uplink.Presence{Instance: "i-" + server, Server: server, Started: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	some := g.clientOf(g.token(store.Token{Name: "some", Admin: true, Servers: []string{"files"}}))
	fleet, err := some.Fleet(t.Context())
	if err != nil || len(fleet.Wrappers) != 1 || fleet.Wrappers[0].Server != "files" || len(fleet.Chains) != 0 {
		t.Errorf("fleet %+v, %v", fleet, err)
	}
}
