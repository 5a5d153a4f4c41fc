package stdio

import (
	"context"
	"os"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A ChildConn is the Conn of a child for a program whose other peers are in the runtime's poller, such as sockets: so are
// the pipes to the child, where the system has them, and Close wakes who waits for them. It ends when the child does, and
// ends the child.
type ChildConn struct {
	*Conn
	child  *Child
	stdout [2]*os.File // our end of the child's stdout, as Start made it and as it is read
}

// An ExitError is how a server ended that did not end in order.
type ExitError struct{ Exit }

func (e *ExitError) Error() string { return e.String() }

// Connect returns the Conn of a child that was just started, whose Stdin and Stdout belong to it from now on. After an
// error the child is still to be stopped.
func Connect(child *Child, opt Options) (*ChildConn, error) {
	in, err := polled(child.Stdout())
	if err != nil {
		return nil, err
	}
	out, err := polled(child.Stdin())
	if err != nil {
		return nil, err
	}
	if out != child.Stdin() {
		_ = child.Stdin().Close() // or the child would never see the end of its input
	}
	c := &ChildConn{Conn: NewConn(in, out, opt), child: child, stdout: [2]*os.File{child.Stdout(), in}}
	go c.reap()
	return c, nil
}

// Read is like Conn's. Where the output ends it waits for the child's end, so that the cause is known. A server that closes
// its stdout and stays has ended as a server: it is stopped.
func (c *ChildConn) Read(ctx context.Context, dst []jsonrpc.Message) (int, error) {
	n, err := c.Conn.Read(ctx, dst)
	if err == nil {
		return n, nil
	}
	_ = c.CloseWrite()
	if exit := c.child.Stop(StopOptions{}); exit.Code != 0 {
		err = &ExitError{exit}
	}
	for _, f := range c.stdout {
		_ = f.Close() // it was only read from
	}
	return n, err
}

// Close ends the child by the protocol's ladder. Read then ends, once it has returned what the child still said.
func (c *ChildConn) Close() error {
	err := c.CloseWrite()
	c.child.Stop(StopOptions{})
	return err
}

// reap ends what the leader left behind and what may hold its stdout open.
func (c *ChildConn) reap() {
	<-c.child.Done()
	c.child.Stop(StopOptions{})
}

// WritePieces is Write of one message whose text comes in pieces, written where they lie if they are long.
func (c *Conn) WritePieces(pieces [][]byte) error {
	c.pending = c.pending[:0]
	for _, piece := range pieces {
		if len(c.pending)+len(piece) >= writeSize {
			if err := c.flush(); err != nil {
				return err
			}
		}
		if len(piece) < writeSize {
			c.pending = append(c.pending, piece...)
			continue
		}
		grow(c.out, &c.outGrown)
		if _, err := c.out.Write(piece); err != nil {
			return err
		}
	}
	c.pending = append(c.pending, '\n')
	return c.flush()
}
