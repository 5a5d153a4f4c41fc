package hub

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/integrity/audit"
)

// scrape returns the samples of /metrics whose line matches, in the order of the page.
func scrape(t *testing.T, m *metrics, pattern string) []string {
	t.Helper()
	srv := httptest.NewServer(m.handler())
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET /metrics: %v, %v", resp.Status, err)
	}
	var lines []string
	matches := regexp.MustCompile(pattern)
	for line := range strings.SplitSeq(string(page), "\n") {
		if !strings.HasPrefix(line, "#") && matches.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return lines
}

func wantScrape(t *testing.T, m *metrics, pattern string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, scrape(t, m, pattern)); diff != "" {
		t.Errorf("samples of %s (-want +got):\n%s", pattern, diff)
	}
}

func testMetrics(servers ...string) *metrics {
	m := newMetrics("test")
	breakers := make(map[string]*breaker)
	for _, name := range servers {
		breakers[name] = nil
	}
	m.setServers(breakers)
	return m
}

func decision(tool, decision, rule string) *audit.Event {
	return &audit.Event{Kind: audit.Decision, Method: "tools/call", Target: []byte(tool), Decision: decision, Rule: rule}
}

func TestMetricsHaveTheNamesAndLabelsThatWerePromised(t *testing.T) {
	m := testMetrics("files")
	m.countSessions(func() int { return 3 })
	m.watchRecord(func() bool { return true })
	m.request("files", "tools/call", 200, 3*time.Millisecond)
	m.request("files", "tools/call", 204, 3*time.Millisecond)
	m.request("files", "tools/call", 403, 3*time.Millisecond)
	m.request("files", "GET", 200, time.Hour)                  // a stream
	m.request("files", "subscriptions/listen", 200, time.Hour) // another
	m.request("files", "BREW", 418, time.Millisecond)
	m.request("files", "x/unheard", 404, time.Millisecond)
	m.request("nobody", "tools/call", 404, time.Millisecond)
	m.request("files", "ping", 0, time.Millisecond)
	watch := m.observe("files", "ci-bot")
	watch(decision("read_file", "allow", "default"))
	watch(decision("read_file", "deny", "rate_limit.tool_rps"))
	watch(&audit.Event{Kind: audit.Decision, Method: "tools/list", Decision: "deny", Rule: "rate_limit.rps"})
	watch(&audit.Event{Kind: audit.Outcome, Method: "tools/call", Target: []byte("read_file"), Outcome: "ok"})
	watch(&audit.Event{Kind: audit.Anomaly, Method: "tools/call", Decision: "deny", Rule: "jsonrpc.scan"})
	m.observe("files", "")(decision("", "deny", "protocol.params"))
	watch(&audit.Event{Kind: audit.Integrity, Method: "tools/list", Target: []byte("read_file"), Reason: "tool_changed"})
	watch(&audit.Event{Kind: audit.Integrity, Reason: "tool_" + strings.Repeat("x", 1000)})
	watch(&audit.Event{Kind: audit.Integrity, Reason: "anything_changed"})
	m.authFailure()
	m.childRestart("files")
	m.reload(true)
	m.reload(false)

	wantScrape(t, m, `^mcpx_requests_total`,
		`mcpx_requests_total{method="GET",server="files",status_code="2xx"} 1`,
		`mcpx_requests_total{method="other",server="files",status_code="4xx"} 2`,
		`mcpx_requests_total{method="ping",server="files",status_code="none"} 1`,
		`mcpx_requests_total{method="subscriptions/listen",server="files",status_code="2xx"} 1`,
		`mcpx_requests_total{method="tools/call",server="",status_code="4xx"} 1`,
		`mcpx_requests_total{method="tools/call",server="files",status_code="2xx"} 2`,
		`mcpx_requests_total{method="tools/call",server="files",status_code="4xx"} 1`,
	)
	wantScrape(t, m, `^mcpx_request_duration_ms_(bucket.*files.*le="(1|2.5|5|\+Inf)"|count.*files)`,
		`mcpx_request_duration_ms_bucket{server="files",le="1"} 3`,
		`mcpx_request_duration_ms_bucket{server="files",le="2.5"} 3`,
		`mcpx_request_duration_ms_bucket{server="files",le="5"} 6`,
		`mcpx_request_duration_ms_bucket{server="files",le="+Inf"} 6`,
		`mcpx_request_duration_ms_count{server="files"} 6`,
	)
	wantScrape(t, m, `^mcpx_tool_calls_total`,
		`mcpx_tool_calls_total{client="anonymous",decision="deny",server="files",source="hub",tool="other"} 1`,
		`mcpx_tool_calls_total{client="ci-bot",decision="allow",server="files",source="hub",tool="read_file"} 1`,
		`mcpx_tool_calls_total{client="ci-bot",decision="deny",server="files",source="hub",tool="read_file"} 1`,
	)
	wantScrape(t, m, `^mcpx_integrity`,
		`mcpx_integrity_findings_total{reason="other",server="files",source="hub"} 2`,
		`mcpx_integrity_findings_total{reason="tool_changed",server="files",source="hub"} 1`)
	wantScrape(t, m, `^mcpx_(audit|auth|rate|breaker|child|config|sessions)`,
		`mcpx_audit_failing 1`, `mcpx_auth_failures_total 1`, `mcpx_breaker_trips_total 0`, `mcpx_child_restarts_total{server="files"} 1`,
		`mcpx_config_reloads_total{result="ok"} 1`, `mcpx_config_reloads_total{result="refused"} 1`,
		`mcpx_rate_limit_hits_total 2`, `mcpx_sessions_open 3`)
	if got := scrape(t, m, `^(mcpx_build_info.*version="test"|go_goroutines )`); len(got) != 2 {
		t.Errorf("build and runtime: got %q", got)
	}
}

