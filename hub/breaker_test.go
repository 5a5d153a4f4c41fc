package hub

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A scripted is an upstream that does what a test says.
type scripted struct {
	call   func(context.Context, *jsonrpc.Message, transport.Yield) error
	send   func() error
	listen func() error
	calls  int
	closed int
}

func (s *scripted) Call(ctx context.Context, m *jsonrpc.Message, yield transport.Yield) error {
	s.calls++
	return s.call(ctx, m, yield)
}
func (s *scripted) Send(context.Context, *jsonrpc.Message) error { return s.send() }
func (s *scripted) Listen(context.Context, string, transport.Yield) error {
	return s.listen()
}
func (s *scripted) Close() error {
	s.closed++
	return nil
}

// ends is a call that ends so.
func ends(err error) func(context.Context, *jsonrpc.Message, transport.Yield) error {
	return func(_ context.Context, m *jsonrpc.Message, yield transport.Yield) error {
		if err != nil {
			return err
		}
		return yield(transport.Arrival{Message: jsonrpc.NewResult(m.ID, []byte(`{}`))})
	}
}

func failed(cause transport.FailureCause, status int) error {
	return &transport.Failure{Cause: cause, Status: status}
}

func ignore(transport.Arrival) error { return nil }

var ping = jsonrpc.NewRequest(jsonrpc.StringID("1"), "ping", nil)

var threeStrikes = Breaker{Enabled: true, FailureThreshold: 3, Cooldown: 10 * time.Second, HalfOpenMax: 1}

func wantLevel(t *testing.T, b *breaker, want float64) {
	t.Helper()
	if got := b.level(); got != want {
		t.Errorf("state of the breaker: got %v, want %v", got, want)
	}
}

// wantRefused checks that a call is not made.
func wantRefused(t *testing.T, g transport.Upstream, s *scripted, wait time.Duration) {
	t.Helper()
	before := s.calls
	err := g.Call(t.Context(), ping, ignore)
	var f *transport.Failure
	if !errors.As(err, &f) || f.Cause != transport.Overloaded || f.RetryAfter != wait {
		t.Errorf("got %v (%+v), want a refusal for %v", err, f, wait)
	}
	if s.calls != before {
		t.Error("the server was asked")
	}
}

