package hub

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A breaker keeps requests from a server that does not answer: after so many failures in a row it refuses them for a while,
// then lets a few through to see. It is safe for concurrent use.
//
// Only what says that the server is down counts as a failure: no connection, no answer in time, a status of 500 or more. Any
// other answer is a success, whatever it says. What tells nothing of the server counts as neither: a client that has gone,
// an answer that may not be delivered, a refusal of our own.
type breaker struct {
	cfg     Breaker
	metrics *metrics
	machine *gobreaker.TwoStepCircuitBreaker[struct{}]

	state     atomic.Int32 // the machine's gobreaker.State since its last change
	openUntil atomic.Int64 // Unix time in ns
	quiet     bool         // while what a previous breaker knew is repeated; not used afterwards
}

// What the machine is told of a request.
var (
	errServerDown = errors.New("the server is down")
	errNoEvidence = errors.New("the request says nothing of the server")
)

// newBreaker returns the breaker of a server, nil if it is to have none. previous is that of the server in the configuration
// before, nil if there was none or the server is another now; what it knows lives on.
func newBreaker(server string, cfg Breaker, m *metrics, previous *breaker) *breaker {
	if !cfg.Enabled {
		return nil
	}
	if previous != nil && previous.cfg == cfg {
		return previous
	}
	b := &breaker{cfg: cfg, metrics: m}
	threshold := uint32(min(max(cfg.FailureThreshold, 1), math.MaxInt32))
	b.machine = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:          server,
		MaxRequests:   uint32(min(max(cfg.HalfOpenMax, 1), math.MaxInt32)),
		Timeout:       cfg.Cooldown,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= threshold },
		IsExcluded:    func(err error) bool { return err == errNoEvidence }, //nolint:errorlint // told by us, never wrapped
		OnStateChange: b.changed,
	})
	if previous != nil {
		b.repeat(previous, threshold)
	}
	return b
}

// repeat brings the breaker to where another one is: open, or as many failures on the way.
func (b *breaker) repeat(previous *breaker, threshold uint32) {
	failures := min(previous.machine.Counts().ConsecutiveFailures, threshold-1)
	if previous.machine.State() != gobreaker.StateClosed {
		failures = threshold
	}
	b.quiet = true
	for range failures {
		if done, err := b.machine.Allow(); err == nil {
			done(errServerDown)
		}
	}
	b.quiet = false
}

// changed is called while the machine is locked.
func (b *breaker) changed(_ string, _, to gobreaker.State) {
	b.state.Store(int32(to)) //nolint:gosec // one of three
	if to == gobreaker.StateOpen {
		b.openUntil.Store(time.Now().Add(b.cfg.Cooldown).UnixNano())
	}
	if to == gobreaker.StateOpen && !b.quiet {
		b.metrics.breakerTrip()
	}
}

// level is the state as the metrics show it.
func (b *breaker) level() float64 {
	switch b.machine.State() {
	case gobreaker.StateOpen:
		return 1
	case gobreaker.StateHalfOpen:
		return 2
	case gobreaker.StateClosed:
	}
	return 0
}

// refusal is what a request gets while the breaker is open. The wait is in whole seconds, as Retry-After says it.
func (b *breaker) refusal(cause error) error {
	wait := time.Duration(b.openUntil.Load() - time.Now().UnixNano())
	seconds := max(1, math.Ceil(wait.Seconds()))
	return &transport.Failure{Cause: transport.Overloaded, RetryAfter: time.Duration(seconds) * time.Second, Err: transport.Unsent{Err: cause}}
}

// A guarded is an upstream behind a breaker.
type guarded struct {
	transport.Upstream
	breaker *breaker
}

// newGuarded puts a breaker before an upstream; a nil breaker changes nothing.
func newGuarded(up transport.Upstream, b *breaker) transport.Upstream {
	if b == nil {
		return up
	}
	return &guarded{Upstream: up, breaker: b}
}

func (g *guarded) Call(ctx context.Context, request *jsonrpc.Message, yield transport.Yield) error {
	done, err := g.breaker.machine.Allow()
	if err != nil {
		return g.breaker.refusal(err)
	}
	if request.Method == "subscriptions/listen" || g.breaker.state.Load() == int32(gobreaker.StateHalfOpen) {
		return g.callAndWatch(ctx, request, yield, done)
	}
	evidence := errNoEvidence // also after a panic
	defer func() { done(evidence) }()
	err = g.Upstream.Call(ctx, request, yield)
	evidence = evidenceOf(ctx, err)
	return err
}

// callAndWatch takes the first sign of life for a success: the end of the call may be hours away.
func (g *guarded) callAndWatch(ctx context.Context, request *jsonrpc.Message, yield transport.Yield, done func(error)) error {
	told, evidence := false, errNoEvidence
	defer func() {
		if !told {
			done(evidence)
		}
	}()
	err := g.Upstream.Call(ctx, request, func(a transport.Arrival) error {
		if !told {
			told = true
			done(nil)
		}
		return yield(a)
	})
	evidence = evidenceOf(ctx, err)
	return err
}

// Send tells the breaker of failures only: that a message was taken says little of a server that is to answer requests.
func (g *guarded) Send(ctx context.Context, m *jsonrpc.Message) error {
	done, err := g.breaker.machine.Allow()
	if err != nil {
		return g.breaker.refusal(err)
	}
	evidence := errNoEvidence
	defer func() { done(evidence) }()
	if err = g.Upstream.Send(ctx, m); err != nil && evidenceOf(ctx, err) != nil {
		evidence = evidenceOf(ctx, err)
	}
	return err
}

// Listen is refused while the breaker is open, and tells it nothing: a stream ends for many reasons.
func (g *guarded) Listen(ctx context.Context, after string, yield transport.Yield) error {
	if g.breaker.machine.State() == gobreaker.StateOpen {
		return g.breaker.refusal(gobreaker.ErrOpenState)
	}
	return g.Upstream.Listen(ctx, after, yield)
}

// evidenceOf says what the end of a request tells of the server.
func evidenceOf(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return errNoEvidence // whatever broke, broke because nobody waits any more
	}
	var failure *transport.Failure
	if !errors.As(err, &failure) {
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
			return errServerDown
		}
		return errNoEvidence
	}
	switch failure.Cause {
	case transport.Unreachable, transport.TimedOut:
		return errServerDown
	case transport.Refused:
		if failure.Status >= 500 {
			return errServerDown
		}
		return nil
	case transport.SessionGone:
		return nil
	case transport.BadAnswer, transport.Overloaded, transport.Unsupported:
	}
	return errNoEvidence
}
