package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A pipeConn is a Conn whose other end is the test.
type pipeConn struct {
	broken chan struct{} // closed: nothing can be written
	in     chan string   // what the peer writes; closed at its end
	out    chan string   // what the peer is given; unbuffered: a peer that does not read blocks
	closed chan struct{}
	once   sync.Once

	mu         sync.Mutex
	closeWrite time.Time
	gone       error // what Read returns once closed
}

func newPipeConn() *pipeConn {
	return &pipeConn{broken: make(chan struct{}), in: make(chan string, 1000), out: make(chan string), closed: make(chan struct{}), gone: io.EOF}
}

func (c *pipeConn) Read(_ context.Context, dst []jsonrpc.Message) (int, error) {
	select {
	case line, ok := <-c.in:
		if !ok {
			return 0, io.EOF
		}
		jsonrpc.Scan([]byte(line), &dst[0])
		return 1, nil
	case <-c.closed:
		return 0, c.gone
	}
}

func (c *pipeConn) Write(_ context.Context, msgs ...*jsonrpc.Message) error {
	for _, m := range msgs {
		select {
		case c.out <- string(m.Raw):
		case <-c.closed:
			return io.ErrClosedPipe
		case <-c.broken:
			return io.ErrClosedPipe
		}
	}
	return nil
}

func (c *pipeConn) takesNothing() { close(c.broken) }

func (c *pipeConn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closeWrite.IsZero() {
		c.closeWrite = time.Now()
	}
	return nil
}

func (c *pipeConn) toldEnd() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closeWrite
}

func (c *pipeConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// A judge forwards everything but what its functions catch, and counts requests like the guard.
type judge struct {
	mu               sync.Mutex
	held, unanswered int
	woken            chan struct{}
	client           func(*jsonrpc.Message, *jsonrpc.Outbox) bool // reports whether it dealt with the message
}

func (j *judge) FromClient(m *jsonrpc.Message, out *jsonrpc.Outbox) {
	if j.client != nil && j.client(m, out) {
		return
	}
	j.count(m.Kind == jsonrpc.Request, 1)
	out.ToServer = append(out.ToServer, m)
}

func (j *judge) FromServer(m *jsonrpc.Message, out *jsonrpc.Outbox) {
	j.count(m.Kind == jsonrpc.Result, -1)
	out.ToClient = append(out.ToClient, m)
}

func (j *judge) count(is bool, n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if is {
		j.unanswered += n
	}
}

func (j *judge) Commit(*jsonrpc.Outbox) {}

func (j *judge) Attend() (woken <-chan struct{}, done func()) { return j.woken, func() {} }

func (j *judge) Unasked(out *jsonrpc.Outbox) {
	out.ToClient = append(out.ToClient, jsonrpc.NewRequest(jsonrpc.ID{}, "unasked", nil))
}

func (j *judge) Pending() (held, unanswered int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.held, j.unanswered
}

func (j *judge) Lost(id jsonrpc.ID, cause error, out *jsonrpc.Outbox) {
	j.count(true, -1)
	out.ToClient = append(out.ToClient, jsonrpc.NewError(id, jsonrpc.InternalError, "lost: "+cause.Error(), nil))
}

func (j *judge) Ended(cause error, out *jsonrpc.Outbox) {
	out.ToClient = append(out.ToClient, jsonrpc.NewRequest(jsonrpc.ID{}, "ended: "+cause.Error(), nil))
}

func request(id int) string  { return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"m"}`, id) }
func response(id int) string { return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{}}`, id) }

// relayed runs a Relay inside a synctest bubble.
func relayed(t *testing.T, j *judge, drain time.Duration, play func(client, server *pipeConn, ended func() (bool, error))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		client, server := newPipeConn(), newPipeConn()
		done := make(chan error, 1)
		go func() { done <- transport.Relay(ctx, client, server, j, drain) }()
		play(client, server, func() (bool, error) {
			synctest.Wait()
			select {
			case err := <-done:
				return true, err
			default:
				return false, nil
			}
		})
		cancel()
		client.Close()
		server.Close()
		synctest.Wait()
	})
}

// What the inspector says unasked reaches a client to which nobody else speaks.
func TestUnasked(t *testing.T) {
	j := &judge{woken: make(chan struct{})}
	relayed(t, j, 0, func(client, _ *pipeConn, _ func() (bool, error)) {
		for range 2 {
			j.woken <- struct{}{}
			if got := <-client.out; got != `{"jsonrpc":"2.0","method":"unasked"}` {
				t.Errorf("the client received %s", got)
			}
		}
	})
}

func TestClientEndDrainsAnswers(t *testing.T) {
	relayed(t, &judge{}, 5*time.Second, func(client, server *pipeConn, ended func() (bool, error)) {
		client.in <- request(1)
		close(client.in)
		<-server.out
		synctest.Wait()
		if server.toldEnd().IsZero() {
			t.Error("the server is not told that the client has ended")
		}
		<-time.After(4 * time.Second)
		server.in <- response(1)
		if got := <-client.out; got != response(1) {
			t.Errorf("the client received %s", got)
		}
		select {
		case got := <-client.out:
			if got != `{"jsonrpc":"2.0","method":"ended: EOF"}` {
				t.Errorf("the client received %s", got)
			}
		case <-server.closed:
			<-client.out
		}
		if done, err := ended(); !done || err != nil {
			t.Errorf("ended %v, %v: everything was answered", done, err)
		}
	})
}