func TestCountersWithoutLabelsExistFromTheStart(t *testing.T) {
	wantScrape(t, newMetrics("test"), `^mcpx_(auth_failures|rate_limit_hits|breaker_trips)_total `,
		"mcpx_auth_failures_total 0", "mcpx_breaker_trips_total 0", "mcpx_rate_limit_hits_total 0")
}

func TestLabelsFromOutsideAreBounded(t *testing.T) {
	m := testMetrics("a", "b")
	watch := m.observe("a", "c")
	for i := range 3 * maxToolLabels {
		watch(decision(fmt.Sprintf("tool%04d", i), "allow", ""))
	}
	watch(decision(strings.Repeat("long", 1000), "allow", ""))
	watch(decision("\xff\xfe\n\"", "allow", "")) // the page must stay readable
	watch(decision("tool0000", "allow", ""))
	got := scrape(t, m, `^mcpx_tool_calls_total`)
	if len(got) != maxToolLabels+1 {
		t.Errorf("%d series of tools, want %d and one for the rest", len(got), maxToolLabels)
	}
	wantScrape(t, m, `^mcpx_tool_calls_total.*tool="(other|tool0000)"`,
		fmt.Sprintf(`mcpx_tool_calls_total{client="c",decision="allow",server="a",source="hub",tool="other"} %d`, 2*maxToolLabels+2),
		`mcpx_tool_calls_total{client="c",decision="allow",server="a",source="hub",tool="tool0000"} 2`)

	for i := range maxClientLabels + 500 {
		m.observe("b", fmt.Sprintf("client%04d\xff", i))(decision("t", "allow", ""))
	}
	if got := scrape(t, m, `^mcpx_tool_calls_total.*server="b"`); len(got) != maxClientLabels {
		t.Errorf("%d series of clients, want %d with the one for the rest", len(got), maxClientLabels)
	}
}

func TestSeriesOfAServerAreBoundedAltogether(t *testing.T) {
	m := testMetrics("a")
	for c := range 200 {
		watch := m.observe("a", fmt.Sprint("client", c))
		for tool := range 100 {
			watch(decision(fmt.Sprint("tool", tool), "allow", ""))
		}
	}
	if got := len(scrape(t, m, `^mcpx_tool_calls_total`)); got > maxCallSeries+1 {
		t.Errorf("%d series, want at most %d", got, maxCallSeries+1)
	}
}

func TestSeriesOfAServerGoWithIt(t *testing.T) {
	m := testMetrics("old", "kept")
	watch := m.observe("old", "")
	for _, server := range []string{"old", "kept"} {
		m.request(server, "ping", 200, time.Millisecond)
		m.observe(server, "")(decision("t", "allow", ""))
		m.childRestart(server)
		m.observe(server, "")(&audit.Event{Kind: audit.Integrity, Reason: "tool_changed"})
	}
	m.setServers(map[string]*breaker{"kept": nil, "new": nil})
	m.request("old", "ping", 200, time.Millisecond) // what ends now on the old configuration
	watch(decision("t", "allow", ""))
	watch(decision("u", "allow", ""))
	if got := scrape(t, m, `server="old"`); len(got) != 0 {
		t.Errorf("series of a server that is gone: %q", got)
	}
	wantScrape(t, m, `^mcpx_(requests|tool).*server="kept"`,
		`mcpx_requests_total{method="ping",server="kept",status_code="2xx"} 1`,
		`mcpx_tool_calls_total{client="anonymous",decision="allow",server="kept",source="hub",tool="t"} 1`)
}

func TestCountingFromManyGoroutinesLosesNothing(t *testing.T) {
	m := testMetrics("a")
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			watch := m.observe("a", fmt.Sprint("client", g%2))
			for i := range 500 {
				m.request("a", "ping", 200, 0)
				watch(decision(fmt.Sprint("tool", i%5), "allow", ""))
				if i%100 == 0 {
					m.setServers(map[string]*breaker{"a": nil})
				}
			}
		})
	}
	all.Wait()
	wantScrape(t, m, `^mcpx_requests_total`, `mcpx_requests_total{method="ping",server="a",status_code="2xx"} 4000`)
	if got := scrape(t, m, `^mcpx_tool_calls.* 400$`); len(got) != 10 {
		t.Errorf("%d series with 400 calls each, want 10", len(got))
	}
}

func TestCountingAllocatesNothingOnceKnown(t *testing.T) {
	m := testMetrics("a")
	watch, e := m.observe("a", "ci-bot"), decision("read_file", "allow", "")
	count := func() {
		m.request("a", "tools/call", 200, time.Millisecond)
		watch(e)
	}
	count()
	if n := testing.AllocsPerRun(100, count); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkMetrics(b *testing.B) {
	m := testMetrics("a")
	watch, e := m.observe("a", "ci-bot"), decision("read_file", "allow", "")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.request("a", "tools/call", 200, time.Millisecond)
			watch(e)
		}
	})
}

// BenchmarkNewMetrics is part of every start.
func BenchmarkNewMetrics(b *testing.B) {
	for b.Loop() {
		newMetrics("test")
	}
}
