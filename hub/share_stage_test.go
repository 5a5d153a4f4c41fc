package hub

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

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A fakeConn is a server in the test's own process: heard is what it was sent, say what it says.
type fakeConn struct {
	heard  chan string
	said   chan string
	closed chan struct{}
	once   sync.Once
	deaf   bool          // it takes nothing that is written to it
	busy   chan struct{} // not nil: it takes nothing before this is closed
}

func newFakeConn() *fakeConn {
	return &fakeConn{heard: make(chan string, 4096), said: make(chan string, 4096), closed: make(chan struct{})}
}

func (f *fakeConn) say(format string, args ...any) { f.said <- fmt.Sprintf(format, args...) }

func (f *fakeConn) Read(_ context.Context, dst []jsonrpc.Message) (int, error) {
	select {
	case text := <-f.said:
		jsonrpc.Scan([]byte(text), &dst[0])
		return 1, nil
	case <-f.closed:
		return 0, io.EOF
	}
}

func (f *fakeConn) Write(_ context.Context, msgs ...*jsonrpc.Message) error {
	for _, m := range msgs {
		if f.busy != nil {
			<-f.busy
		}
		if f.deaf {
			<-f.closed
			return io.ErrClosedPipe
		}
		f.heard <- string(m.Raw)
	}
	return nil
}

func (f *fakeConn) WritePieces(pieces [][]byte) error {
	var b strings.Builder
	for _, p := range pieces {
		b.Write(p)
	}
	var m jsonrpc.Message
	jsonrpc.Scan([]byte(b.String()), &m)
	return f.Write(context.Background(), &m)
}

func (f *fakeConn) CloseWrite() error { return nil }

func (f *fakeConn) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

// A stage is a mux before a fake server, in a bubble of its own.
type stage struct {
	*testing.T
	server *fakeConn
	mux    *mux
	stray  []string
	mu     sync.Mutex
}

func onStage(t *testing.T, opt muxOptions, play func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{T: t, server: newFakeConn()}
		opt.Stray = func(_ *jsonrpc.Message, reason string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.stray = append(s.stray, reason)
		}
		s.mux = newMux(s.server, newAudience(), opt)
		play(s)
		s.mux.close()
	})
}

func (s *stage) strays() int {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.stray)
}

// join returns the lane of a new session.
func (s *stage) join() *lane {
	l := &lane{session: true}
	s.mux.crowd.join(l)
	return l
}

// A talk is one call under way.
type talk struct {
	got  chan string
	done chan error
	stop context.CancelFunc
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }

func message(t testing.TB, text string) *jsonrpc.Message {
	t.Helper()
	m := &jsonrpc.Message{}
	if fault := jsonrpc.Scan([]byte(text), m); fault != nil {
		t.Fatalf("%s: %v", text, fault)
	}
	return m
}

func (s *stage) call(l *lane, text string) *talk {
	ctx, stop := context.WithCancel(s.Context())
	k := &talk{got: make(chan string, 100), done: make(chan error, 1), stop: stop}
	request := message(s, text)
	go func() {
		defer stop()
		k.done <- s.mux.call(ctx, l, request, func(a transport.Arrival) error {
			k.got <- string(a.Message.Raw)
			return nil
		})
	}()
	synctest.Wait()
	return k
}

func (s *stage) listen(l *lane) *talk {
	ctx, stop := context.WithCancel(s.Context())
	k := &talk{got: make(chan string, 1000), done: make(chan error, 1), stop: stop}
	go func() {
		k.done <- s.mux.crowd.listen(ctx, l, func(a transport.Arrival) error {
			if a.Message != nil { // or the stream is open, no more
				k.got <- string(a.Message.Raw)
			}
			return nil
		})
	}()
	synctest.Wait()
	return k
}

// wants checks what has arrived somewhere, all of it.
func (s *stage) wants(what string, from chan string, want ...string) {
	s.Helper()
	synctest.Wait()
	got := []string{}
	for len(from) > 0 {
		got = append(got, <-from)
	}
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (s *stage) ends(k *talk, want error) {
	s.Helper()
	synctest.Wait()
	select {
	case err := <-k.done:
		var failure, wanted *transport.Failure
		if errors.As(want, &wanted) && errors.As(err, &failure) && failure.Cause == wanted.Cause {
			return
		}
		if !errors.Is(err, want) {
			s.Errorf("the call ended with %v, want %v", err, want)
		}
	default:
		s.Errorf("the call goes on, want %v", want)
	}
}
