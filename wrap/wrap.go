// Package wrap stands in for one stdio MCP server: it starts the real one as its child and relays every message through
// a guard. To the client it is the server: same bytes, same order, same stderr, same exit code. The real one may also be
// reached by HTTP, for a client that speaks stdio only.
//
// The package decides nothing (that is policy's) and reads no configuration (that is cmd/mcpx's).
package wrap

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/stdio"
)

// Options say what Run wraps.
type Options struct {
	Command stdio.Command                             // the server; its Stderr is set by Run
	Remote  *Remote                                   // the server, in place of Command
	Start   func(stdio.Command) (*stdio.Child, error) // nil: stdio.Start
	Guard   policy.GuardOptions                       // its Log is closed by the caller
	Hub     *Hub                                      // nil: there is none
	In, Out *os.File                                  // the client's side: its requests, our answers
	Err     io.Writer                                 // receives the server's stderr
	Limits  Limits
	Log     zerolog.Logger
}

// Limits bound what Run keeps in memory and how long it waits; zero means a default.
type Limits struct {
	MaxMessage int           // bytes of one message; 0: stdio.DefaultMaxMessage
	MaxDepth   int           // nesting of one message; 0: jsonrpc.DefaultMaxDepth
	Drain      time.Duration // for answers after the client's end; 0: transport.DefaultDrain
}

// Run starts the server and relays until it has ended; nothing of it is left behind then. It returns the server's exit
// code, 128+n if signal n ended it. The error says why the server could not be started (see stdio.Start).
//
// Of a Remote the code is 0 when the client has ended the session, 1 when the server has, 128+n when signal n did.
//
// Run takes the process's signals: the first one that asks to stop is passed on to the server and starts the protocol's
// shutdown, a second one kills.
func Run(ctx context.Context, opt Options) (int, error) {
	if opt.Guard.Census == nil {
		opt.Guard.Census = policy.NewCensus(0)
	}
	guard, err := policy.NewGuard(opt.Guard)
	if err != nil {
		return 0, err
	}
	hub, err := opt.newLiaison(ctx, guard)
	if err != nil {
		return 0, err
	}
	if opt.Remote != nil {
		return opt.runRemote(ctx, guard, hub)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, append(stopSignals, passedSignals...)...)
	defer signal.Stop(signals)
	IgnoreBrokenPipes()

	opt.Command.Stderr = opt.Err
	start := opt.Start
	if start == nil {
		start = stdio.Start
	}
	child, err := start(opt.Command)
	if err != nil {
		return 0, &startError{err}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	server := &serverConn{child: child, Conn: stdio.NewConn(child.Stdout(), child.Stdin(), opt.serverOptions())}
	go server.reap()
	go passOn(signals, child, stop)
	client := stdio.NewConn(opt.In, opt.Out, stdio.Options{MaxMessage: opt.Limits.MaxMessage, MaxDepth: opt.Limits.MaxDepth})

	guard.Record(&audit.Event{Kind: audit.Lifecycle, Reason: "server_started"})
	hub.attend(ctx)
	defer hub.end()
	if err := transport.Relay(ctx, client, server, guard, opt.Limits.Drain); err != nil {
		opt.Log.Debug().Err(err).Msg("server ended")
	}
	_ = client.CloseWrite() // the client is not kept waiting for what follows
	exit := child.Stop(stdio.StopOptions{})
	guard.Record(exited(exit, child))
	if err := opt.Guard.Log.Commit(); err != nil {
		opt.Log.Error().Err(err).Msg("the end of the session is not recorded")
	}
	return exit.Code, nil
}

func (o Options) serverOptions() stdio.Options {
	shown := 0
	return stdio.Options{
		MaxMessage: o.Limits.MaxMessage,
		MaxDepth:   o.Limits.MaxDepth,
		Junk: func(line []byte) {
			const most = 20
			if shown++; shown <= most {
				o.Log.Warn().Str("server", o.Guard.Server).Bytes("line", line[:min(len(line), 512)]).
					Msg("the server wrote something to stdout that is no message; it is not forwarded")
			}
		},
	}
}

// signalPatience is how long a server may take to act on a signal before its input is closed as well.
const signalPatience = time.Second

// passOn passes signals on to the server. The first that asks to stop also ends the session a little later, so that a
// server that handles the signal is not torn between two ways to leave; the second kills at once. When the server is gone
// signals have their usual effect again, so that nothing that is left to do can hold up who wants us to end.
func passOn(signals chan os.Signal, child *stdio.Child, stop context.CancelFunc) {
	stopping := false
	for {
		select {
		case <-child.Done():
			signal.Stop(signals)
			return
		case sig := <-signals:
			_ = child.Signal(sig) // it fails only where the server is gone
			if !stops(sig) {
				continue
			}
			if stopping {
				child.Stop(stdio.StopOptions{Exit: -1, Term: -1})
				continue
			}
			stopping = true
			time.AfterFunc(signalPatience, stop) // also of a server that is gone: the client may not take what it said last
		}
	}
}

// A serverConn is the Conn of a child: it ends when the child does, and ends the child.
type serverConn struct {
	*stdio.Conn
	child *stdio.Child
}

// exitError is how a server ended, as the cause that a Relay reports.
type exitError struct{ stdio.Exit }

func (e *exitError) Error() string { return e.Exit.String() }

// Read waits for the child's end where its output ends, so that the cause is known. A server that closes its
// stdout and stays has ended as a server: it is stopped.
func (s *serverConn) Read(ctx context.Context, dst []jsonrpc.Message) (int, error) {
	n, err := s.Conn.Read(ctx, dst)
	if err == nil {
		return n, nil
	}
	_ = s.Conn.CloseWrite() // the child may have closed its end
	if exit := s.child.Stop(stdio.StopOptions{}); exit.Code != 0 {
		err = &exitError{exit}
	}
	return n, err
}

// Close ends the child by the protocol's ladder.
func (s *serverConn) Close() error {
	err := s.Conn.CloseWrite()
	s.child.Stop(stdio.StopOptions{})
	return err
}

// reap ends what the leader left behind and what may hold its stdout open.
func (s *serverConn) reap() {
	<-s.child.Done()
	s.child.Stop(stdio.StopOptions{})
}

// exited is the record of the server's end; of a crash it holds what the server said last.
func exited(exit stdio.Exit, child *stdio.Child) *audit.Event {
	e := &audit.Event{Kind: audit.Lifecycle, Reason: "server_exited: " + exit.String()}
	if exit.Code != 0 {
		e.Detail = crash(exit, child.StderrTail())
	}
	return e
}

// A startError says that it is the server's command which failed. A permission that is missing elsewhere, such as for the
// audit log, has the same errno.
type startError struct{ error }

func (e *startError) Unwrap() error { return e.error }

// ExitCode returns the code with which a wrapper ends that could not start its server, by the convention of shells: 127
// for a command that does not exist, 126 for one that cannot be executed, 125 for anything else.
func ExitCode(err error) int {
	start, ok := errors.AsType[*startError](err)
	switch {
	case ok && errors.Is(start, exec.ErrNotFound):
		return 127
	case ok && errors.Is(start, os.ErrPermission):
		return 126
	default:
		return 125
	}
}
