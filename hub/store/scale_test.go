package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/integrity/audit"
)

// BenchmarkScale asks a store of many events for first pages and figures: 50,000 of them, or as many as MCPX_BENCH_EVENTS says, which
// MCPX_BENCH_STORE keeps from run to run. It tells the slowest answer beside the mean, since that is what a person waits for.
func BenchmarkScale(b *testing.B) {
	count, err := strconv.Atoi(os.Getenv("MCPX_BENCH_EVENTS"))
	if err != nil {
		count = 50_000
	}
	path := os.Getenv("MCPX_BENCH_STORE")
	if path == "" {
		path = filepath.Join(b.TempDir(), "hub.db")
	}
	s, err := Open(context.Background(), Options{Path: path, Retain: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	have, err := s.Count(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	if have == 0 {
		began := time.Now()
		fillDays(b, s, count)
		b.Logf("%d events in %v: %.0f a second", count, time.Since(began).Round(time.Second), float64(count)/time.Since(began).Seconds())
	}
	last, err := s.newest(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	for name, f := range map[string]Filter{
		"all": {}, "denied": {Decision: deny}, "allowed": {Decision: allow}, "shadowed": {Shadowed: true}, "failed": {Outcome: Failed}, "timeout": {Outcome: "timeout"}, "ok": {Outcome: "ok"},
		"server": {Server: "server-3"}, "target": {Target: "tool-7"}, "principal": {Principal: "person-5"}, "anomaly": {Kind: audit.Anomaly}, "client": {Client: "claude-code"},
		"method": {Method: "tools/call"}, "rule": {Rule: "policy.deny_tools[0]"}, "host": {Host: "host-5"}, "user": {User: "user-5"}, "trace": {TraceID: "000000000000000000000000000003e8"},
		"server+denied": {Server: "server-3", Decision: deny}, "server+target": {Server: "server-3", Target: "tool-7"}, "server+principal": {Server: "server-3", Principal: "person-5"},
		"target+failed+host": {Target: "tool-7", Outcome: Failed, Host: "host-5"}, "outcome of a denial": {Kind: audit.Outcome, Decision: deny}, "allowed by a rule that denies": {Rule: "policy.deny_tools[0]", Decision: allow},
		"server, tool of another": {Server: "server-3", Target: "only-of-server-4"}, "oldest hour": {Until: last.Add(-29 * 24 * time.Hour)}, "server, a day long ago": {Server: "server-3", Since: last.Add(-20 * 24 * time.Hour), Until: last.Add(-19 * 24 * time.Hour)},
		"nobody": {Client: "nobody"}, "host of another": {Host: "host-5", Principal: "person-6"},
	} {
		b.Run("page/"+name, func(b *testing.B) {
			slowest(b, func() {
				if _, err := s.Events(b.Context(), f, 50, ""); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
	for name, span := range map[string]Span{
		"1h": {last.Add(-time.Hour), last, time.Minute}, "24h": {last.Add(-24 * time.Hour), last, 10 * time.Minute}, "30d": {last.Add(-30 * 24 * time.Hour), last, 6 * time.Hour}, "90d": {last.Add(-90 * 24 * time.Hour), last, 12 * time.Hour},
	} {
		b.Run("figures/all/"+name, func(b *testing.B) {
			slowest(b, func() {
				if _, err := s.Series(b.Context(), Name{}, span); err != nil {
					b.Fatal(err)
				}
				if _, err := s.ByServer(b.Context(), span); err != nil {
					b.Fatal(err)
				}
			})
		})
		b.Run("figures/server/"+name, func(b *testing.B) {
			slowest(b, func() {
				if _, err := s.Series(b.Context(), Name{Server: "server-3"}, span); err != nil {
					b.Fatal(err)
				}
				if _, err := s.ByTool(b.Context(), "server-3", span); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// slowest runs f as a benchmark, and tells its slowest run and the first.
func slowest(b *testing.B, f func()) {
	var all []time.Duration
	for b.Loop() {
		began := time.Now()
		f()
		all = append(all, time.Since(began))
	}
	b.ReportMetric(float64(slices.Max(all).Microseconds())/1000, "max-ms")
	b.ReportMetric(float64(all[0].Microseconds())/1000, "first-ms")
}

func (s *Store) newest(ctx context.Context) (time.Time, error) {
	page, err := s.Events(ctx, Filter{}, 1, "")
	if err != nil || len(page.Events) == 0 {
		return time.Now(), err
	}
	return page.Events[0].Time, nil
}

// fillDays stores what 50 people did with 20 servers in the last 30 days.
func fillDays(b *testing.B, s *Store, events int) {
	const people, size = 50, 5000
	type chain struct {
		seq  int
		prev [sha256.Size]byte
	}
	chains := make([]chain, people)
	begin := time.Now().Add(-30 * 24 * time.Hour).UTC()
	step := 30 * 24 * time.Hour / time.Duration(events)
	for at := 0; at < events; at += size {
		person := at / size % people
		c := &chains[person]
		var lines []byte
		for i := at; i < min(at+size, events); i++ {
			c.seq++
			call := i / 2
			server, tool := call%20, fmt.Sprintf("tool-%d", call%10)
			if call%1000 == 4 {
				tool = "only-of-server-4"
			}
			members := `"decision":"allow","rule":"default","args":{"sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},"kind":"decision"`
			switch {
			case i%2 == 1 && call%97 == 0:
				members = `"outcome":"timeout","latency_ms":30000,"kind":"outcome"`
			case i%2 == 1:
				members = fmt.Sprintf(`"outcome":"ok","latency_ms":%d.5,"bytes_out":1400,"kind":"outcome"`, 1+call%300)
			case call%50 == 0:
				members = `"decision":"deny","rule":"policy.deny_tools[0]","reason":"denied","outcome":"denied","kind":"decision"`
			case call%211 == 0:
				members = `"decision":"allow","rule":"policy.allow_tools","reason":"shadow: not in policy.allow_tools","kind":"decision"`
			case call%9973 == 0:
				members = `"reason":"odd","kind":"anomaly"`
			}
			if call%100 == 0 {
				members = fmt.Sprintf(`"trace_id":"%032x",`, call) + members
			}
			line := fmt.Appendf(nil, `{"time":%q,"id":"01934f6e-8c5a-7%03x-9a4b-%012x","seq":%d,"prev":"%x","source":"wrap","instance":"01934f6e8c5a","host":"host-%d","user":"user-%d","server":"server-%d","client":"%s","session":"01934f6e-8c5a-7abc-9a4b-000000000001","era":"legacy","request_id":%d,"method":"tools/call","target":%q,%s}`,
				begin.Add(time.Duration(i)*step).Format(time.RFC3339Nano), i&0xfff, i, c.seq, c.prev, person, person, server, []string{"claude-code", "gemini-cli"}[call%2], call, tool, members)
			c.prev = sha256.Sum256(line)
			lines = append(append(lines, line...), '\n')
		}
		mustAppend(b, s, Batch{Principal: fmt.Sprint("person-", person), Chain: "c", Lines: lines})
	}
}
