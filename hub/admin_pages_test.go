package hub_test

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/dashboard"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// What is approved on the page reaches wrappers, and is recorded once, with who did it.
func TestApprovalByThePageReachesWrappers(t *testing.T) {
	g, at := startDashboard(t, config())
	laptop := g.clientOf(g.token(store.Token{Name: "laptop"}))
	definition, digest := toolOf(t, "read", "reads")
	seen := uplink.Sightings{Server: "files", Host: "h", Items: []uplink.Sighting{{Kind: "tool", Name: "read", Digest: digest, Definition: uplink.RawJSON(definition)}}}
	if err := laptop.Propose(t.Context(), seen); err != nil {
		t.Fatal(err)
	}
	stream := g.watch(laptop, "files", "")
	stream.next(t, 5*time.Second)
	b := newBrowser(t, at)
	if got := b.login(g.token(store.Token{Name: "boss", Admin: true})); got.status != 303 {
		t.Fatalf("login: %+v", got)
	}
	form := func(digest string) string {
		return url.Values{"kind": {"tool"}, "name": {"read"}, "digest": {digest}}.Encode()
	}
	if got := b.send("POST", "/dashboard/pins/files/approve", form(digest+"0")); got.status != 404 {
		t.Errorf("what nobody saw: %d", got.status)
	}
	if got := b.send("POST", "/dashboard/pins/files/approve", form(digest)); got.status != 303 {
		t.Fatalf("approve: %d %s", got.status, got.body)
	}
	if bundle := stream.next(t, 5*time.Second); len(bundle.Pins) != 1 || bundle.Pins[0].Digest != digest {
		t.Errorf("the wrapper gets %+v", bundle.Pins)
	}
	approvals := 0
	for line := range strings.Lines(g.record.String()) {
		if strings.Contains(line, `"reason":"pin_approved"`) {
			approvals++
			if !strings.Contains(line, `"server":"files","client":"boss"`) || !strings.Contains(line, digest) {
				t.Errorf("recorded: %s", line)
			}
		}
	}
	if approvals != 1 {
		t.Errorf("it is recorded %d times", approvals)
	}
}

// The pages are those of package dashboard, over what the store has.
func TestPagesShowWhatTheStoreHas(t *testing.T) {
	backend := newBackend(t)
	cfg := config(hub.Server{Name: "served", URL: backend.URL})
	g, at := startDashboard(t, cfg)
	c := g.clientOf(g.token(store.Token{Name: "laptop"}))
	lines := wrote(t, "files", "read", "!write")
	if _, err := c.SendEvents(t.Context(), "m-1", []byte(batch(lines...)), false); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, at)
	b.open(g.client())
	for path, want := range map[string][]string{
		"/dashboard":                        {"files", "served", "local"},
		"/dashboard/fleet":                  {"served", "closed"},
		"/dashboard/servers/files":          {"read", "write"},
		"/dashboard/servers/served":         {"served"},
		"/dashboard/search?decision=deny":   {"write", "rate_limit.rps"},
		"/dashboard/search?server=files":    {"read", "write"},
		"/dashboard/events/laptop/m-1/3":    {"write", "laptop"},
		"/dashboard/chains":                 {"laptop", "m-1"},
		"/dashboard/pins":                   {"</html>"},
		dashboard.AssetsPath + "no-such.js": {"404"},
	} {
		got := b.send("GET", path, "")
		if got.status != 200 && want[0] != "404" {
			t.Errorf("%s: %d: %.300s", path, got.status, got.body)
			continue
		}
		for _, text := range want {
			if !strings.Contains(got.body, text) && text != "404" {
				t.Errorf("%s does not show %q", path, text)
			}
		}
	}
	for path, status := range map[string]int{
		"/dashboard/servers/nobody":             404,
		"/dashboard/events/laptop/m-1/99":       404,
		"/dashboard/events/laptop/m-1/0":        404,
		"/dashboard/search?before=nonsense":     400,
		"/dashboard/events/nobody/m-1/1":        404,
		"/dashboard/servers/files/tools?tool=x": 404,
	} {
		if got := b.send("GET", path, ""); got.status != status {
			t.Errorf("%s: %d, want %d", path, got.status, status)
		}
	}
}

