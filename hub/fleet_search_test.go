package hub_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

func TestEventsAreFound(t *testing.T) {
	g := startTeam(t, config())
	laptop := g.token(store.Token{Name: "laptop"})
	lines := wrote(t, "files", "read", "!write", "read", "!write")
	if _, err := g.clientOf(laptop).SendEvents(t.Context(), "m-1", []byte(batch(lines...)), false); err != nil {
		t.Fatal(err)
	}
	vault := wrote(t, "vault", "open")
	if _, err := g.client().SendEvents(t.Context(), "m-2", []byte(batch(vault...)), false); err != nil {
		t.Fatal(err)
	}
	boss := g.clientOf(g.token(store.Token{Name: "boss", Admin: true}))
	for name, row := range map[string]struct {
		search uplink.Search
		want   int
	}{
		"all":               {uplink.Search{}, len(lines) + len(vault)},
		"server":            {uplink.Search{Server: "vault", Kind: "decision"}, 1},
		"principal":         {uplink.Search{Principal: "laptop"}, len(lines)},
		"target, decision":  {uplink.Search{Target: "write", Decision: "deny"}, 2},
		"nothing":           {uplink.Search{Target: "write", Decision: "allow"}, 0},
		"since":             {uplink.Search{Since: time.Now().Add(time.Hour)}, 0},
		"until":             {uplink.Search{Until: time.Now().Add(-time.Hour)}, 0},
		"one page of three": {uplink.Search{Principal: "laptop", Limit: 3}, 3},
	} {
		found, err := boss.Events(t.Context(), row.search)
		if err != nil || len(found.Events) != row.want || (found.Next != "") != (row.search.Limit != 0) {
			t.Errorf("%s: %d events, next %q, %v", name, len(found.Events), found.Next, err)
		}
	}
	// Page by page there is each event once, to the byte.
	var got []string
	for s := (uplink.Search{Principal: "laptop", Limit: 2}); ; {
		found, err := boss.Events(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range found.Events {
			got = append(got, e.Line)
			if e.Chain != "m-1" || e.Principal != "laptop" {
				t.Errorf("of %q in chain %q", e.Principal, e.Chain)
			}
		}
		if s.Before = found.Next; s.Before == "" {
			break
		}
	}
	slices.Reverse(got)
	if strings.Join(got, "\n") != strings.TrimSuffix(strings.Join(lines, ""), "\n") {
		t.Errorf("the pages have\n%s", strings.Join(got, "\n"))
	}
}

func TestSearchIsForAdministrators(t *testing.T) {
	g := startTeam(t, config())
	laptop := g.token(store.Token{Name: "laptop"})
	some := g.token(store.Token{Name: "some", Admin: true, Servers: []string{"git*"}})
	boss := g.token(store.Token{Name: "boss", Admin: true})
	if got := g.do("GET", "/v1/events", ""); got.status != 401 {
		t.Errorf("nobody: %+v", got)
	}
	for name, row := range map[string]struct {
		query, header string
		want          int
	}{
		"a wrapper":           {"?server=files", laptop, 403},
		"limited, all":        {"", some, 403},
		"limited, another's":  {"?server=files", some, 403},
		"limited, own":        {"?server=github", some, 200},
		"limited, by pattern": {"?server=git*", some, 400},
		"unknown parameter":   {"?server=github&tool=x", some, 400},
		"unknown kind":        {"?kind=x", boss, 400},
		"bad cursor":          {"?before=x", boss, 400},
	} {
		if got := g.do("GET", "/v1/events"+row.query, "", row.header); got.status != row.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// What a wrapper has sent may neither keep a page from being given nor make it too large.
func TestHostileEventsAreFound(t *testing.T) {
	g := startTeam(t, config())
	line := func(seq int, prev, more string) string {
		return fmt.Sprintf(`{"time":"2026-11-22T00:00:00.000Z","id":"%d","seq":%d,"prev":%q,"kind":"anomaly","reason":"x","later":%s}`+"\n", seq, seq, prev, more)
	}
	prev, sent := strings.Repeat("0", 64), 0
	for seq := 1; seq <= 40; seq++ {
		more := `"` + strings.Repeat(`\"`, 150<<10) + `"`
		if seq == 1 {
			more = strings.Repeat("[", 9990) + strings.Repeat("]", 9990)
		}
		l := line(seq, prev, more)
		ack, err := g.client().SendEvents(t.Context(), "m", []byte(l), false)
		if err != nil {
			t.Fatalf("event %d: %v", seq, err)
		}
		sent += ack.Stored
		prev = fmt.Sprintf("%x", audit.Sum([]byte(strings.TrimSuffix(l, "\n"))))
	}
	n := 0
	for s := (uplink.Search{Kind: "anomaly", Until: time.Date(2026, 11, 22, 0, 0, 1, 0, time.UTC)}); ; {
		found, err := g.client().Events(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		n += len(found.Events)
		if s.Before = found.Next; s.Before == "" {
			break
		}
	}
	if n != sent || n == 0 {
		t.Errorf("found %d of %d", n, sent)
	}
}
