package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/transport"
)

const (
	initialize = `{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"sampling":{}},"clientInfo":{"name":"c","version":"1"}}}`
	callTool   = `{"jsonrpc":"2.0","id":"t","method":"tools/call","params":{"name":"a"}}`
	toolAnswer = `{"jsonrpc":"2.0","id":"t","result":{"name":"a"}}`
)

func TestSharedChildIsShakenHandsWithOnce(t *testing.T) {
	inNursery(t, Shared, func(n *nursery) {
		a, b := n.opened(false, "ann", "1"), n.opened(false, "bob", "2")
		n.wantState(childIdle)
		if n.count() != 0 {
			t.Fatal("a child was started before anything was asked")
		}
		hello := `{"jsonrpc":"2.0","id":"i",` + helloResult + `}`
		n.mustAsk(a, initialize, hello)
		n.mustAsk(b, initialize, hello)
		_ = a.Send(n.Context(), message(t, `{"jsonrpc":"2.0","method":"notifications/initialized"}`))
		n.mustAsk(b, callTool, toolAnswer)
		n.mustAsk(a, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		n.mustAsk(a, `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}`, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		n.mustAsk(n.opened(false, "bob", ""), callTool, toolAnswer)
		want := []string{
			`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"mcpx","version":"9"}}}`,
			`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
			`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"a"}}`,
			`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"a"}}`,
		}
		if got := n.heard(0); !slices.Equal(got, want) {
			t.Errorf("the child heard\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		n.wantState(childRunning)
	})
}

func TestWhoSharesAChild(t *testing.T) {
	for _, row := range []struct {
		isolation string
		keys      []openKey
		want      int // children
	}{
		{Shared, []openKey{{false, "ann", "1"}, {false, "bob", "2"}, {false, "", ""}}, 1},
		{"", []openKey{{false, "ann", "1"}, {false, "bob", "2"}}, 1},
		{Shared, []openKey{{false, "ann", "1"}, {true, "ann", ""}}, 2}, // eras are never mixed
		{PerClient, []openKey{{false, "ann", "1"}, {false, "ann", "2"}, {false, "ann", ""}}, 1},
		{PerClient, []openKey{{false, "ann", "1"}, {false, "bob", "2"}, {false, "", "3"}}, 3},
		{PerSession, []openKey{{false, "ann", "1"}, {false, "ann", "2"}, {false, "ann", "1"}}, 2},
		{PerSession, []openKey{{true, "ann", ""}, {true, "ann", ""}, {true, "bob", ""}}, 2},
	} {
		t.Run(fmt.Sprint(row.isolation, row.keys), func(t *testing.T) {
			inNursery(t, row.isolation, func(n *nursery) {
				for _, k := range row.keys {
					n.mustAsk(n.opened(k.modern, k.principal, k.session), callTool, toolAnswer)
				}
				if n.count() != row.want {
					t.Errorf("%d children, want %d", n.count(), row.want)
				}
			})
		})
	}
}

func TestModernChildGetsNoHandshake(t *testing.T) {
	inNursery(t, Shared, func(n *nursery) {
		up := n.opened(true, "", "")
		n.mustAsk(up, callTool, toolAnswer)
		if got := n.heard(0); !slices.Equal(got, []string{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`}) {
			t.Errorf("the child heard %s", got)
		}
		if err := up.Listen(n.Context(), "", nil); !errors.Is(err, transport.ErrNoStream) {
			t.Errorf("listening: %v", err)
		}
	})
}

// A child of one principal is told what its first client says of itself, again after a restart.
func TestOwnClientIntroducesItself(t *testing.T) {
	inNursery(t, PerSession, func(n *nursery) {
		up := n.opened(false, "ann", "1")
		n.mustAsk(up, initialize, `{"jsonrpc":"2.0","id":"i",`+helloResult+`}`)
		want := strings.Replace(initialize, `"i"`, "1", 1)
		if got := n.heard(0); len(got) != 2 || got[0] != want {
			t.Errorf("the child heard %s, want %s first", got, want)
		}
		_ = n.born[0].Close()
		pass(firstPause)
		synctest.Wait()
		if got := n.heard(1); len(got) != 2 || got[0] != want {
			t.Errorf("the second child heard %s, want %s first", got, want)
		}
		_ = up.Close() // with its session goes its child
		synctest.Wait()
		select {
		case <-n.born[1].closed:
		default:
			t.Error("the child outlives its session")
		}
		n.wantState(childIdle)
	})
}

