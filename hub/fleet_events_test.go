package hub_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// wrote returns the lines of a wrapper's log about calls of a tool of a server, one each.
func wrote(t testing.TB, server string, calls ...string) []string {
	t.Helper()
	var out bytes.Buffer
	log, err := audit.Open(audit.Options{Config: audit.Config{Output: "stderr"}, Stderr: &out, Source: "wrap"})
	if err != nil {
		t.Fatal(err)
	}
	link := log.Link(audit.LinkInfo{Server: server})
	for _, tool := range calls {
		tool, denied := strings.CutPrefix(tool, "!")
		e := audit.Event{Kind: audit.Decision, Method: "tools/call", Target: []byte(tool), Decision: "allow"}
		if denied {
			e.Decision, e.Rule = "deny", "rate_limit.rps"
		}
		link.Append(&e)
		if err := log.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	log.Close()
	return strings.SplitAfter(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func batch(lines ...string) string {
	text := strings.Join(lines, "")
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

func TestEventsAreStoredOnceAndCounted(t *testing.T) {
	g := startTeam(t, config())
	laptop := g.token(store.Token{Name: "laptop"})
	lines := wrote(t, "files", "read", "read", "!write")
	c := g.clientOf(laptop)
	all := []byte(batch(lines...))
	for i, want := range []int{len(lines), 0, 0} {
		ack, err := c.SendEvents(t.Context(), "m-1", all, false)
		if err != nil || ack.Stored != want || ack.Acked != uint64(len(lines)) {
			t.Fatalf("batch %d: %+v, %v", i, ack, err)
		}
	}
	// The same name of a chain is another chain for another principal.
	if ack, err := g.client().SendEvents(t.Context(), "m-1", []byte(lines[0]), false); err != nil || ack.Stored != 1 || ack.Acked != 1 {
		t.Errorf("another principal: %+v, %v", ack, err)
	}
	behind := new(uplink.BehindError)
	if _, err := g.client().SendEvents(t.Context(), "m-2", []byte(lines[1]), false); !errors.As(err, &behind) || behind.Acked != 0 {
		t.Errorf("a batch that comes too early: %v", err)
	}
	for series, want := range map[string]string{
		`mcpx_tool_calls_total{client="laptop",decision="allow",server="files",source="wrap",tool="read"}`: "2",
		`mcpx_tool_calls_total{client="laptop",decision="deny",server="files",source="wrap",tool="write"}`: "1",
		`mcpx_rate_limit_hits_total`:                       "1",
		`mcpx_events_stored_total`:                         fmt.Sprint(len(lines) + 1),
		`mcpx_event_batches_total{result="stored"}`:        "4",
		`mcpx_event_batches_total{result="behind"}`:        "1",
		`mcpx_chain_problems_total{reason="chain_edited"}`: "0",
	} {
		if got := g.metric(series); got != want {
			t.Errorf("%s %s, want %s", series, got, want)
		}
	}
	fleet, err := g.client().Fleet(t.Context())
	if err != nil || fleet.Events != int64(len(lines)+1) || len(fleet.Chains) != 2 {
		t.Errorf("fleet %+v, %v", fleet, err)
	}
}

// Of a server that was served and is no longer, the gateway's own series go, and those of wrappers stay.
func TestWrappersCountBesideTheGateway(t *testing.T) {
	b := newBackend(t)
	cfg := config(hub.Server{Name: "b", URL: b.URL})
	g := startTeam(t, cfg)
	g.post("b", callTool(1, "echo"))
	if _, err := g.client().SendEvents(t.Context(), "m-1", []byte(batch(wrote(t, "b", "echo", "echo")...)), false); err != nil {
		t.Fatal(err)
	}
	own := `mcpx_tool_calls_total{client="anonymous",decision="allow",server="b",source="hub",tool="echo"}`
	wrapped := `mcpx_tool_calls_total{client="local",decision="allow",server="b",source="wrap",tool="echo"}`
	if g.metric(own) != "1" || g.metric(wrapped) != "2" {
		t.Errorf("own %s, wrapped %s", g.metric(own), g.metric(wrapped))
	}
	cfg.Servers = nil
	if err := g.hub.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if g.metric(own) != "" || g.metric(wrapped) != "2" {
		t.Errorf("after the reload: own %s, wrapped %s", g.metric(own), g.metric(wrapped))
	}
}

func TestLyingWrapperIsRecorded(t *testing.T) {
	g := startTeam(t, config())
	liar := g.token(store.Token{Name: "liar", Servers: []string{"files"}})
	lines := wrote(t, "files", "a", "b", "c", "d", "e")
	first, third := lines[0], lines[2]
	forged := strings.Replace(lines[1], `"target":"`, `"target":"x`, 1)
	if len(lines) < 5 || forged == lines[1] {
		t.Fatalf("unexpected log %q", lines)
	}
	for _, row := range []struct {
		name, chain, reason string
		batches             []string
		gap                 bool
	}{
		{"an edited event", "edited", "chain_edited", []string{first + forged + third}, false},
		{"another past", "fork", "chain_fork", []string{first + lines[1], first + forged}, false},
		{"a gap", "gap", "chain_gap", []string{third}, true},
		{"no event", "malformed", "chain_malformed", []string{first + "{\"seq\":2}\n"}, false},
		{"another's server", "foreign", "chain_foreign_server", []string{batch(wrote(t, "vault", "steal")...)}, false},
	} {
		heads := []string{liar, "Mcpx-Chain: " + row.chain}
		if row.gap {
			heads = append(heads, "Mcpx-Gap: declared")
		}
		for range 2 { // what is sent again is no new problem
			for _, b := range row.batches {
				if got := g.do("POST", "/v1/events", b, heads...); got.status != 200 {
					t.Errorf("%s: %d %s", row.name, got.status, got.body)
				}
			}
		}
		if got := g.metric(`mcpx_chain_problems_total{reason="` + row.reason + `"}`); got != "1" {
			t.Errorf("%s: %s problems are counted", row.name, got)
		}
		pattern := `"client":"liar".*"reason":"` + row.reason + `".*"args":\{"chain":"` + row.chain + `","seq":\d+,"host":"[^"]*","detail":".+"\},"kind":"anomaly"`
		if n := len(regexp.MustCompile(pattern).FindAllString(g.record.String(), -1)); n != 1 {
			t.Errorf("%s: recorded %d times:\n%s", row.name, n, g.record)
		}
	}
}

// However much somebody lies, the hub's own log grows by a bounded number of events.
func TestLiesDoNotFillTheHubsLog(t *testing.T) {
	g := startTeam(t, config())
	liar := g.token(store.Token{Name: "liar"})
	for chain := range 12 {
		got := g.do("POST", "/v1/events", strings.Repeat("no event\n", 5000), liar, fmt.Sprint("Mcpx-Chain: c", chain))
		if got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if n := strings.Count(g.record.String(), `"kind":"anomaly"`); n == 0 || n > 12*21 {
		t.Errorf("%d anomalies are recorded", n)
	}
}

func TestHostileBatchesAreRefused(t *testing.T) {
	g := startTeam(t, config())
	laptop := g.token(store.Token{Name: "laptop"})
	line := wrote(t, "files", "a")[0]
	zipped := func(plain string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		io.WriteString(w, plain)
		w.Close()
		return b.String()
	}
	chain, gz := "Mcpx-Chain: c", "Content-Encoding: gzip"
	for _, row := range []struct {
		name, body string
		heads      []string
		status     int
	}{
		{"no chain", line, nil, 400},
		{"no name of a chain", line, []string{"Mcpx-Chain: a/b"}, 400},
		{"another word for a gap", line, []string{chain, "Mcpx-Gap: yes"}, 400},
		{"nothing", "", []string{chain}, 400},
		{"half a line", strings.TrimSuffix(line, "\n"), []string{chain}, 400},
		{"too much", strings.Repeat("x", uplink.MaxBatchBody) + "\n", []string{chain}, 413},
		{"too many", strings.Repeat("\n", uplink.MaxBatchEvents+1), []string{chain}, 413},
		{"a bomb", zipped(strings.Repeat("0", 64<<20) + "\n"), []string{chain, gz}, 413},
		{"a giant event", zipped(strings.Repeat("0", 7<<20) + "\n"), []string{chain, gz}, 200}, // is passed over, and shown
		{"no gzip", line, []string{chain, gz}, 400},
		{"half a gzip", zipped(line)[:40], []string{chain, gz}, 400},
		{"another encoding", line, []string{chain, "Content-Encoding: br"}, 415},
		{"what is right", zipped(line), []string{chain, gz}, 200},
	} {
		if got := g.do("POST", "/v1/events", row.body, append(row.heads, laptop)...); got.status != row.status {
			t.Errorf("%s: status %d, want %d: %.200s", row.name, got.status, row.status, got.body)
		}
	}
}

// A hub that cannot record or store says so, and acknowledges nothing.
func TestTroubleIsNeverAcknowledged(t *testing.T) {
	g := startTeam(t, config())
	laptop := g.token(store.Token{Name: "laptop"})
	lines := wrote(t, "files", "a", "b", "c", "d")
	heads := []string{laptop, "Mcpx-Chain: c", "Mcpx-Gap: declared"}
	g.broken.Store(true)
	got := g.do("POST", "/v1/events", lines[2], heads...) // a gap, which has to be recorded
	if got.status != 503 || got.header.Get("Retry-After") == "" || strings.Contains(got.body, "disk") {
		t.Errorf("while nothing can be recorded: %+v", got)
	}
	g.broken.Store(false)
	eventually(t, "an answer once it can be", func() bool {
		got = g.do("POST", "/v1/events", lines[2], heads...)
		return got.status == 200
	})
	if !strings.Contains(got.body, `"stored":1`) {
		t.Errorf("what was not acknowledged was stored: %s", got.body)
	}
	g.store.Close()
	for _, call := range []string{"/v1/events", "/v1/hub"} {
		method := "POST"
		if call == "/v1/hub" {
			method = "GET"
		}
		if got := g.do(method, call, lines[3], heads...); got.status != 503 || got.header.Get("Retry-After") == "" {
			t.Errorf("%s without a store: %+v", call, got)
		}
	}
}
