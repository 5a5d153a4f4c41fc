package hub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

func TestEqualIDsAndTokensOfTwoClients(t *testing.T) {
	onStage(t, muxOptions{Shared: true}, func(s *stage) {
		const call = `{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"_meta":{"progressToken":"p"},"name":%q}}`
		a := s.call(s.join(), fmt.Sprintf(call, "a"))
		b := s.call(s.join(), fmt.Sprintf(call, "b"))
		s.wants("server", s.server.heard,
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":1},"name":"a"}}`,
			`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"_meta":{"progressToken":2},"name":"b"}}`)
		s.server.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progress":1}}`)
		s.server.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":2}}`)
		s.server.say(`{"result":{"for":"b"},"id":2,"jsonrpc":"2.0"}`)
		s.server.say(`{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"for a"}}`)
		s.wants("a", a.got, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":2}}`,
			`{"jsonrpc":"2.0","id":"x","error":{"code":-1,"message":"for a"}}`)
		s.wants("b", b.got, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}`,
			`{"result":{"for":"b"},"id":"x","jsonrpc":"2.0"}`)
		s.ends(a, nil)
		s.ends(b, nil)
	})
}

func TestWhatBelongsToNobodyIsDropped(t *testing.T) {
	for _, row := range []struct{ name, says string }{
		{"answer to an id that was never given", `{"jsonrpc":"2.0","id":7,"result":{}}`},
		{"id as a string", `{"jsonrpc":"2.0","id":"1","result":{}}`},
		{"id 0", `{"jsonrpc":"2.0","id":0,"result":{}}`},
		{"error without an id", `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}`},
		{"no message", `Listening…`},
		{"progress under a guessed token", `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":9,"progress":1}}`},
		{"progress that nobody asked for", `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`},
		{"log of a shared server", `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"secret"}}`},
		{"unknown notification", `{"jsonrpc":"2.0","method":"notifications/custom"}`},
		{"subscription of nobody", `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1},"uri":"u"}}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			onStage(t, muxOptions{Shared: true}, func(s *stage) {
				l := s.join()
				heard := s.listen(l)
				k := s.call(l, `{"jsonrpc":"2.0","id":5,"method":"tools/list"}`)
				s.wants("server", s.server.heard, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
				s.server.say("%s", row.says)
				if s.strays() != 1 {
					t.Errorf("told of %q, want one", s.stray)
				}
				s.wants("stream", heard.got)
				s.server.say(`{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}`)
				s.server.say(`{"jsonrpc":"2.0","id":1,"result":{"tools":["twice"]}}`)
				s.wants("client", k.got, `{"jsonrpc":"2.0","id":5,"result":{"tools":[]}}`)
				if s.strays() != 2 {
					t.Errorf("told of %q, want the second answer as well", s.stray)
				}
				heard.stop()
			})
		})
	}
}

func TestAnswerThatMayNotBeDelivered(t *testing.T) {
	onStage(t, muxOptions{}, func(s *stage) {
		k := s.call(s.join(), `{"jsonrpc":"2.0","id":5,"method":"tools/list"}`)
		s.server.say(`{"jsonrpc":"2.0","id":1,"result":{"tools":[],"tools":[1]}}`)
		s.ends(k, &transport.Failure{Cause: transport.BadAnswer})
		if s.strays() != 1 {
			t.Errorf("told of %q, want one", s.stray)
		}
	})
}

func TestCancellation(t *testing.T) {
	const request = `{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"a"}}`
	const late = `{"jsonrpc":"2.0","id":1,"result":{}}`
	onStage(t, muxOptions{Shared: true}, func(s *stage) {
		mine, other := s.join(), s.join()
		k := s.call(mine, request)
		s.wants("server", s.server.heard, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`)
		for _, id := range []string{`1`, `"x"`, `"y"`} { // the mux's own id and equal ids of others are nobody else's
			if err := s.mux.tell(other, message(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":`+id+`}}`)); err != nil {
				t.Fatal(err)
			}
		}
		_ = s.mux.tell(mine, message(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`))
		s.wants("server", s.server.heard)
		_ = s.mux.tell(mine, message(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"\u0078","reason":"r"}}`))
		s.wants("server", s.server.heard, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"r"}}`)
		s.ends(k, context.Canceled)
		s.server.say(late)
		s.wants("client", k.got)
		if s.strays() != 0 {
			t.Errorf("told of %q: a late answer is nothing strange", s.stray)
		}
	})
	onStage(t, muxOptions{Shared: true}, func(s *stage) {
		k := s.call(s.join(), request)
		s.wants("server", s.server.heard, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`)
		k.stop()
		s.wants("server", s.server.heard, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"nobody waits for the answer any more"}}`)
		s.ends(k, context.Canceled)
		s.server.say(late)
		if s.strays() != 0 {
			t.Errorf("told of %q", s.stray)
		}
	})
}

// What is given up before it was written is not written, and so not cancelled.
func TestRequestThatIsNotWrittenYet(t *testing.T) {
	onStage(t, muxOptions{}, func(s *stage) {
		s.server.busy = make(chan struct{})
		l := s.join()
		s.call(l, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		short := s.call(l, `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
		long := s.call(l, `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"`+strings.Repeat("x", bigMessage)+`"}}`)
		mine := s.call(l, `{"jsonrpc":"2.0","id":4,"method":"tools/list"}`)
		short.stop()
		long.stop()
		_ = s.mux.tell(l, message(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4}}`))
		s.ends(short, context.Canceled)
		s.ends(long, context.Canceled)
		s.ends(mine, context.Canceled)
		close(s.server.busy)
		s.wants("server", s.server.heard, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	})
}

func TestInitializeIsNeverCancelled(t *testing.T) {
	onStage(t, muxOptions{}, func(s *stage) {
		k := s.call(nil, `{"jsonrpc":"2.0","id":"x","method":"initialize","params":{}}`)
		s.wants("server", s.server.heard, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`)
		k.stop()
		s.ends(k, context.Canceled)
		s.wants("server", s.server.heard)
	})
}

