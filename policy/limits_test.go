package policy

import (
	"fmt"
	"testing"
	"time"
)

type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func (c *clock) forward(d time.Duration) { c.Time = c.Add(d) }

func newClock() *clock { return &clock{time.Unix(1_800_000_000, 0)} }

func TestDisabledLimiterAllowsAll(t *testing.T) {
	l := NewLimiter(RateConfig{RPS: 1, Burst: 1}, nil)
	for range 100 {
		wantDecision(t, l.Allow("s", "c", []byte("t")), "+default")
	}
}

func TestLimiter(t *testing.T) {
	c := newClock()
	l := NewLimiter(RateConfig{
		Enabled: true, RPS: 10, Burst: 6, PerTool: true, ToolRPS: 1, ToolBurst: 2, PerClient: true, ClientRPS: 2, ClientBurst: 4,
	}, c.now)
	steps := []struct {
		name                 string
		wait                 time.Duration
		server, client, tool string
		want                 string
	}{
		{"first", 0, "s", "a", "t", "+default"},
		{"burst of the tool", 0, "s", "a", "t", "+default"},
		{"tool's bucket is empty", 0, "s", "a", "t", "-rate_limit.tool_rps"},
		{"another tool", 0, "s", "a", "u", "+default"},
		{"the same tool of another server", 0, "r", "b", "t", "+default"},
		{"no tool", 0, "s", "a", "", "+default"},
		{"client's bucket is empty", 0, "s", "a", "", "-rate_limit.client_rps"},
		{"another client", 0, "s", "b", "", "+default"},
		// The refused ones took nothing: of the six tokens one is left.
		{"last token of the server", 0, "s", "b", "", "+default"},
		{"server's bucket is empty", 0, "s", "b", "", "-rate_limit.rps"},
		{"tokens come back", time.Second, "s", "a", "t", "+default"},
		{"one at a time", 0, "s", "a", "t", "-rate_limit.tool_rps"},
	}
	for _, s := range steps {
		c.forward(s.wait)
		var tool []byte
		if s.tool != "" {
			tool = []byte(s.tool)
		}
		t.Run(s.name, func(t *testing.T) { wantDecision(t, l.Allow(s.server, s.client, tool), s.want) })
	}
}

func TestRefusalTakesNoToken(t *testing.T) {
	c := newClock()
	l := NewLimiter(RateConfig{Enabled: true, RPS: 1, Burst: 3, PerTool: true, ToolRPS: 1, ToolBurst: 1}, c.now)
	l.Allow("s", "", []byte("t"))
	for range 100 {
		wantDecision(t, l.Allow("s", "", []byte("t")), "-rate_limit.tool_rps")
	}
	wantDecision(t, l.Allow("s", "", []byte("u")), "+default")
	wantDecision(t, l.Allow("s", "", []byte("v")), "+default")
	wantDecision(t, l.Allow("s", "", []byte("w")), "-rate_limit.rps")
}

func TestRetryAfterIsEnough(t *testing.T) {
	c := newClock()
	l := NewLimiter(RateConfig{Enabled: true, RPS: 0.3, Burst: 1}, c.now)
	l.Allow("s", "", nil)
	for range 5 {
		d := l.Allow("s", "", nil)
		if d.Allow || d.RetryAfter <= 0 || d.RetryAfter > 4*time.Second {
			t.Fatalf("got %v", d)
		}
		c.forward(d.RetryAfter - 2*time.Millisecond)
		wantDecision(t, l.Allow("s", "", nil), "-rate_limit.rps")
		c.forward(2 * time.Millisecond)
		wantDecision(t, l.Allow("s", "", nil), "+default")
	}
}

func TestUnknownNamesNeitherGrowMemoryNorEscapeTheLimit(t *testing.T) {
	c := newClock()
	l := NewLimiter(RateConfig{Enabled: true, PerTool: true, ToolRPS: 1, ToolBurst: 2}, c.now)
	passed := 0
	for i := range 3 * maxBuckets {
		if l.Allow("s", "", fmt.Appendf(nil, "tool-%d", i)).Allow {
			passed++
		}
	}
	if n := len(l.tools.byKey); n > maxBuckets {
		t.Errorf("%d buckets", n)
	}
	if passed > maxBuckets+2 {
		t.Errorf("%d messages passed; new names share what one bucket gives", passed)
	}
	c.forward(time.Minute)
	wantDecision(t, l.Allow("s", "", []byte("new")), "+default")
	if n := len(l.tools.byKey); n != 1 {
		t.Errorf("%d buckets once all are full again, want 1", n)
	}
	long := make([]byte, 1<<20)
	for range 3 {
		l.Allow("s", "", long)
	}
	wantDecision(t, l.Allow("s", "", long), "-rate_limit.tool_rps")
}

func TestRateConfigErrors(t *testing.T) {
	for _, row := range []struct {
		name, want string
		c          RateConfig
	}{
		{"zero", "", RateConfig{}},
		{"whole", "", RateConfig{Enabled: true, RPS: 100, Burst: 20, PerTool: true, ToolRPS: 10, ToolBurst: 5, PerClient: true, ClientRPS: 50, ClientBurst: 20}},
		{"no rate", "rps: is missing; a rate limit needs a rate", RateConfig{Enabled: true}},
		{"only tools", "", RateConfig{Enabled: true, PerTool: true, ToolRPS: 1}},
		{"tools without a rate", "tool_rps: is missing; per_tool needs a rate", RateConfig{Enabled: true, RPS: 1, PerTool: true}},
		{"negative", "client_rps: -1 is not a positive number", RateConfig{ClientRPS: -1}},
		{"negative burst", "burst: -1 is negative", RateConfig{RPS: 1, Burst: -1}},
		{"burst alone", "tool_burst: has no tool_rps beside it", RateConfig{ToolBurst: 1}},
	} {
		t.Run(row.name, func(t *testing.T) { wantError(t, row.c.Validate(), row.want) })
	}
}

func BenchmarkLimiter(b *testing.B) {
	l := NewLimiter(RateConfig{
		Enabled: true, RPS: 1e9, Burst: 1e9, PerTool: true, ToolRPS: 1e9, ToolBurst: 1e9, PerClient: true, ClientRPS: 1e9, ClientBurst: 1e9,
	}, nil)
	tool := []byte("read_file")
	b.ReportAllocs()
	for b.Loop() {
		if !l.Allow("filesystem", "ci-bot", tool).Allow {
			b.Fatal("refused")
		}
	}
}