func TestRestart(t *testing.T) {
	inNursery(t, Shared, func(n *nursery) {
		up := n.opened(false, "ann", "1")
		n.mustAsk(up, `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"r"}}`, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		pending := make(chan error, 1)
		request := message(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		go func() { pending <- up.Call(n.Context(), request, func(transport.Arrival) error { return nil }) }()
		synctest.Wait()
		_ = n.born[0].Close()
		n.wantFailure(<-pending, transport.Unreachable, 0)
		n.wantState(childRestarting)
		_, err := n.ask(up, callTool)
		n.wantFailure(err, transport.Unreachable, firstPause)
		pass(firstPause)
		n.wantState(childRunning) // by itself, since there is a session
		want := []string{`initialize`, `notifications/initialized`, `"resources/subscribe","params":{"uri":"r"}`}
		got := n.heard(1)
		for i, w := range want {
			if len(got) != len(want) || !strings.Contains(got[i], w) {
				t.Errorf("the second child heard %s, want %s", got, want)
				break
			}
		}
		n.mustAsk(up, callTool, toolAnswer)
		if want := []string{"started", "doubt", "ended EOF", "doubt", "started again"}; !slices.Equal(n.notes, want) {
			t.Errorf("told of %q, want %q", n.notes, want)
		}
	})
}

func TestPausesBetweenStarts(t *testing.T) {
	inNursery(t, Shared, func(n *nursery) {
		n.fails = 12
		up := n.opened(false, "ann", "1")
		_, err := n.ask(up, callTool)
		n.wantFailure(err, transport.Unreachable, firstPause)
		began := time.Now()
		for n.count() == 0 {
			pass(100 * time.Millisecond)
			_, err := n.ask(up, callTool)
			if err != nil {
				n.wantFailure(err, transport.Unreachable, lastPause)
			}
		}
		// 0.5 + 1 + … + 16 + 6 × 30 s, less up to a quarter
		if took := time.Since(began); took < 150*time.Second || took > 215*time.Second {
			t.Errorf("12 failures took %v", took)
		}
		n.mustAsk(up, callTool, toolAnswer)
	})
}

// Without a session nobody is waiting for a restart: the next request brings it about.
func TestNoRestartForNobody(t *testing.T) {
	inNursery(t, Shared, func(n *nursery) {
		up := n.opened(true, "", "")
		n.mustAsk(up, callTool, toolAnswer)
		_ = up.Close()
		_ = n.born[0].Close()
		n.wantState(childFailed)
		pass(11 * time.Minute)
		n.wantState(childIdle)
		synctest.Wait()
		if n.count() != 1 {
			t.Error("the child was started again")
		}
		n.mustAsk(n.opened(true, "", ""), callTool, toolAnswer)
		n.wantState(childRunning)
	})
}

func TestIdleChildIsStopped(t *testing.T) {
	inNursery(t, Shared, func(n *nursery) {
		session, single := n.opened(false, "ann", "1"), n.opened(false, "bob", "")
		n.mustAsk(single, callTool, toolAnswer)
		_ = single.Close()
		pass(time.Hour)
		n.wantState(childRunning) // for the session's sake
		_ = session.Close()
		pass(9 * time.Minute)
		n.wantState(childRunning)
		pass(2 * time.Minute)
		n.wantState(childIdle)
		if want := []string{"started", "doubt", "doubt", "ended <nil>"}; !slices.Equal(n.notes, want) {
			t.Errorf("told of %q, want %q", n.notes, want)
		}
		n.mustAsk(n.opened(false, "bob", ""), callTool, toolAnswer)
		if n.count() != 2 {
			t.Errorf("%d children, want a second one", n.count())
		}
		if got := n.notes[len(n.notes)-1]; got != "started" {
			t.Errorf("after it was stopped: %s", got)
		}
	})
}

func TestServerThatRefusesInitialize(t *testing.T) {
	inNursery(t, Shared, func(n *nursery) {
		n.hello = `"error":{"code":-32022,"message":"modern only","data":{"supported":["2026-07-28"]}}`
		up := n.opened(false, "ann", "1")
		for range 2 {
			n.mustAsk(up, initialize, `{"jsonrpc":"2.0","id":"i",`+n.hello+`}`)
		}
		_, err := n.ask(up, callTool)
		n.wantFailure(err, transport.BadAnswer, lastPause)
		n.wantState(childIdle)
	})
}

func TestServerThatNeverAnswersInitialize(t *testing.T) {
	inNursery(t, Shared, func(n *nursery) {
		n.children.opt.Dial = func(context.Context) (transport.Conn, error) { return newFakeConn(), nil }
		began := time.Now()
		_, err := n.ask(n.opened(false, "ann", "1"), callTool)
		n.wantFailure(err, transport.Unreachable, firstPause)
		if took := time.Since(began); took != time.Minute {
			t.Errorf("given up after %v", took)
		}
	})
}

func TestNoMoreChildrenThanAllowed(t *testing.T) {
	for principal, most := range map[string]int{"": 4, "ann": 2} {
		inNursery(t, PerSession, func(n *nursery) {
			for i := range most {
				n.mustAsk(n.opened(false, principal, fmt.Sprint(i)), callTool, toolAnswer)
			}
			_, err := n.ask(n.opened(false, principal, "one too many"), callTool)
			n.wantFailure(err, transport.Overloaded, firstPause)
			if n.count() != most {
				t.Errorf("%d children of %q", n.count(), principal)
			}
			n.wantState(childRunning)
		})
	}
}

func TestUnusedChildGivesWay(t *testing.T) {
	inNursery(t, PerClient, func(n *nursery) {
		var lanes []transport.Upstream
		for i := range 4 {
			up := n.opened(false, fmt.Sprint(i), "")
			n.mustAsk(up, callTool, toolAnswer)
			lanes = append(lanes, up)
			pass(time.Second)
		}
		_ = lanes[2].Close()
		pass(time.Second)
		_ = lanes[1].Close()
		n.mustAsk(n.opened(false, "another", ""), callTool, toolAnswer)
		for i := range 4 {
			select {
			case <-n.born[i].closed:
				if i != 2 {
					t.Errorf("child %d was stopped", i)
				}
			default:
				if i == 2 {
					t.Error("the child that was not used for longest was not stopped")
				}
			}
		}
	})
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	inNursery(t, Shared, func(n *nursery) {
		up := n.opened(false, "ann", "1")
		n.mustAsk(up, callTool, toolAnswer)
		calling, listening := make(chan error, 1), make(chan error, 1)
		request := message(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		go func() { calling <- up.Call(n.Context(), request, func(transport.Arrival) error { return nil }) }()
		go func() { listening <- up.Listen(n.Context(), "", func(transport.Arrival) error { return nil }) }()
		synctest.Wait()
		n.close()
		n.wantFailure(<-calling, transport.Unreachable, 0)
		if err := <-listening; err != nil {
			t.Errorf("listening ended with %v", err)
		}
		_, err := n.ask(up, callTool)
		n.wantFailure(err, transport.Unreachable, 0)
		if _, err := n.open(openKey{}); err == nil {
			t.Error("opened after close")
		}
	})
}

func TestListChangesAreToldOfWithoutAnyListener(t *testing.T) {
	inNursery(t, Shared, func(n *nursery) {
		n.mustAsk(n.opened(true, "", ""), callTool, toolAnswer)
		n.born[0].say(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		synctest.Wait()
		if !slices.Contains(n.notes, "notifications/tools/list_changed") {
			t.Errorf("told of %q", n.notes)
		}
	})
}

func TestLaneThatIsClosed(t *testing.T) {
	inNursery(t, Shared, func(n *nursery) {
		up := n.opened(false, "ann", "1")
		calling := make(chan error, 1)
		request := message(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		go func() { calling <- up.Call(n.Context(), request, func(transport.Arrival) error { return nil }) }()
		synctest.Wait()
		_ = up.Close()
		_ = up.Close()
		n.wantFailure(<-calling, transport.SessionGone, 0)
		_, err := n.ask(up, callTool)
		n.wantFailure(err, transport.SessionGone, 0)
		n.wantFailure(up.Send(n.Context(), message(t, `{"jsonrpc":"2.0","method":"notifications/x"}`)), transport.SessionGone, 0)
	})
}

func TestChildGetsNamedVariablesOnly(t *testing.T) {
	env := []string{"PATH=/bin", "HOME=/h", "LC_ALL=C", "MCPX_TOKEN=secret", "AWS_SECRET_ACCESS_KEY=secret", "LANGUAGE2=x", "Path=/x", "=C:=x"}
	if got, want := pick(env, inherited, false), []string{"PATH=/bin", "HOME=/h", "LC_ALL=C"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := pick(env, inheritedWindows, true), []string{"PATH=/bin", "Path=/x"}; !slices.Equal(got, want) {
		t.Errorf("on Windows %q, want %q", got, want)
	}
	t.Setenv("MCPX_TOKEN", "secret")
	got := childEnviron(map[string]string{"B": "2", "A": "1"})
	if !slices.Equal(got[len(got)-2:], []string{"A=1", "B=2"}) || slices.Contains(got, "MCPX_TOKEN=secret") {
		t.Errorf("%q", got)
	}
}

func TestStderrIsLoggedWithinLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := newChildLog(zerolog.New(&out))
		fmt.Fprintf(log, "plain\r\n\n\x1b[2Jclear\u202eturn\nhal")
		fmt.Fprintf(log, "ves\n%s\n", strings.Repeat("x", 5000))
		want := `{"level":"info","stderr":"plain","message":"server says"}` + "\n" +
			`{"level":"info","stderr":"\\u001b[2Jclear\\u202eturn","message":"server says"}` + "\n" +
			`{"level":"info","stderr":"halves","message":"server says"}` + "\n" +
			`{"level":"info","cut":true,"stderr":"` + strings.Repeat("x", logLine) + `","message":"server says"}` + "\n"
		if out.String() != want {
			t.Errorf("%s\nwant\n%s", out.String(), want)
		}
		out.Reset()
		pass(time.Second)
		for range 10_000 {
			fmt.Fprintln(log, "flood")
		}
		if n := strings.Count(out.String(), "flood"); n > logRate {
			t.Errorf("%d lines at once", n)
		}
		pass(time.Second)
		out.Reset()
		fmt.Fprintln(log, "later")
		if !strings.Contains(out.String(), `"lines_left_out":9900`) {
			t.Errorf("%s does not say how much was left out", out.String())
		}
		out.Reset()
		fmt.Fprint(log, "fatal: why")
		log.end()
		if !strings.Contains(out.String(), "fatal: why") {
			t.Errorf("%s lacks the last words of a child that did not end its line", out.String())
		}
	})
}
