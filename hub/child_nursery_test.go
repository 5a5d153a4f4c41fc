package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A nursery is the children of an entry whose programs are in the test's own process.
type nursery struct {
	*testing.T
	*children
	mu    sync.Mutex
	born  []*fakeConn
	fails int // so many more starts do not succeed
	notes []string
	hello string // the server's answer to initialize
}

const helloResult = `"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}`

func inNursery(t *testing.T, isolation string, play func(n *nursery)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &nursery{T: t, hello: helloResult}
		note := func(what string) func() { return func() { n.note(what) } }
		n.children = newChildren(Server{Name: "s", Isolation: isolation, RequestTimeout: 10 * time.Second}, Limits{}, childOptions{
			Version: "9", Log: zerolog.Nop(), Dial: n.dial, MaxChildren: 4,
			Doubt: note("doubt"), Ended: func(cause error, _ []byte) { n.note(fmt.Sprint("ended ", cause)) },
			Started:  func(again bool) { n.note(map[bool]string{false: "started", true: "started again"}[again]) },
			Notified: n.note, Refused: n.note,
		})
		play(n)
		n.close()
	})
}

func (n *nursery) note(what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notes = append(n.notes, what)
}

func (n *nursery) dial(context.Context) (transport.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fails > 0 {
		n.fails--
		return nil, errors.New("no such program")
	}
	c := newFakeConn()
	n.born = append(n.born, c)
	return &obliging{c, n.hello}, nil
}

// An obliging server answers initialize at once, and every call with its own text.
type obliging struct {
	*fakeConn
	hello string
}

func (o *obliging) Write(ctx context.Context, msgs ...*jsonrpc.Message) error {
	for _, m := range msgs {
		switch m.Method {
		case "initialize":
			o.say(`{"jsonrpc":"2.0","id":%s,%s}`, m.ID.Token(), o.hello)
		case "tools/call":
			o.say(`{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID.Token(), m.Params())
		case "resources/subscribe":
			o.say(`{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID.Token())
		}
	}
	return o.fakeConn.Write(ctx, msgs...)
}

// heard returns what a child was sent since the last time.
func (n *nursery) heard(child int) []string {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []string
	for len(n.born[child].heard) > 0 {
		all = append(all, <-n.born[child].heard)
	}
	return all
}

func (n *nursery) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.born)
}

func (n *nursery) opened(modern bool, principal, session string) transport.Upstream {
	n.Helper()
	up, err := n.open(openKey{modern: modern, principal: principal, session: session})
	if err != nil {
		n.Fatal(err)
	}
	return up
}

// ask makes a call and returns its answer.
func (n *nursery) ask(up transport.Upstream, text string) (answer string, err error) {
	n.Helper()
	err = up.Call(n.Context(), message(n, text), func(a transport.Arrival) error {
		answer = string(a.Message.Raw)
		return nil
	})
	return answer, err
}

func (n *nursery) mustAsk(up transport.Upstream, text, want string) {
	n.Helper()
	if got, err := n.ask(up, text); got != want || err != nil {
		n.Errorf("answer %s, %v; want %s", got, err, want)
	}
}

func (n *nursery) wantFailure(err error, cause transport.FailureCause, retryAtMost time.Duration) {
	n.Helper()
	var f *transport.Failure
	if !errors.As(err, &f) || f.Cause != cause || f.RetryAfter > retryAtMost || retryAtMost > 0 && f.RetryAfter <= 0 {
		n.Errorf("%+v, want cause %v and to be asked again in at most %v", err, cause, retryAtMost)
	}
}

func (n *nursery) wantState(want string) {
	n.Helper()
	synctest.Wait()
	if got, _ := n.check(n.Context()); got != want {
		n.Errorf("state %q, want %q", got, want)
	}
}
