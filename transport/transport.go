// Package transport joins two MCP peers. Whatever a peer speaks (a pipe, an HTTP session, a single POST) is a Conn of
// whole messages; Relay pumps messages between two of them; an Inspector judges each.
//
// The package knows no policy, and no wire format beyond the messages themselves: framing lives in its subpackages.
package transport

import (
	"context"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A Conn carries whole messages to and from one peer. One goroutine reads and one writes at a time; Close may be called
// beside them.
type Conn interface {
	// Read waits for a message and returns it together with those that have already come, at most len(dst). They are
	// valid until the next Read. Messages that must not be forwarded are delivered as Invalid. After the last message it
	// returns io.EOF, or an error that says how the peer ended.
	Read(ctx context.Context, dst []jsonrpc.Message) (int, error)
	// Write sends the messages in order and returns when the peer's pipe has taken them all.
	Write(ctx context.Context, msgs ...*jsonrpc.Message) error
	// CloseWrite tells the peer that nothing more will be written.
	CloseWrite() error
	// Close ends the peer and makes Read return in bounded time. It is idempotent.
	Close() error
}

// An Inspector judges the messages of one link and decides what is released to whom. FromClient and FromServer are called
// from one goroutine each, beside one another. None of its methods waits on the network or on a peer.
type Inspector interface {
	// FromClient and FromServer judge m and put into out whatever follows from it: m itself, another message in its
	// place, an answer to its sender. m is valid until Commit has returned and what was put into out was written.
	FromClient(m *jsonrpc.Message, out *jsonrpc.Outbox)
	FromServer(m *jsonrpc.Message, out *jsonrpc.Outbox)
	// Commit records what was judged. Nothing of out is released before it; it may replace what may not be released.
	Commit(out *jsonrpc.Outbox)
	// Attend is called by who tells the client what Unasked puts into out although no message was judged: whenever woken
	// has something, from a goroutine of its own, until it calls done.
	Attend() (woken <-chan struct{}, done func())
	Unasked(out *jsonrpc.Outbox)
	// Pending returns how many of the client's requests the inspector holds back for the moment, and how many the server
	// still has to answer.
	Pending() (held, unanswered int)
	// Lost is called when a request that was released to the server, or is held back, will get no answer; cause is a
	// *Failure, or the error of a context that has ended since nobody waits any more.
	Lost(id jsonrpc.ID, cause error, out *jsonrpc.Outbox)
	// Ended is called once, when the server has ended, with what its Conn's Read returned.
	Ended(cause error, out *jsonrpc.Outbox)
}
