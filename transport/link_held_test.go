package transport_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A surveyor holds requests back until its own question is answered, like the guard before the first call.
type surveyor struct {
	judge
	waiting  []*jsonrpc.Message
	asked    bool
	verified bool
	refuse   bool
	held     func() // called when a request is held back; nil: nobody wants to know
}

func (s *surveyor) FromClient(m *jsonrpc.Message, out *jsonrpc.Outbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, ok := jsonrpc.ParseID(m.Field(jsonrpc.RequestID)); ok {
		s.waiting = slices.DeleteFunc(s.waiting, func(w *jsonrpc.Message) bool { return w.ID.Key() == id.Key() })
		return
	}
	if m.Kind != jsonrpc.Request || s.verified {
		out.ToServer = append(out.ToServer, m)
		return
	}
	s.waiting = append(s.waiting, m.Clone())
	if !s.asked {
		s.asked = true
		out.ToServer = append(out.ToServer, jsonrpc.NewRequest(jsonrpc.StringID("own"), "tools/list", nil))
	}
	if s.held != nil {
		s.held()
	}
}

func (s *surveyor) FromServer(m *jsonrpc.Message, out *jsonrpc.Outbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(m.ID.Token()) != `"own"` {
		out.ToClient = append(out.ToClient, m)
		return
	}
	s.verified = true
	for _, w := range s.waiting {
		if s.refuse {
			out.ToClient = append(out.ToClient, jsonrpc.NewError(w.ID, -32600, "no", nil))
		} else {
			out.ToServer = append(out.ToServer, w)
		}
	}
	s.waiting = nil
}

func (s *surveyor) Lost(id jsonrpc.ID, _ error, out *jsonrpc.Outbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range s.waiting {
		if w.ID.Key() == id.Key() {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			return
		}
	}
	out.ToClient = append(out.ToClient, jsonrpc.NewError(id, -32603, "lost", nil))
}

// Requests that wait for a survey which another request began are answered by themselves, each to its own client.
func TestHeldRequestsAreHandedOver(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			surveyed := make(chan struct{})
			up := &upstream{call: func(_ context.Context, m *jsonrpc.Message, yield transport.Yield) error {
				if m.Own {
					<-surveyed
				}
				return yield(says(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID.Token())))
			}}
			l := transport.NewLink(&surveyor{refuse: refuse}, up)
			var all sync.WaitGroup
			for id := range 50 {
				all.Go(func() {
					want := response(id)
					if refuse {
						want = fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"error":{"code":-32600,"message":"no"}}`, id)
					}
					if got, err := exchanged(t.Context(), l, request(id)); got != want || err != nil {
						t.Errorf("request %d: %q, %v", id, got, err)
					}
				})
			}
			synctest.Wait()
			close(surveyed)
			all.Wait()
			sent := strings.Count(up.received(), "\n") + 1
			if want := map[bool]int{false: 51, true: 1}[refuse]; sent != want {
				t.Errorf("refuse %v: the server received %d messages, not %d", refuse, sent, want)
			}
		})
	}
}

// Who gives up while its request is held back does not end the survey for the others, and its request never leaves.
func TestGivenUpWhileHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		surveyed := make(chan struct{})
		up := &upstream{call: func(ctx context.Context, m *jsonrpc.Message, yield transport.Yield) error {
			if m.Own {
				select {
				case <-surveyed:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return yield(says(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID.Token())))
		}}
		l := transport.NewLink(&surveyor{}, up)
		first, giveUpFirst := context.WithCancel(t.Context())
		second, giveUpSecond := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _, _ = exchanged(first, l, request(1)) }) // asks
		synctest.Wait()
		all.Go(func() { _, _ = exchanged(second, l, request(2)) })
		all.Go(func() {
			if got, err := exchanged(t.Context(), l, request(3)); got != response(3) || err != nil {
				t.Errorf("the one that waited: %q, %v", got, err)
			}
		})
		synctest.Wait()
		giveUpFirst()
		giveUpSecond()
		synctest.Wait()
		close(surveyed)
		all.Wait()
		if got := up.received(); strings.Contains(got, request(2)) {
			t.Errorf("what was given up was sent: %s", got)
		}
	})
}

// A cancellation may overtake the exchange whose request is held back: that must end all the same. The id may be used again
// afterwards, for a request of its own.
func TestCancelledWhileHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		surveyed := make(chan struct{})
		up := &upstream{call: func(_ context.Context, m *jsonrpc.Message, yield transport.Yield) error {
			if m.Own {
				<-surveyed
			}
			return yield(says(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID.Token())))
		}}
		judge := &surveyor{}
		l := transport.NewLink(judge, up)
		var all sync.WaitGroup
		all.Go(func() { _, _ = exchanged(t.Context(), l, request(1)) })
		synctest.Wait()
		judge.held = func() { // the cancellation comes in the very moment
			all.Go(func() {
				_, _ = exchanged(t.Context(), l, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`)
			})
		}
		all.Go(func() {
			if got, err := exchanged(t.Context(), l, request(2)); got != "" || !errors.Is(err, transport.ErrUnanswered) {
				t.Errorf("the one that was cancelled: %q, %v", got, err)
			}
		})
		synctest.Wait()
		judge.held = nil
		all.Go(func() {
			if got, err := exchanged(t.Context(), l, request(2)); got != response(2) || err != nil {
				t.Errorf("the same id again: %q, %v", got, err)
			}
		})
		synctest.Wait()
		close(surveyed)
		all.Wait()
		if got := strings.Count(up.received(), request(2)); got != 1 {
			t.Errorf("request 2 was sent %d times", got)
		}
	})
}

// What the server says unasked may settle a survey: whoever waits for that goes on.
func TestHeldRequestIsReleasedByAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{}
		up.call = func(ctx context.Context, m *jsonrpc.Message, yield transport.Yield) error {
			if m.Own {
				<-ctx.Done() // the answer comes another way
				return ctx.Err()
			}
			return yield(says(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID.Token())))
		}
		up.listen = func(yield transport.Yield) error { return yield(says(`{"jsonrpc":"2.0","id":"own","result":{}}`)) }
		l := transport.NewLink(&surveyor{}, up)
		var all sync.WaitGroup
		all.Go(func() {
			if got, err := exchanged(t.Context(), l, request(1)); !strings.HasSuffix(got, response(1)) || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
		synctest.Wait()
		if err := l.Listen(t.Context(), "", func(a transport.Arrival) error {
			t.Errorf("the stream brought %s", a.Message.Raw)
			return nil
		}); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
}

// A request that was held back and then sent may end without an answer, as one does that the client has cancelled. Neither who
// sent it after its own question nor who had it handed over waits any longer.
func TestUnansweredAfterItWasHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		surveyed := make(chan struct{})
		up := &upstream{call: func(_ context.Context, m *jsonrpc.Message, yield transport.Yield) error {
			if !m.Own {
				return nil
			}
			<-surveyed
			return yield(says(`{"jsonrpc":"2.0","id":"own","result":{}}`))
		}}
		l := transport.NewLink(&surveyor{}, up)
		var all sync.WaitGroup
		for id := range 2 {
			all.Go(func() {
				if got, err := exchanged(t.Context(), l, request(id)); got != "" || !errors.Is(err, transport.ErrUnanswered) {
					t.Errorf("request %d: %q, %v", id, got, err)
				}
			})
		}
		synctest.Wait()
		close(surveyed)
		all.Wait()
	})
}