func TestWhatCountsAsAFailure(t *testing.T) {
	const failure, success, neither = "failure", "success", "neither"
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"answer", nil, success},
		{"no connection", failed(transport.Unreachable, 0), failure},
		{"no answer in time", failed(transport.TimedOut, 0), failure},
		{"status 500", failed(transport.Refused, 500), failure},
		{"status 503", failed(transport.Refused, 503), failure},
		{"status 404", failed(transport.Refused, 404), success},
		{"status 429", failed(transport.Refused, 429), success},
		{"session gone", failed(transport.SessionGone, 404), success},
		{"answer that may not be delivered", failed(transport.BadAnswer, 200), neither},
		{"refused by ourselves", failed(transport.Overloaded, 0), neither},
		{"not possible", failed(transport.Unsupported, 0), neither},
		{"client gone while it was written to", errors.New("write: broken pipe"), neither},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// Two failures, the end in question, a failure: open after a failure (4 in a row) and after neither (3), not
			// after a success. After the next failure but one, only then.
			s := &scripted{call: ends(failed(transport.Unreachable, 0))}
			b := newBreaker("s", Breaker{Enabled: true, FailureThreshold: 4, Cooldown: time.Hour}, testMetrics("s"), nil)
			g := newGuarded(s, b)
			step := func(err error) {
				s.call = ends(err)
				if got := g.Call(t.Context(), ping, ignore); !errors.Is(got, err) {
					t.Fatalf("call: got %v, want %v", got, err)
				}
			}
			step(failed(transport.Unreachable, 0))
			step(failed(transport.Unreachable, 0))
			step(tt.err)
			step(failed(transport.Unreachable, 0))
			got := failure
			if b.level() == 0 {
				got = success
				step(failed(transport.Unreachable, 0))
				if b.level() == 1 {
					got = neither
				}
			}
			if got != tt.want {
				t.Errorf("counted as %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAClientThatGoesAwayIsNoEvidence(t *testing.T) {
	b := newBreaker("s", Breaker{Enabled: true, FailureThreshold: 1, Cooldown: time.Hour}, testMetrics("s"), nil)
	s := &scripted{}
	g := newGuarded(s, b)
	ctx, cancel := context.WithCancel(t.Context())
	s.call = func(context.Context, *jsonrpc.Message, transport.Yield) error {
		cancel()
		return failed(transport.Unreachable, 0) // the connection that we closed
	}
	_ = g.Call(ctx, ping, ignore)
	wantLevel(t, b, 0)

	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	s.call = func(ctx context.Context, _ *jsonrpc.Message, _ transport.Yield) error { return ctx.Err() }
	_ = g.Call(late, ping, ignore) // our own patience has ended, not the client's
	wantLevel(t, b, 1)
}

func TestBreakerOpensWaitsProbesAndCloses(t *testing.T) {
	m := testMetrics() // its page is read outside the bubble
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker("s", threeStrikes, m, nil)
		m.setServers(map[string]*breaker{"s": b})
		s := &scripted{call: ends(failed(transport.Unreachable, 0))}
		g := newGuarded(s, b)
		for range 3 {
			wantLevel(t, b, 0)
			_ = g.Call(t.Context(), ping, ignore)
		}
		wantLevel(t, b, 1)
		wantRefused(t, g, s, 10*time.Second)
		<-time.After(3500 * time.Millisecond)
		wantRefused(t, g, s, 7*time.Second) // 6.5 s, in whole seconds
		if err := g.Send(t.Context(), ping); err == nil {
			t.Error("a notification passed an open breaker")
		}
		if err := g.Listen(t.Context(), "", ignore); err == nil {
			t.Error("a stream passed an open breaker")
		}
		<-time.After(7 * time.Second)
		_ = g.Call(t.Context(), ping, ignore) // the probe
		wantLevel(t, b, 1)
		wantRefused(t, g, s, 10*time.Second)

		<-time.After(11 * time.Second)
		wantLevel(t, b, 2)
		s.call = func(ctx context.Context, m *jsonrpc.Message, yield transport.Yield) error {
			other := &scripted{call: ends(nil)}
			wantRefused(t, newGuarded(other, b), other, time.Second) // one probe at a time
			return ends(nil)(ctx, m, yield)
		}
		if err := g.Call(t.Context(), ping, ignore); err != nil {
			t.Error(err)
		}
		wantLevel(t, b, 0)
		if err := g.Close(); err != nil || s.closed != 1 {
			t.Errorf("Close: %v, %d closed", err, s.closed)
		}
	})
	wantScrape(t, m, "^mcpx_breaker", `mcpx_breaker_state{server="s"} 0`, "mcpx_breaker_trips_total 2")
}

// A probe that lasts as long as the client wants must not keep the breaker half-open.
func TestAFirstSignOfLifeEndsAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker("s", threeStrikes, testMetrics("s"), nil)
		s := &scripted{call: ends(failed(transport.TimedOut, 0))}
		g := newGuarded(s, b)
		for range 3 {
			_ = g.Call(t.Context(), ping, ignore)
		}
		<-time.After(11 * time.Second)
		s.call = func(_ context.Context, m *jsonrpc.Message, yield transport.Yield) error {
			_ = yield(transport.Arrival{Message: jsonrpc.NewRequest(jsonrpc.ID{}, "notifications/progress", nil)})
			wantLevel(t, b, 0)
			return failed(transport.Unreachable, 0)
		}
		_ = g.Call(t.Context(), ping, ignore)
		wantLevel(t, b, 0)
	})
}

func TestAPanicFreesTheProbesPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker("s", threeStrikes, testMetrics("s"), nil)
		s := &scripted{call: ends(failed(transport.TimedOut, 0))}
		g := newGuarded(s, b)
		for range 3 {
			_ = g.Call(t.Context(), ping, ignore)
		}
		<-time.After(11 * time.Second)
		s.call = func(context.Context, *jsonrpc.Message, transport.Yield) error { panic(http.ErrAbortHandler) }
		func() {
			defer func() { _ = recover() }()
			_ = g.Call(t.Context(), ping, ignore)
		}()
		s.call = ends(nil)
		if err := g.Call(t.Context(), ping, ignore); err != nil {
			t.Errorf("the next probe: %v", err)
		}
		wantLevel(t, b, 0)
	})
}