func TestDrainIsBounded(t *testing.T) {
	relayed(t, &judge{}, 5*time.Second, func(client, server *pipeConn, ended func() (bool, error)) {
		begin := time.Now()
		client.in <- request(1)
		close(client.in)
		<-server.out
		<-server.closed
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("the server is closed after %v", took)
		}
		<-client.out
		if done, err := ended(); !done || err != nil {
			t.Errorf("ended %v, %v", done, err)
		}
	})
}

// What is held back may still have to be forwarded, so the server is not told of the end before.
func TestHeldRequestsKeepTheServerOpen(t *testing.T) {
	j := &judge{held: 1}
	relayed(t, j, 5*time.Second, func(client, server *pipeConn, _ func() (bool, error)) {
		close(client.in)
		synctest.Wait()
		if !server.toldEnd().IsZero() {
			t.Error("the server was told of the end while a request was held back")
		}
		j.mu.Lock()
		j.held = 0
		j.mu.Unlock()
		server.in <- `{"jsonrpc":"2.0","method":"n"}`
		<-client.out
		synctest.Wait()
		if server.toldEnd().IsZero() {
			t.Error("the server was not told of the end")
		}
		<-server.closed
		<-client.out
	})
}

func TestServerEnd(t *testing.T) {
	relayed(t, &judge{}, 0, func(client, server *pipeConn, ended func() (bool, error)) {
		server.gone = errors.New("exit status 3")
		server.Close()
		if got := <-client.out; !strings.Contains(got, "ended: exit status 3") {
			t.Errorf("the client received %s", got)
		}
		if done, err := ended(); !done || err == nil || err.Error() != "exit status 3" {
			t.Errorf("ended %v, %v: the client's Read still waits", done, err)
		}
	})
}

// A client that does not read cannot keep the wrapper of a dead server alive.
func TestServerEndWithoutReader(t *testing.T) {
	relayed(t, &judge{}, 0, func(_, server *pipeConn, ended func() (bool, error)) {
		server.Close()
		<-time.After(999 * time.Millisecond)
		if done, _ := ended(); !done {
			t.Error("not ended within a second")
		}
	})
}

func TestContextEndClosesTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		client, server := newPipeConn(), newPipeConn()
		done := make(chan error, 1)
		go func() { done <- transport.Relay(ctx, client, server, &judge{}, 0) }()
		client.in <- request(1)
		<-server.out
		cancel()
		<-server.closed
		<-client.out
		if err := <-done; err != nil {
			t.Error(err)
		}
		client.Close()
	})
}

// A client that reads nothing cannot keep a session alive that is to end, whoever ends it.
func TestClientThatReadsNothing(t *testing.T) {
	for name, end := range map[string]func(client *pipeConn, cancel context.CancelFunc){
		"the context ends": func(_ *pipeConn, cancel context.CancelFunc) { cancel() },
		"the client ends":  func(client *pipeConn, _ context.CancelFunc) { close(client.in) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				client, server := newPipeConn(), newPipeConn()
				done := make(chan error, 1)
				go func() { done <- transport.Relay(ctx, client, server, &judge{}, time.Second) }()
				for range 100 {
					server.in <- `{"jsonrpc":"2.0","method":"n"}`
				}
				synctest.Wait()
				begin := time.Now()
				end(client, cancel)
				if err := <-done; err == nil || time.Since(begin) > 3*time.Second {
					t.Errorf("ended %v after %v", err, time.Since(begin))
				}
				client.Close()
			})
		})
	}
}

// A client that only writes must not stop its requests from reaching the server, whatever we have to answer it.
func TestAnswersOfOursDoNotBlockTheClientsRequests(t *testing.T) {
	j := &judge{client: func(m *jsonrpc.Message, out *jsonrpc.Outbox) bool {
		if m.Kind != jsonrpc.Request {
			return false
		}
		out.ToClient = append(out.ToClient, jsonrpc.NewError(m.ID, -1, "no", nil))
		return true
	}}
	relayed(t, j, 0, func(client, server *pipeConn, _ func() (bool, error)) {
		const n = 500
		for i := range n {
			client.in <- request(i)
		}
		client.in <- `{"jsonrpc":"2.0","method":"last"}`
		if got := <-server.out; !strings.Contains(got, "last") {
			t.Errorf("the server received %s", got)
		}
		for i := range n {
			if got := <-client.out; !strings.Contains(got, fmt.Sprintf(`"id":%d,`, i)) {
				t.Fatalf("answer %d is %s", i, got)
			}
		}
	})
}

// Each direction flows while the other one is blocked.
func TestDirectionsAreIndependent(t *testing.T) {
	relayed(t, &judge{}, 0, func(client, server *pipeConn, _ func() (bool, error)) {
		for i := range 100 { // nobody reads them
			server.in <- fmt.Sprintf(`{"jsonrpc":"2.0","method":"n%d"}`, i)
		}
		for i := range 100 {
			client.in <- request(i)
			if got := <-server.out; got != request(i) {
				t.Fatalf("the server received %s", got)
			}
		}
		for i := range 100 {
			if got := <-client.out; got != fmt.Sprintf(`{"jsonrpc":"2.0","method":"n%d"}`, i) {
				t.Fatalf("the client received %s", got)
			}
		}
	})
}

// A client that takes nothing any more has ended, even if its side could still be read.
func TestClientThatTakesNothing(t *testing.T) {
	relayed(t, &judge{}, 0, func(client, server *pipeConn, ended func() (bool, error)) {
		client.takesNothing()
		server.in <- `{"jsonrpc":"2.0","method":"n"}`
		<-server.closed
		if done, err := ended(); !done || err != nil {
			t.Errorf("ended %v, %v", done, err)
		}
	})
}