// An event is shown with the other half of its request, and one that was allowed in shadow mode alone is known by its reason, in
// the same words to the rules, to the store and to the pages.
func TestEventsAreShownWithWhatBelongsToThem(t *testing.T) {
	g, at := startDashboard(t, config())
	var out bytes.Buffer
	log, err := audit.Open(audit.Options{Config: audit.Config{Output: "stderr"}, Stderr: &out, Source: "wrap"})
	if err != nil {
		t.Fatal(err)
	}
	link := log.Link(audit.LinkInfo{Server: "files", Client: "ann"})
	trace := []byte("0af7651916cd43dd8448eb211c80319c")
	decided := func(id, tool, reason string) *audit.Event {
		return &audit.Event{Kind: audit.Decision, RequestID: []byte(id), Method: "tools/call", Target: []byte(tool), Decision: "allow", Reason: reason, TraceID: trace}
	}
	ended := func(id, tool, outcome string) *audit.Event {
		return &audit.Event{Kind: audit.Outcome, RequestID: []byte(id), Method: "tools/call", Target: []byte(tool), Outcome: outcome, Latency: 7 * time.Millisecond}
	}
	for _, e := range []*audit.Event{
		decided("1", "first", ""), decided("2", "second", policy.ShadowPrefix+"it is denied"),
		ended("2", "second", "tool_error"), ended("1", "first", "ok"),
	} {
		link.Append(e)
	}
	if err := log.Commit(); err != nil {
		t.Fatal(err)
	}
	log.Close()
	c := g.clientOf(g.token(store.Token{Name: "laptop"}))
	if _, err := c.SendEvents(t.Context(), "m-1", out.Bytes(), false); err != nil {
		t.Fatal(err)
	}
	page, err := g.store.Events(t.Context(), store.Filter{Server: "files", Shadowed: true}, 10, "")
	if err != nil || len(page.Events) != 1 || page.Events[0].Target != "second" {
		t.Fatalf("the store knows what is in shadow mode by other words: %+v, %v", page, err)
	}
	now := time.Now()
	figures, err := g.store.Series(t.Context(), store.Name{Server: "files"}, store.Span{Since: now.Add(-time.Hour), Until: now.Add(time.Hour)})
	if err != nil || len(figures) != 1 || figures[0].Calls != 2 || figures[0].Shadowed != 1 || figures[0].Errors != 1 {
		t.Errorf("figures %+v, %v", figures, err)
	}
	b := newBrowser(t, at)
	b.open(g.client())
	first := page.Events[0].Seq - 1
	for _, row := range []struct {
		path, shows string
		not         string
	}{
		{fmt.Sprintf("/dashboard/events/laptop/m-1/%d", first), fmt.Sprintf("/dashboard/events/laptop/m-1/%d", first+3), ""},
		{fmt.Sprintf("/dashboard/events/laptop/m-1/%d", first+2), fmt.Sprintf("/dashboard/events/laptop/m-1/%d", first+1), ""},
		{"/dashboard/search?decision=shadow", "second", ">first<"},
		{"/dashboard/search?outcome=failed", "second", ">first<"},
		{"/dashboard/search?trace=" + string(trace), "first", ""},
		{"/dashboard/search?client=ann", "first", ""},
		{"/dashboard/servers/files", "second", ""},
		{"/dashboard/servers/files/tools?tool=second", "second", ""},
	} {
		got := b.send("GET", row.path, "")
		if got.status != 200 || !strings.Contains(got.body, row.shows) || row.not != "" && strings.Contains(got.body, row.not) {
			t.Errorf("%s: %d, without %q or with %q", row.path, got.status, row.shows, row.not)
		}
	}
}
