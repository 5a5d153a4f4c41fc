package hub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// run keeps the child for as long as there is need of one.
func (k *keeper) run() {
	log := k.of.log.With().Bool("modern", k.key.modern).Logger()
	for again := true; again; {
		m, conn, err := k.launch()
		if err == nil {
			log.Debug().Msg("server started")
			err = k.attend(m)
			if k.crashed = !errors.Is(err, errIdle) && !errors.Is(err, errStopped); k.crashed {
				log.Warn().Err(err).Msg("server ended")
			}
			k.report(conn, err)
		} else if k.of.ctx.Err() == nil {
			log.Warn().Err(err).Msg("server cannot be started")
		}
		again = k.settle(err)
	}
}

// report tells that the child has ended.
func (k *keeper) report(conn transport.Conn, cause error) {
	k.doubt()
	opt := &k.of.opt
	if opt.Ended == nil {
		return
	}
	if errors.Is(cause, errIdle) || errors.Is(cause, errStopped) {
		opt.Ended(nil, nil)
		return
	}
	var words []byte
	if c, ok := conn.(interface{ lastWords() []byte }); ok {
		words = c.lastWords()
	}
	opt.Ended(cause, words)
}

// launch starts a child and makes it serve.
func (k *keeper) launch() (*mux, transport.Conn, error) {
	c := k.of
	if err := c.place(k); err != nil {
		return nil, nil, err
	}
	m, conn, err := k.connect()
	if err != nil {
		<-c.places
		return nil, nil, err
	}
	if k.begun {
		k.doubt() // before anyone is served by it
	}
	k.begun = true
	m.resubscribe()
	if c.opt.Started != nil {
		c.opt.Started(k.crashed)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wanted, k.err = false, nil
	k.hurry.Store(false)
	k.current.Store(m)
	k.broadcast()
	return m, conn, nil
}

func (k *keeper) connect() (*mux, transport.Conn, error) {
	c := k.of
	ctx, cancel := context.WithTimeout(c.ctx, c.opt.StartTimeout)
	defer cancel()
	conn, err := c.opt.Dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	m := newMux(conn, k.crowd, muxOptions{
		Modern:    k.key.modern,
		Shared:    k.shared,
		Timeout:   c.srv.RequestTimeout,
		MaxFlight: c.opt.MaxFlight,
		Notified:  c.opt.Notified,
		Stray:     k.strays(),
		Refused:   k.refusals(),
	})
	if k.key.modern {
		return m, conn, nil
	}
	if err := k.shakeHands(ctx, m); err != nil {
		m.close()
		if m.cause != nil && ctx.Err() == nil { // it says more than that there was no answer
			err = fmt.Errorf("%w: %w", err, m.cause)
		}
		return nil, nil, err
	}
	return m, conn, nil
}

// broadcast makes all who wait look again. k.mu is held.
func (k *keeper) broadcast() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// attend waits until the child ends, or ends it when nobody uses it.
func (k *keeper) attend(m *mux) error {
	began := time.Now()
	defer func() {
		m.close()
		<-k.of.places
		if time.Since(began) >= steady {
			k.mu.Lock()
			k.failures = 0
			k.mu.Unlock()
		}
	}()
	idle := time.NewTimer(k.of.opt.Idle)
	defer idle.Stop()
	for {
		select {
		case <-m.ended:
			k.current.Store(nil)
			return m.cause
		case <-k.of.ctx.Done():
			k.current.Store(nil)
			return errStopped
		case <-k.emptied:
			idle.Reset(k.patience())
		case <-idle.C:
			if k.retire() {
				return errIdle
			}
			idle.Reset(k.patience())
		}
	}
}

// patience says how long an idle child is still kept: not at all where the one session has ended that it was for, or where
// it is in another's way.
func (k *keeper) patience() time.Duration {
	if k.key.session != "" || k.hurry.Load() {
		return 0
	}
	return k.of.opt.Idle
}

// retire takes the child out of service if nobody has used it for long enough.
func (k *keeper) retire() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lanes > 0 || time.Since(k.empty) < k.patience() {
		return false
	}
	k.current.Store(nil)
	k.hello = nil // the next client introduces itself
	k.doubt()     // before there is a lane for which something is judged
	return true
}

// settle decides what follows the end of a child, or a start that failed; it waits out the pause before the next start. It
// reports whether there is one.
func (k *keeper) settle(cause error) (again bool) {
	k.mu.Lock()
	switch {
	case k.of.ctx.Err() != nil:
		k.running, k.err = false, nil
		k.broadcast()
		k.mu.Unlock()
		return false
	case errors.Is(cause, errIdle):
		k.running = k.wanted // by somebody who came while it was stopped
		again = k.running
		k.mu.Unlock()
		return again
	}
	k.failures++
	k.err, k.wanted = cause, false
	pause := pauseAfter(k.failures)
	k.until = time.Now().Add(pause)
	k.broadcast()
	if k.sessions == 0 {
		k.running = false
		k.mu.Unlock()
		return false
	}
	k.mu.Unlock()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.of.ctx.Done():
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running = k.of.ctx.Err() == nil && (k.sessions > 0 || k.wanted)
	if !k.running {
		k.broadcast()
	}
	return k.running
}

// pauseAfter doubles with each failure in a row, less up to a quarter, so that many do not come back at once.
func pauseAfter(failures int) time.Duration {
	pause := lastPause
	if failures < 8 {
		pause = min(lastPause, firstPause<<(failures-1))
	}
	return pause - rand.N(pause/4+1) //nolint:gosec // jitter
}

// strays is the hook for messages that belong to nobody; a server cannot fill the log with them.
func (k *keeper) strays() func(*jsonrpc.Message, string) {
	told := 0
	return func(m *jsonrpc.Message, reason string) {
		if told++; told <= mostStrays && k.of.opt.Stray != nil {
			k.of.opt.Stray(m, reason)
		}
	}
}

// refusals tells once of each method that the server asks and nobody may be asked.
func (k *keeper) refusals() func(string) {
	told := map[string]bool{}
	return func(method string) {
		if told[method] || len(told) >= mostStrays {
			return
		}
		told[method] = true
		k.of.log.Warn().Str("method", method).Str("isolation", k.of.srv.Isolation).
			Msg("the server asked something of its client, and there is no one client to ask; see isolation")
		if k.of.opt.Refused != nil {
			k.of.opt.Refused(method)
		}
	}
}
