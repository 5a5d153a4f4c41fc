package hub

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/sse"
	"github.com/rohitgs28/mcpx/transport/stdio"
)

// childOptions say how the children of one entry are kept. Zero values are the defaults; every hook may be nil.
type childOptions struct {
	Version      string                                        // ours, for servers that ask who we are
	Log          zerolog.Logger                                // what is written to stderr by children goes there
	Dial         func(context.Context) (transport.Conn, error) // in place of what the entry says
	StartTimeout time.Duration                                 // from the start to the end of the handshake; 0: a minute, for packages are downloaded in it
	Idle         time.Duration                                 // without a session or request, until a child is stopped; 0: 10 minutes
	MaxChildren  int                                           // of the entry at a time, half of them at most one known principal's; 0: 64
	MaxFlight    int                                           // requests at a time, per child; 0: 4096

	Notified func(method string)                     // a list has changed
	Doubt    func()                                  // a child has ended, or another one takes its place: what was known of it need not hold
	Started  func(again bool)                        // a child serves; again: in place of one that had ended by itself
	Ended    func(cause error, stderr []byte)        // it has ended; nil: it was stopped. stderr is what a crash said last
	Stray    func(m *jsonrpc.Message, reason string) // a message of the server that belongs to nobody was dropped
	Refused  func(method string)                     // the server asked something that nobody may be asked
}

// children are the processes of one entry of the configuration, or its sessions of the deprecated HTTP+SSE transport. They
// are started when they are needed: one for each era, since some servers change their answers once they saw initialize,
// and as the entry's isolation says for all clients, each principal or each session.
type children struct {
	srv    Server
	limits Limits
	opt    childOptions
	log    zerolog.Logger
	ctx    context.Context // ends when the entry is served no more
	end    context.CancelFunc
	all    sync.WaitGroup // the keepers that run
	places chan struct{}  // one for each child that may run

	mu      sync.Mutex
	keepers map[openKey]*keeper
	closed  bool
}

func newChildren(srv Server, limits Limits, opt childOptions) *children {
	if opt.StartTimeout <= 0 {
		opt.StartTimeout = time.Minute
	}
	if opt.Idle <= 0 {
		opt.Idle = 10 * time.Minute
	}
	if opt.MaxChildren <= 0 {
		opt.MaxChildren = 64
	}
	c := &children{srv: srv, limits: limits, opt: opt, keepers: make(map[openKey]*keeper),
		log: opt.Log.With().Str("server", srv.Name).Logger(), places: make(chan struct{}, opt.MaxChildren)}
	c.ctx, c.end = context.WithCancel(context.Background())
	if c.opt.Dial == nil {
		c.opt.Dial = c.start
		if srv.Transport == "sse" {
			c.opt.Dial = c.dial
		}
	}
	return c
}

// open returns the server as one session uses it, or one request that belongs to none. It starts nothing by itself. Who
// has opened it closes it: a child is stopped when nobody has used it for a while.
func (c *children) open(key openKey) (transport.Upstream, error) {
	if key.modern && c.srv.Transport == "sse" {
		return nil, &transport.Failure{Cause: transport.Unsupported, Err: transport.Unsent{Err: errors.New("HTTP+SSE has no revision 2026-07-28")}}
	}
	shared := c.key(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, unreachable(errStopped)
	}
	k := c.keepers[shared]
	if k == nil {
		c.tidy()
		k = newKeeper(c, shared)
		c.keepers[shared] = k
	}
	return k.open(key.principal, !key.modern && key.session != ""), nil
}

// key says which keeper serves whom. There is no session in a request of the modern era, nor in a single legacy one: a
// child for each would be started for a single answer, so with isolation by session these share one per principal.
func (c *children) key(k openKey) openKey {
	switch c.srv.Isolation {
	case PerClient:
		k.session = ""
	case PerSession:
		if k.modern {
			k.session = ""
		}
	default:
		k.principal, k.session = "", ""
	}
	return k
}

// tidy forgets keepers that nobody uses. c.mu is held.
func (c *children) tidy() {
	for key, k := range c.keepers {
		if k.unused() {
			delete(c.keepers, key)
		}
	}
}