func TestNotificationsTellOfFailuresOnly(t *testing.T) {
	b := newBreaker("s", threeStrikes, testMetrics("s"), nil)
	s := &scripted{call: ends(failed(transport.TimedOut, 0)), send: func() error { return nil }, listen: func() error { return transport.ErrNoStream }}
	g := newGuarded(s, b)
	_ = g.Call(t.Context(), ping, ignore)
	_ = g.Call(t.Context(), ping, ignore)
	if err := g.Send(t.Context(), ping); err != nil { // a hung server takes bytes all the same
		t.Error(err)
	}
	if err := g.Listen(t.Context(), "", ignore); !errors.Is(err, transport.ErrNoStream) {
		t.Errorf("listen: %v", err)
	}
	s.send = func() error { return failed(transport.Unreachable, 0) }
	_ = g.Send(t.Context(), ping)
	wantLevel(t, b, 1)
}

func TestStateOfABreakerSurvivesReload(t *testing.T) {
	m := testMetrics("s")
	trip := func(b *breaker, times int) *breaker {
		g := newGuarded(&scripted{call: ends(failed(transport.Unreachable, 0))}, b)
		for range times {
			_ = g.Call(t.Context(), ping, ignore)
		}
		return b
	}
	longer := threeStrikes
	longer.Cooldown = time.Hour
	stricter := threeStrikes
	stricter.FailureThreshold = 2
	for _, tt := range []struct {
		name     string
		failures int
		cfg      Breaker
		want     float64 // state after one more failure
		same     bool
	}{
		{"unchanged and closed", 1, threeStrikes, 0, true},
		{"unchanged and open", 3, threeStrikes, 1, true},
		{"open with another cooldown", 3, longer, 1, false},
		{"failures so far count", 2, longer, 1, false},
		{"too few failures so far", 1, longer, 0, false},
		{"a stricter threshold needs another failure", 2, stricter, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := trip(newBreaker("s", threeStrikes, m, nil), tt.failures)
			trips := scrape(t, m, "^mcpx_breaker_trips")[0]
			after := newBreaker("s", tt.cfg, m, before)
			if (after == before) != tt.same {
				t.Errorf("the same breaker: %v, want %v", after == before, tt.same)
			}
			if open := before.level() == 1; (after.level() == 1) != open {
				t.Errorf("open: got %v, want %v", !open, open)
			}
			if got := scrape(t, m, "^mcpx_breaker_trips")[0]; got != trips {
				t.Errorf("a reload counted as a trip: %s, before %s", got, trips)
			}
			wantLevel(t, trip(after, 1), tt.want)
		})
	}
	off := threeStrikes
	off.Enabled = false
	if b := newBreaker("s", off, m, trip(newBreaker("s", threeStrikes, m, nil), 3)); b != nil {
		t.Error("a breaker that is off")
	}
	up := &scripted{}
	if newGuarded(up, nil) != transport.Upstream(up) {
		t.Error("no breaker changes the upstream")
	}
}

func TestBreakerStateIsShown(t *testing.T) {
	m := testMetrics()
	b := newBreaker("a", Breaker{Enabled: true, FailureThreshold: 1, Cooldown: time.Hour}, m, nil)
	m.setServers(map[string]*breaker{"a": b, "b": newBreaker("b", threeStrikes, m, nil), "without": nil})
	_ = newGuarded(&scripted{call: ends(failed(transport.Refused, 502))}, b).Call(t.Context(), ping, ignore)
	wantScrape(t, m, `^mcpx_breaker`, `mcpx_breaker_state{server="a"} 1`, `mcpx_breaker_state{server="b"} 0`, `mcpx_breaker_trips_total 1`)
	m.setServers(map[string]*breaker{"b": nil})
	wantScrape(t, m, `^mcpx_breaker_state`)
}

func BenchmarkGuardedCall(b *testing.B) {
	answer := transport.Arrival{Message: jsonrpc.NewResult(ping.ID, []byte(`{}`))}
	g := newGuarded(&scripted{call: func(_ context.Context, _ *jsonrpc.Message, yield transport.Yield) error { return yield(answer) }},
		newBreaker("s", threeStrikes, testMetrics("s"), nil))
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if err := g.Call(ctx, ping, ignore); err != nil {
			b.Fatal(err)
		}
	}
}