func TestTimeouts(t *testing.T) {
	const request = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":1},"name":"a"}}`
	progress := func(s *stage, times int) {
		for range times {
			pass(9 * time.Second)
			s.server.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`)
			synctest.Wait()
		}
	}
	for _, row := range []struct {
		name string
		play func(s *stage)
		want time.Duration
	}{
		{"silence", func(*stage) {}, 10 * time.Second},
		{"progress", func(s *stage) { progress(s, 5) }, 55 * time.Second},
		{"progress without end", func(s *stage) { progress(s, 22) }, 200 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			onStage(t, muxOptions{Timeout: 10 * time.Second}, func(s *stage) {
				began := time.Now()
				k := s.call(s.join(), request)
				go row.play(s)
				err := <-k.done
				var failure *transport.Failure
				if took := time.Since(began); !errors.As(err, &failure) || failure.Cause != transport.TimedOut || took != row.want {
					t.Errorf("ended with %v after %v, want a timeout after %v", err, took, row.want)
				}
				pass(time.Minute)
			})
		})
	}
}

// While the client itself is asked something the server waits for it, so its silence means nothing.
func TestNoTimeoutWhileTheClientIsAsked(t *testing.T) {
	onStage(t, muxOptions{Timeout: 10 * time.Second}, func(s *stage) {
		l := s.join()
		k := s.call(l, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`)
		s.server.say(`{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{}}`)
		pass(time.Minute)
		_ = s.mux.tell(l, message(t, `{"jsonrpc":"2.0","id":"q","result":{}}`))
		pass(9 * time.Second)
		s.server.say(`{"jsonrpc":"2.0","id":1,"result":{}}`)
		s.ends(k, nil)
	})
}

func TestSubscriptionHasNoTimeout(t *testing.T) {
	onStage(t, muxOptions{Modern: true}, func(s *stage) {
		k := s.call(&lane{}, `{"jsonrpc":"2.0","id":"s","method":"subscriptions/listen","params":{}}`)
		pass(24 * time.Hour)
		s.server.say(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1},"notifications":{}}}`)
		s.server.say(`{"jsonrpc":"2.0","id":1,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":1},"resultType":"complete"}}`)
		s.wants("client", k.got,
			`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"s"},"notifications":{}}}`,
			`{"jsonrpc":"2.0","id":"s","result":{"_meta":{"io.modelcontextprotocol/subscriptionId":"s"},"resultType":"complete"}}`)
		k = s.call(&lane{}, `{"jsonrpc":"2.0","id":"s","method":"subscriptions/listen","params":{}}`)
		s.server.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`)
		s.ends(k, &transport.Failure{Cause: transport.Unreachable})
	})
}

// A client that does not read loses progress, and its subscription; the others notice nothing.
func TestSlowClientHoldsUpNobody(t *testing.T) {
	onStage(t, muxOptions{Modern: true, Shared: true}, func(s *stage) {
		stuck := make(chan struct{})
		slow := func(text string) chan error {
			done := make(chan error, 1)
			request := message(t, text)
			go func() {
				done <- s.mux.call(s.Context(), &lane{}, request, func(transport.Arrival) error { <-stuck; return nil })
			}()
			synctest.Wait()
			return done
		}
		calling := slow(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":0},"name":"a"}}`)
		listening := slow(`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen"}`)
		for range 1000 {
			s.server.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`)
			s.server.say(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":2}}}`)
		}
		k := s.call(&lane{}, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		s.server.say(`{"jsonrpc":"2.0","id":3,"result":{}}`)
		s.wants("a third client", k.got, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		s.server.say(`{"jsonrpc":"2.0","id":1,"result":{"at":"last"}}`)
		synctest.Wait()
		close(stuck)
		if err := <-calling; err != nil {
			t.Errorf("slow call: %v, want its answer", err)
		}
		var failure *transport.Failure
		if err := <-listening; !errors.As(err, &failure) || failure.Cause != transport.Overloaded {
			t.Errorf("slow subscription: %v, want it ended", err)
		}
	})
}