// close stops all children and waits until nothing of them is left, a few seconds at most for each, all at once. What is in
// flight fails.
func (c *children) close() {
	c.mu.Lock()
	c.closed = true
	for _, k := range c.keepers {
		k.crowd.end()
	}
	c.mu.Unlock()
	c.end()
	c.all.Wait()
}

// The states of children. Where several differ the one furthest down counts: one that serves shows that the server is well.
const (
	childIdle       = "idle"       // none is needed
	childFailed     = "failed"     // and is not started again before it is needed; with the error
	childRestarting = "restarting" // after a failure; with the error
	childStarting   = "starting"   // for the first time
	childRunning    = "running"
)

// check says how the children are; it starts none.
func (c *children) check(context.Context) (string, error) {
	rank := map[string]int{childIdle: 0, childFailed: 1, childRestarting: 2, childStarting: 3, childRunning: 4}
	c.mu.Lock()
	defer c.mu.Unlock()
	state, err := childIdle, error(nil)
	for _, k := range c.keepers {
		if s, problem := k.condition(); rank[s] > rank[state] {
			state, err = s, problem
		}
	}
	return state, err
}

// errCrowded says that there is no room for another child.
var errCrowded = &transport.Failure{Cause: transport.Overloaded, Err: transport.Unsent{Err: errors.New("too many children run already")}}

// place waits for a place for another child, if there is one or if one can be made by stopping a child that nobody uses.
// What has the place gives it back.
func (c *children) place(k *keeper) error {
	longest, same := c.neighbours(k)
	if k.key.principal != "" && same >= max(1, cap(c.places)/2) {
		return errCrowded
	}
	select {
	case c.places <- struct{}{}:
		return nil
	default:
	}
	if longest == nil {
		return errCrowded
	}
	longest.giveWay()
	timer := time.NewTimer(c.opt.StartTimeout)
	defer timer.Stop()
	select {
	case c.places <- struct{}{}:
		return nil
	case <-timer.C:
		return errCrowded
	case <-c.ctx.Done():
		return errStopped
	}
}

// neighbours returns the keeper whose child nobody has used for longest, nil if all are in use, and how many other
// children are the same principal's.
func (c *children) neighbours(k *keeper) (longest *keeper, same int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var since time.Time
	for _, other := range c.keepers {
		if other == k || other.current.Load() == nil {
			continue
		}
		if other.key.principal == k.key.principal {
			same++
		}
		if empty, at := other.emptySince(); empty && (longest == nil || at.Before(since)) {
			longest, since = other, at
		}
	}
	return longest, same
}

// start starts the entry's command.
func (c *children) start(context.Context) (transport.Conn, error) {
	stderr := newChildLog(c.log)
	child, err := stdio.Start(stdio.Command{
		Args:   append([]string{c.srv.Command}, c.srv.Args...),
		Env:    childEnviron(c.srv.Env),
		Dir:    c.srv.Workdir,
		Stderr: stderr,
	})
	if err != nil {
		return nil, err
	}
	go func() {
		<-child.Done()
		stderr.end()
	}()
	conn, err := stdio.Connect(child, stdio.Options{
		MaxMessage: c.limits.MaxMessage,
		MaxDepth:   c.limits.MaxDepth,
		Junk:       stderr.junk,
	})
	if err != nil {
		_ = child.Stdin().Close()
		child.Stop(stdio.StopOptions{Exit: -1})
		return nil, err
	}
	return &startedConn{ChildConn: conn, child: child}, nil
}

// A startedConn also knows what its child said last.
type startedConn struct {
	*stdio.ChildConn
	child *stdio.Child
}

func (s *startedConn) lastWords() []byte { return s.child.StderrTail() }

// dial opens a session of the deprecated HTTP+SSE transport.
func (c *children) dial(ctx context.Context) (transport.Conn, error) {
	return sse.Dial(ctx, sse.Options{URL: c.srv.URL, Headers: c.srv.Headers, MaxMessage: c.limits.MaxMessage, MaxDepth: c.limits.MaxDepth})
}
