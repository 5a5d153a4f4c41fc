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
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// An upstream that answers what its function says.
type upstream struct {
	call   func(ctx context.Context, m *jsonrpc.Message, yield transport.Yield) error
	listen func(yield transport.Yield) error // nil: there is no stream

	mu   sync.Mutex
	sent []string
}

func (u *upstream) Call(ctx context.Context, m *jsonrpc.Message, yield transport.Yield) error {
	u.note(m)
	return u.call(ctx, m, yield)
}

func (u *upstream) Send(_ context.Context, m *jsonrpc.Message) error {
	u.note(m)
	return nil
}

func (u *upstream) note(m *jsonrpc.Message) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sent = append(u.sent, string(m.Raw))
}

func (u *upstream) received() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return strings.Join(u.sent, "\n")
}

func (u *upstream) Listen(_ context.Context, _ string, yield transport.Yield) error {
	if u.listen == nil {
		return transport.ErrNoStream
	}
	return u.listen(yield)
}
func (u *upstream) Close() error { return nil }

func says(line string) transport.Arrival {
	var m jsonrpc.Message
	jsonrpc.Scan([]byte(line), &m)
	return transport.Arrival{Message: &m}
}

// exchanged runs one message and returns what reached the client, a line each.
func exchanged(ctx context.Context, l *transport.Link, line string) (string, error) {
	var got []string
	err := l.Exchange(ctx, says(line).Message, func(a transport.Arrival) error {
		text := string(a.Message.Raw)
		if a.Failure != nil {
			text += " // " + a.Failure.Cause.String()
		}
		got = append(got, text)
		return nil
	})
	return strings.Join(got, "\n"), err
}

func TestExchangeDeliversInOrderAndTheAnswerLast(t *testing.T) {
	up := &upstream{call: func(_ context.Context, _ *jsonrpc.Message, yield transport.Yield) error {
		for _, line := range []string{`{"jsonrpc":"2.0","method":"n1"}`, `{"jsonrpc":"2.0","method":"n2"}`, response(7)} {
			if err := yield(says(line)); err != nil {
				return err
			}
		}
		return nil
	}}
	got, err := exchanged(t.Context(), transport.NewLink(&judge{}, up), request(7))
	want := `{"jsonrpc":"2.0","method":"n1"}` + "\n" + `{"jsonrpc":"2.0","method":"n2"}` + "\n" + response(7)
	if err != nil || got != want {
		t.Errorf("got %v\n%s", err, got)
	}
}

func TestExchangeAnswersWhenTheServerFails(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		want string
	}{
		{"a failure", &transport.Failure{Cause: transport.TimedOut}, "lost: server did not answer in time"},
		{"any error", errors.New("boom"), "// server unreachable"},
	} {
		up := &upstream{call: func(context.Context, *jsonrpc.Message, transport.Yield) error { return row.err }}
		got, err := exchanged(t.Context(), transport.NewLink(&judge{}, up), request(1))
		if err != nil || !strings.Contains(got, `"id":1,"error"`) || !strings.Contains(got, row.want) {
			t.Errorf("%s: %v, %s", row.name, err, got)
		}
	}
}

func TestExchangeSendsWhatHasNoAnswer(t *testing.T) {
	up := &upstream{}
	l := transport.NewLink(&judge{}, up)
	for _, line := range []string{`{"jsonrpc":"2.0","method":"notifications/x"}`, response(3)} {
		if got, err := exchanged(t.Context(), l, line); got != "" || err != nil {
			t.Errorf("%s: %q, %v", line, got, err)
		}
	}
	if got := up.received(); got != `{"jsonrpc":"2.0","method":"notifications/x"}`+"\n"+response(3) {
		t.Errorf("the server received %s", got)
	}
}

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

// The events of a question that the inspector asks by itself are no events of the client's stream: it could not resume there.
func TestOwnEventsStayHere(t *testing.T) {
	up := &upstream{call: func(_ context.Context, m *jsonrpc.Message, yield transport.Yield) error {
		a := says(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID.Token()))
		if !m.Own {
			return yield(a)
		}
		_ = yield(transport.Arrival{EventID: "prime", Retry: time.Second})
		a.EventID = "answer"
		return yield(a)
	}}
	var got []string
	err := transport.NewLink(&surveyor{}, up).Exchange(t.Context(), says(request(1)).Message, func(a transport.Arrival) error {
		got = append(got, a.EventID)
		return nil
	})
	if err != nil || len(got) != 1 || got[0] != "" {
		t.Errorf("delivered %q, %v", got, err)
	}
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

// What deliver returns ends the exchange and is returned; the request is lost, unless the client may resume.
func TestUndelivered(t *testing.T) {
	gone := errors.New("gone")
	for _, row := range []struct {
		err  error
		lost int
	}{{gone, 0}, {transport.ErrResumable, 1}} {
		j := &judge{}
		up := &upstream{call: func(_ context.Context, _ *jsonrpc.Message, yield transport.Yield) error {
			return yield(says(`{"jsonrpc":"2.0","method":"n"}`))
		}}
		err := transport.NewLink(j, up).Exchange(t.Context(), says(request(1)).Message, func(transport.Arrival) error { return row.err })
		if !errors.Is(err, row.err) {
			t.Errorf("Exchange returned %v, not %v", err, row.err)
		}
		if _, open := j.Pending(); open != row.lost {
			t.Errorf("%v: %d requests are open, not %d", row.err, open, row.lost)
		}
	}
}

// Who is gone and may resume says so by the end of the context, too: the server may be silent for long.
func TestLetGo(t *testing.T) {
	j := &judge{}
	ctx, letGo := context.WithCancelCause(t.Context())
	up := &upstream{call: func(ctx context.Context, _ *jsonrpc.Message, _ transport.Yield) error {
		letGo(transport.ErrResumable)
		return ctx.Err()
	}}
	err := transport.NewLink(j, up).Exchange(ctx, says(request(1)).Message, func(transport.Arrival) error { return nil })
	if !errors.Is(err, transport.ErrResumable) {
		t.Errorf("Exchange returned %v", err)
	}
	if _, open := j.Pending(); open != 1 {
		t.Errorf("%d requests are open, not 1", open)
	}
}

func TestUnanswered(t *testing.T) {
	up := &upstream{call: func(context.Context, *jsonrpc.Message, transport.Yield) error { return nil }}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := exchanged(ctx, transport.NewLink(&judge{}, up), request(1)); !errors.Is(err, transport.ErrUnanswered) {
		t.Errorf("got %v", err)
	}
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