func TestWhoIsAsked(t *testing.T) {
	const question = `{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{}}`
	const refusal = `{"jsonrpc":"2.0","id":"q","error":{"code":-32601,"message":"there is no client that could be asked"}}`
	const request = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`
	ask := func(s *stage) {
		for len(s.server.heard) > 0 {
			<-s.server.heard
		}
		s.server.say(question)
		synctest.Wait()
	}
	t.Run("shared", func(t *testing.T) {
		onStage(t, muxOptions{Shared: true}, func(s *stage) {
			k := s.call(s.join(), request)
			ask(s)
			s.wants("server", s.server.heard, refusal)
			s.wants("client", k.got)
		})
	})
	t.Run("ping is ours to answer", func(t *testing.T) {
		onStage(t, muxOptions{Shared: true}, func(s *stage) {
			s.server.say(`{"jsonrpc":"2.0","id":"p","method":"ping"}`)
			s.wants("server", s.server.heard, `{"jsonrpc":"2.0","id":"p","result":{}}`)
		})
	})
	t.Run("the one call", func(t *testing.T) {
		onStage(t, muxOptions{}, func(s *stage) {
			l, other := s.join(), s.join()
			heard := s.listen(l)
			k := s.call(l, request)
			ask(s)
			s.wants("client", k.got, question)
			s.wants("stream", heard.got)
			answer := message(t, `{"jsonrpc":"2.0","id":"q","result":{"model":"m"}}`)
			_ = s.mux.tell(other, answer)
			s.wants("server", s.server.heard)
			_ = s.mux.tell(l, answer)
			_ = s.mux.tell(l, answer)
			s.wants("server", s.server.heard, `{"jsonrpc":"2.0","id":"q","result":{"model":"m"}}`)
			heard.stop()
		})
	})
	t.Run("several calls of one client that listens", func(t *testing.T) {
		onStage(t, muxOptions{}, func(s *stage) {
			l := s.join()
			heard := s.listen(l)
			a, b := s.call(l, request), s.call(l, request)
			ask(s)
			s.wants("stream", heard.got, question)
			s.wants("first call", a.got)
			s.wants("second call", b.got)
			heard.stop()
		})
	})
	t.Run("several clients", func(t *testing.T) {
		onStage(t, muxOptions{}, func(s *stage) {
			l := s.join()
			heard := s.listen(l)
			s.call(l, request)
			s.call(s.join(), request)
			ask(s)
			s.wants("server", s.server.heard, refusal)
			s.wants("stream", heard.got)
			heard.stop()
		})
	})
	t.Run("the one session, which listens later", func(t *testing.T) {
		onStage(t, muxOptions{}, func(s *stage) {
			l := s.join()
			ask(s)
			s.wants("server", s.server.heard)
			heard := s.listen(l)
			s.wants("stream", heard.got, question)
			s.server.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q"}}`)
			s.wants("stream", heard.got, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q"}}`)
			heard.stop()
		})
	})
	t.Run("a client that has gone", func(t *testing.T) {
		onStage(t, muxOptions{}, func(s *stage) {
			l := s.join()
			k := s.call(l, request)
			ask(s)
			s.mux.drop(l)
			s.wants("server", s.server.heard,
				`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"the client has gone"}}`,
				`{"jsonrpc":"2.0","id":"q","error":{"code":-32603,"message":"the client has gone"}}`)
			s.ends(k, errGone)
		})
	})
	t.Run("modern servers ask nothing", func(t *testing.T) {
		onStage(t, muxOptions{Modern: true}, func(s *stage) {
			s.call(&lane{}, request)
			ask(s)
			s.wants("server", s.server.heard)
			if s.strays() != 1 {
				t.Error("nobody was told")
			}
		})
	})
}

