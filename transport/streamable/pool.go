package streamable

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rohitgs28/mcpx/transport"
)

// A Pool holds the connections to one server; all sessions share it. Requests are made on the goroutine of who makes
// them: no connection has one of its own. Its methods may be called beside one another.
type Pool struct {
	opt    ClientOptions
	origin origin

	exchanges sync.Pool // of *exchange: buffers belong to what is under way, not to connections and sessions

	deaf atomic.Int64 // until when, in Unix nanoseconds, it is told of no ended session

	mu     sync.Mutex
	idle   []*wire     // the one used last is the last; guarded by mu
	reaper *time.Timer // runs while there is an idle one; guarded by mu
	closed bool        // guarded by mu
}

// NewPool checks the options; it connects to nobody.
func NewPool(opt ClientOptions) (*Pool, error) {
	opt = opt.withDefaults()
	from, err := newOrigin(opt)
	if err != nil {
		return nil, err
	}
	return &Pool{opt: opt, origin: from}, nil
}

// Close closes what is idle at once and what is in use when it is not any more. Clients may still be closed afterwards.
func (p *Pool) Close() error {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	if p.reaper != nil {
		p.reaper.Stop()
		p.reaper = nil
	}
	p.mu.Unlock()
	for _, w := range idle {
		w.abort()
	}
	return nil
}

// take returns the connection that was used last and still stands, nil for none: few stay busy, the others end.
func (p *Pool) take() *wire {
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return nil
		}
		w := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if w.usable() {
			return w
		}
		w.abort()
	}
}

// put takes back a connection whose last response was read to its end.
func (p *Pool) put(w *wire) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= p.opt.MaxIdle {
		w.abort()
		return
	}
	p.idle = append(p.idle, w)
	if p.reaper == nil {
		p.reaper = time.AfterFunc(p.opt.IdleTimeout, p.reap)
	}
}

// reap closes what was idle for too long.
func (p *Pool) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaper == nil { // closed in the meantime
		return
	}
	now, old := time.Now(), 0
	for old < len(p.idle) && now.Sub(p.idle[old].last) >= p.opt.IdleTimeout {
		p.idle[old].abort()
		old++
	}
	kept := copy(p.idle, p.idle[old:])
	clear(p.idle[kept:])
	p.idle = p.idle[:kept]
	if kept == 0 {
		p.reaper = nil
		return
	}
	p.reaper.Reset(p.opt.IdleTimeout - now.Sub(p.idle[0].last))
}

// dial makes a new connection. It ends when ctx does, or life, or after dialTimeout.
func (p *Pool) dial(ctx, life context.Context) (*wire, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	defer context.AfterFunc(life, cancel)()
	raw, err := p.opt.Dial(ctx, "tcp", p.origin.address)
	if err == nil {
		var w *wire
		if w, err = newWire(ctx, raw, p.origin.tls); err == nil {
			return w, nil
		}
	}
	return nil, &transport.Failure{Cause: transport.Unreachable, Err: transport.Unsent{Err: err}}
}
