package wrap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/sse"
	"github.com/rohitgs28/mcpx/transport/stdio"
	"github.com/rohitgs28/mcpx/transport/streamable"
)

// defaultTimeout is how long a remote server may be silent about a request: the client has a limit of its own, which is
// not to be undercut.
const defaultTimeout = 5 * time.Minute

// exitSessionLost is the exit code when the server, not the client, has ended the session.
const exitSessionLost = 1

// A Remote is a server that is reached by HTTP. What the client says decides which era of the protocol is spoken to it.
type Remote struct {
	URL        string
	SSE        bool              // it speaks the deprecated HTTP+SSE transport; false: Streamable HTTP
	Headers    map[string]string // sent with each request, such as credentials
	Timeout    time.Duration     // without a byte of an answer; 0: five minutes
	UnsafeHTTP bool              // allows http to other machines: whoever is on the way can read and change everything
}

// Validate reports why the server must not, or cannot, be reached. It names no query of the URL, which may hold a secret.
func (r Remote) Validate() error {
	u, err := url.Parse(r.URL)
	if err != nil || u.Hostname() == "" || u.Opaque != "" {
		return errors.New("it is no usable URL: write https://host/path")
	}
	switch {
	case u.User != nil:
		return errors.New("the URL holds a credential: give it as a header")
	case u.Fragment != "":
		return errors.New("the URL has a fragment, which no server sees: leave it out")
	case u.Scheme == "http" && !uplink.LoopbackHost(u.Hostname()) && !r.UnsafeHTTP:
		return fmt.Errorf("http to %q would go unprotected over the network: use https, or allow it with --unsafe-http", u.Host)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("the URL's scheme %q is not known: use https, or http on this machine", u.Scheme)
	}
	return nil
}

// dial returns the server's Conn. Only with the deprecated transport is the server asked for something now.
func (r Remote) dial(ctx context.Context, o Options) (transport.Conn, error) {
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("reach server: %w", err)
	}
	var dial func(ctx context.Context, network, address string) (net.Conn, error) // nil: the network
	if strings.HasPrefix(strings.ToLower(r.URL), "http:") && !r.UnsafeHTTP {
		dial = uplink.DialLoopback // localhost is what the system says it is
	}
	if r.SSE {
		return sse.Dial(ctx, sse.Options{URL: r.URL, Headers: r.Headers, Dial: dial, MaxMessage: o.Limits.MaxMessage, MaxDepth: o.Limits.MaxDepth})
	}
	if r.Timeout == 0 {
		r.Timeout = defaultTimeout
	}
	pool, err := streamable.NewPool(streamable.ClientOptions{
		URL: r.URL, Headers: r.Headers, Timeout: r.Timeout, Dial: dial,
		MaxMessage: o.Limits.MaxMessage, MaxDepth: o.Limits.MaxDepth,
	})
	if err != nil {
		return nil, fmt.Errorf("reach server: %w", err)
	}
	failed := func(err error) { o.Log.Warn().Str("server", o.Guard.Server).Err(err).Msg("the server did not answer") }
	return &pooledConn{streamable.NewConn(streamable.NewClient(pool), failed), pool}, nil
}

// A pooledConn owns the pool that its client takes connections from.
type pooledConn struct {
	*streamable.Conn
	pool *streamable.Pool
}

func (c *pooledConn) Close() error { return errors.Join(c.Conn.Close(), c.pool.Close()) }

// runRemote is Run for a server that is no child. Nobody is there to pass a signal on to: the first one that asks to stop
// ends the session, the second one the process.
func (o Options) runRemote(ctx context.Context, guard *policy.Guard, hub *liaison) (int, error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, stopSignals...)
	defer signal.Stop(signals)
	IgnoreBrokenPipes()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go stopAt(ctx, signals, stop)

	conn, err := o.Remote.dial(ctx, o)
	if err != nil {
		return 0, err
	}
	client := stdio.NewConn(o.In, o.Out, stdio.Options{MaxMessage: o.Limits.MaxMessage, MaxDepth: o.Limits.MaxDepth})
	guard.Record(&audit.Event{Kind: audit.Lifecycle, Reason: "session_started"})
	hub.attend(ctx)
	defer hub.end()
	ended := transport.Relay(ctx, client, &remoteConn{conn}, guard, o.Limits.Drain)
	_ = client.CloseWrite()
	event := &audit.Event{Kind: audit.Lifecycle, Reason: "session_ended"}
	code := 0
	if stopped := (*stopError)(nil); errors.As(context.Cause(ctx), &stopped) {
		code = stopped.code()
	} else if ended != nil {
		code = exitSessionLost
		event.Reason += ": " + ended.Error()
		o.Log.Error().Str("server", o.Guard.Server).Err(errors.Unwrap(ended)).Msg("the server has ended the session")
	}
	guard.Record(event)
	if err := o.Guard.Log.Commit(); err != nil {
		o.Log.Error().Err(err).Msg("the end of the session is not recorded")
	}
	return code, nil
}

// stopAt ends the session at a signal, and leaves the next one its usual effect.
func stopAt(ctx context.Context, signals chan os.Signal, stop context.CancelCauseFunc) {
	select {
	case <-ctx.Done():
	case sig := <-signals:
		signal.Stop(signals)
		stop(&stopError{sig})
	}
}

// A stopError is the signal that ended a session.
type stopError struct{ os.Signal }

func (e *stopError) Error() string { return "stopped by signal: " + e.String() }

func (e *stopError) code() int {
	if n, ok := e.Signal.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return exitSessionLost
}

// A remoteConn words the end of a session so that a client may read it.
type remoteConn struct{ transport.Conn }

// Read leaves the end of the context to the relay, which closes the Conn then.
func (c *remoteConn) Read(ctx context.Context, dst []jsonrpc.Message) (int, error) {
	n, err := c.Conn.Read(context.WithoutCancel(ctx), dst)
	if failure, ok := errors.AsType[*transport.Failure](err); ok {
		err = &lostSession{failure}
	}
	return n, err
}

type lostSession struct{ *transport.Failure }

func (e *lostSession) Error() string { return e.Public() }
func (e *lostSession) Unwrap() error { return e.Failure }