func TestSubscriptionsOfManyClients(t *testing.T) {
	const updated = `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a"}}`
	onStage(t, muxOptions{Shared: true}, func(s *stage) {
		do := func(l *lane, method, uri, answer string) {
			request := message(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"resources/%s","params":{"uri":%q}}`, method, uri))
			act := map[string]func(context.Context, *lane, *jsonrpc.Message, transport.Yield) error{"subscribe": s.mux.subscribe, "unsubscribe": s.mux.unsubscribe}[method]
			done := make(chan error, 1)
			go func() { done <- act(s.Context(), l, request, func(transport.Arrival) error { return nil }) }()
			synctest.Wait()
			if answer != "" {
				id := s.mux.last.Load()
				s.wants("server", s.server.heard, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"resources/%s","params":{"uri":%q}}`, id, method, uri))
				s.server.say(`{"jsonrpc":"2.0","id":%d,%s}`, id, answer)
			}
			if err := <-done; err != nil {
				t.Errorf("%s: %v", method, err)
			}
		}
		const ok, no = `"result":{}`, `"error":{"code":-32602,"message":"unknown"}`
		a, b := s.join(), s.join()
		toA, toB := s.listen(a), s.listen(b)
		do(a, "subscribe", "a", ok)
		do(b, "subscribe", "a", no)
		s.server.say(updated)
		s.wants("a", toA.got, updated)
		s.wants("b, which was refused", toB.got)
		do(b, "subscribe", "a", ok)
		do(a, "unsubscribe", "a", "") // b still wants it
		s.server.say(updated)
		s.wants("a", toA.got)
		s.wants("b", toB.got, updated)
		s.server.say(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		s.wants("a", toA.got, `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		s.wants("b", toB.got, `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		s.mux.drop(b)
		s.wants("server", s.server.heard, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"resources/unsubscribe","params":{"uri":"a"}}`, s.mux.last.Load()))
		s.ends(toB, nil)
		toA.stop()
	})
}

func TestServerThatEnds(t *testing.T) {
	onStage(t, muxOptions{}, func(s *stage) {
		k := s.call(s.join(), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		_ = s.server.Close()
		s.ends(k, &transport.Failure{Cause: transport.Unreachable})
		s.ends(s.call(s.join(), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`), &transport.Failure{Cause: transport.Unreachable})
	})
}

// A long message lies in the client's memory while it is written, so its call ends after that; a server that does not take
// it is ended.
func TestServerThatDoesNotRead(t *testing.T) {
	onStage(t, muxOptions{Timeout: 10 * time.Second}, func(s *stage) {
		s.server.deaf = true
		began := time.Now()
		long := s.call(s.join(), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+strings.Repeat("x", bigMessage)+`"}}`)
		short := s.call(s.join(), `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
		if err := <-short.done; time.Since(began) != 10*time.Second {
			t.Errorf("short call ended with %v after %v", err, time.Since(began))
		}
		if err := <-long.done; time.Since(began) != 10*time.Second+writePatience {
			t.Errorf("long call ended with %v after %v", err, time.Since(began))
		}
		<-s.mux.ended
	})
}

func TestTooManyRequests(t *testing.T) {
	onStage(t, muxOptions{MaxFlight: 1}, func(s *stage) {
		s.call(s.join(), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		s.ends(s.call(s.join(), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`), &transport.Failure{Cause: transport.Overloaded})
	})
}

// One client, however many sessions it opens, leaves room for the others at a shared server, and has its own again when its
// requests have ended, in whatever way.
func TestOneClientLeavesRoomForOthers(t *testing.T) {
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	full := &transport.Failure{Cause: transport.Overloaded}
	of := func(s *stage, principal string) *lane {
		l := s.join()
		l.principal = principal
		return l
	}
	onStage(t, muxOptions{Shared: true, MaxFlight: 4}, func(s *stage) {
		greedy := of(s, "greedy")
		answered, stopped := s.call(greedy, list), s.call(of(s, "greedy"), list)
		synctest.Wait()
		s.ends(s.call(greedy, list), full)
		s.ends(s.call(of(s, "greedy"), list), full)
		s.call(of(s, "other"), list)
		synctest.Wait()
		s.server.say(`{"jsonrpc":"2.0","id":1,"result":{}}`)
		s.ends(answered, nil)
		stopped.stop()
		s.ends(stopped, context.Canceled)
		s.call(greedy, list)
		s.call(greedy, list)
		synctest.Wait()
		s.mux.drop(greedy)
		s.call(greedy, list)
		synctest.Wait()
		if got := s.mux.shares; len(got) != 2 || got["greedy"] != 1 || got["other"] != 1 {
			t.Errorf("%v", got)
		}
	})
	onStage(t, muxOptions{MaxFlight: 4}, func(s *stage) { // a server of its own
		alone := of(s, "alone")
		for range 4 {
			s.call(alone, list)
		}
		synctest.Wait()
		s.ends(s.call(alone, list), full)
	})
}
