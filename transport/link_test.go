package transport_test

import (
	"context"
	"errors"
	"fmt"
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

// What deliver returns ends the exchange and is returned; the request is lost, unless the client may resume.
// What is left to do for a large message uses its memory, which is the caller's again when Exchange returns.
func TestExchangeWaitsForWhatIsLeftToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finished := false
		up := &upstream{call: func(_ context.Context, _ *jsonrpc.Message, yield transport.Yield) error {
			return yield(says(response(1)))
		}}
		in := &judge{client: func(m *jsonrpc.Message, out *jsonrpc.Outbox) bool {
			out.ToServer = append(out.ToServer, m)
			out.After = append(out.After, func() {
				<-time.After(time.Second)
				finished = true
			})
			return true
		}}
		l := transport.NewLink(in, up)
		if _, err := exchanged(t.Context(), l, `{"jsonrpc":"2.0","id":1,"method":"m","params":{"x":"`+strings.Repeat("x", 100_000)+`"}}`); err != nil || !finished {
			t.Errorf("returned %v, finished: %v", err, finished)
		}
	})
}

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
