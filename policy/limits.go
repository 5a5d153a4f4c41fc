package policy

import (
	"errors"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// RateConfig is the `rate_limit:` section. The server's bucket, and where they are on the tool's and the
// client's, must all have a token for a message to pass.
type RateConfig struct {
	Enabled bool    `yaml:"enabled"`
	RPS     float64 `yaml:"rps"`   // messages per second and server; 0: no such limit
	Burst   int     `yaml:"burst"` // size of a bucket; 0: the rate, rounded up

	PerTool   bool    `yaml:"per_tool"`
	ToolRPS   float64 `yaml:"tool_rps"`
	ToolBurst int     `yaml:"tool_burst"`

	PerClient   bool    `yaml:"per_client"`
	ClientRPS   float64 `yaml:"client_rps"`
	ClientBurst int     `yaml:"client_burst"`
}

// Validate reports all that is wrong with the section.
func (c RateConfig) Validate() error {
	var p problems
	p.rate("", c.RPS, c.Burst)
	p.rate("tool_", c.ToolRPS, c.ToolBurst)
	p.rate("client_", c.ClientRPS, c.ClientBurst)
	if c.PerTool && c.ToolRPS == 0 {
		p.add("tool_rps", "is missing; per_tool needs a rate")
	}
	if c.PerClient && c.ClientRPS == 0 {
		p.add("client_rps", "is missing; per_client needs a rate")
	}
	if c.Enabled && c.RPS == 0 && !c.PerTool && !c.PerClient {
		p.add("rps", "is missing; a rate limit needs a rate")
	}
	return errors.Join(p...)
}

func (p *problems) rate(prefix string, rps float64, burst int) {
	if math.IsNaN(rps) || math.IsInf(rps, 0) || rps < 0 {
		p.add(prefix+"rps", "%v is not a positive number", rps)
	}
	if burst < 0 {
		p.add(prefix+"burst", "%d is negative", burst)
	}
	if burst > 0 && rps == 0 {
		p.add(prefix+"burst", "has no %srps beside it", prefix)
	}
}

// maxBuckets bounds the buckets of each kind. Names come from outside.
const maxBuckets = 4096

// A Limiter counts messages by server, tool and client. It is safe for concurrent use; a nil Limiter lets
// everything pass.
type Limiter struct {
	clock func() time.Time

	mu      sync.Mutex // guards the buckets, so that a message takes all its tokens or none
	servers buckets
	tools   buckets
	clients buckets
}

// NewLimiter returns a limiter for a validated configuration, nil where it is disabled. The clock is time.Now
// unless given.
func NewLimiter(c RateConfig, clock func() time.Time) *Limiter {
	if !c.Enabled {
		return nil
	}
	if clock == nil {
		clock = time.Now
	}
	l := &Limiter{clock: clock, servers: newBuckets("rate_limit.rps", c.RPS, c.Burst)}
	if c.PerTool {
		l.tools = newBuckets("rate_limit.tool_rps", c.ToolRPS, c.ToolBurst)
	}
	if c.PerClient {
		l.clients = newBuckets("rate_limit.client_rps", c.ClientRPS, c.ClientBurst)
	}
	return l
}

// Allow takes one token for a message to a server from a client, and for a tool unless tool is nil. It takes
// none if any of the buckets is empty.
func (l *Limiter) Allow(server, client string, tool []byte) Decision {
	if l == nil {
		return allowed(DefaultRule)
	}
	now := l.clock()
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := [3]*rate.Limiter{l.servers.of(bucketKey{server: server}, now)}
	if tool != nil {
		taken[1] = l.tools.ofTool(server, tool, now)
	}
	taken[2] = l.clients.of(bucketKey{name: client}, now)
	for i, b := range taken {
		if b == nil || b.TokensAt(now) >= 1 {
			continue
		}
		rule := [3]string{l.servers.rule, l.tools.rule, l.clients.rule}[i]
		d := denied(rule, "too many messages: %s allows %v per second", rule, float64(b.Limit()))
		d.RetryAfter = time.Duration(math.Ceil((1-b.TokensAt(now))/float64(b.Limit())*1000)) * time.Millisecond
		return d
	}
	for _, b := range taken {
		if b != nil {
			b.AllowN(now, 1)
		}
	}
	return allowed(DefaultRule)
}

// buckets holds the buckets of one kind. Rate 0 means that there are none.
type buckets struct {
	rule  string
	rps   rate.Limit
	burst int
	byKey map[bucketKey]*rate.Limiter
	other *rate.Limiter // shared by all that come when the map is full
	swept time.Time     // when full buckets were last dropped
}

type bucketKey struct{ server, name string }

func newBuckets(rule string, rps float64, burst int) buckets {
	if burst == 0 {
		burst = max(1, int(math.Ceil(min(rps, math.MaxInt32))))
	}
	return buckets{
		rule: rule, rps: rate.Limit(rps), burst: burst,
		byKey: map[bucketKey]*rate.Limiter{},
		other: rate.NewLimiter(rate.Limit(rps), burst),
	}
}

func (b *buckets) of(key bucketKey, now time.Time) *rate.Limiter {
	if b.rps == 0 {
		return nil
	}
	if l, ok := b.byKey[key]; ok {
		return l
	}
	if len(b.byKey) >= maxBuckets {
		b.sweep(now)
	}
	if len(b.byKey) >= maxBuckets {
		return b.other
	}
	l := rate.NewLimiter(b.rps, b.burst)
	b.byKey[key] = l
	return l
}

// ofTool is [buckets.of] without an allocation for a tool that has its bucket. A long name shares one bucket with
// all others that begin alike: a key must not hold megabytes.
func (b *buckets) ofTool(server string, tool []byte, now time.Time) *rate.Limiter {
	const limit = 256
	if l, ok := b.byKey[bucketKey{server, string(tool)}]; ok {
		return l
	}
	return b.of(bucketKey{server, string(tool[:min(len(tool), limit)])}, now)
}

// sweep drops the buckets that are full again: a new one would say the same. It looks at them at most ten times a
// second, so that a flood of new names costs little.
func (b *buckets) sweep(now time.Time) {
	if now.Sub(b.swept) < 100*time.Millisecond {
		return
	}
	b.swept = now
	for key, l := range b.byKey {
		if l.TokensAt(now) >= float64(b.burst) {
			delete(b.byKey, key)
		}
	}
}
