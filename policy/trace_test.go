package policy_test

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const ourTrace = "4bf92f3577b34da6a3ce929d0e0e4736"

// A spanLog is a tracer that remembers what it was told.
type spanLog struct {
	mu    sync.Mutex
	spans []*loggedSpan // guarded by mu
	begun func()        // is called at the beginning of each span; nil: nothing is
}

type loggedSpan struct {
	policy.TracedRequest
	id      string
	parent  string
	forward int
	ends    []policy.SpanEnd
}

func (l *spanLog) Begin(r *policy.TracedRequest) policy.Span {
	s := &loggedSpan{TracedRequest: *r, id: string(r.RequestID), parent: string(r.Traceparent)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spans = append(l.spans, s)
	if l.begun != nil {
		l.begun()
	}
	return s
}

func (s *loggedSpan) TraceID() []byte { return []byte(ourTrace) }
func (s *loggedSpan) Forward() (parent, state []byte) {
	s.forward++
	return []byte("00-" + ourTrace + "-00f067aa0ba902b7-01"), nil
}
func (s *loggedSpan) End(e policy.SpanEnd) { s.ends = append(s.ends, e) }

func (s *loggedSpan) String() string {
	var ends []string
	for _, e := range s.ends {
		ends = append(ends, strings.TrimSpace(fmt.Sprintf("%s %s %d", e.Outcome, e.Rule, e.Code)))
	}
	return fmt.Sprintf("%s forwarded %d: %s", s.Method, s.forward, strings.Join(ends, ", "))
}

func tracedLink(t testing.TB, spans *spanLog, pinned bool) *link {
	l := newLink(t, policy.Config{DenyTools: []string{"rm"}}, integrity.Config{ToolIntegrity: "off"})
	var pins *integrity.Pins
	if pinned {
		file, err := integrity.Open(filepath.Join(t.TempDir(), "mcpx.lock"))
		if err != nil {
			t.Fatal(err)
		}
		pins = file.Server("s", integrity.Config{})
	}
	engine, err := policy.Compile(policy.Config{DenyTools: []string{"rm"}})
	if err != nil {
		t.Fatal(err)
	}
	if l.g, err = policy.NewGuard(policy.GuardOptions{Server: "s", Engine: engine, Log: l.log, Pins: pins, Tracer: spans}); err != nil {
		t.Fatal(err)
	}
	return l
}

// do lets the guard say something by itself.
func (l *link) do(what func(out *jsonrpc.Outbox)) {
	var out jsonrpc.Outbox
	what(&out)
	l.g.Commit(&out)
}

// Every way in which a request can end ends its span, once, with what its sender was told.
func TestEveryEndOfARequestEndsItsSpan(t *testing.T) {
	spans := new(spanLog)
	l := tracedLink(t, spans, false)
	client, server := l.g.FromClient, l.g.FromServer
	call := func(id int, tool string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"_meta":{"traceparent":"00-%s-0123456789abcdef-01","tracestate":"a=1"}}}`, id, tool, ourTrace)
	}
	l.say(client, initialize)
	l.say(server, initialized)
	l.say(client, call(1, "rm"))
	_, forwarded := l.say(client, call(2, "ok"))
	if want := strings.ReplaceAll(strings.ReplaceAll(call(2, "ok"), "0123456789abcdef", "00f067aa0ba902b7"), "a=1", ""); forwarded != want {
		t.Errorf("forwarded %s, want %s", forwarded, want)
	}
	l.say(server, `{"jsonrpc":"2.0","id":2,"result":{"isError":true}}`)
	l.say(client, call(3, "ok"))
	l.say(server, `{"jsonrpc":"2.0","id":3,"error":{"code":-32001,"message":"x"}}`)
	l.say(client, call(4, "ok"))
	l.say(client, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4}}`)
	l.say(server, `{"jsonrpc":"2.0","id":4,"result":{}}`)
	l.say(server, `{"jsonrpc":"2.0","id":"q","method":"roots/list"}`)
	l.say(client, `{"jsonrpc":"2.0","id":"q","result":{"roots":[]}}`)
	l.say(server, `{"jsonrpc":"2.0","id":"r","method":"roots/list"}`)
	l.say(client, call(5, "ok"))
	var out jsonrpc.Outbox
	l.g.Ended(io.EOF, &out)
	want := []string{
		"initialize forwarded 1: ok default 0",
		"tools/call forwarded 0: denied policy.deny_tools[0] -32600",
		"tools/call forwarded 1: tool_error default 0",
		"tools/call forwarded 1: error default -32001",
		"tools/call forwarded 1: cancelled default 0",
		"roots/list forwarded 1: ok default 0",
		"roots/list forwarded 1: cancelled  0",
		"tools/call forwarded 1: error default 0",
	}
	for i, s := range spans.spans {
		if i >= len(want) || s.String() != want[i] {
			t.Errorf("span %d: %s", i, s)
		}
		if s.Method == "tools/call" && (s.parent == "" || s.FromServer) || s.Method == "roots/list" && !s.FromServer {
			t.Errorf("span %d: %+v", i, s.TracedRequest)
		}
	}
	if len(spans.spans) != len(want) {
		t.Errorf("%d spans, want %d", len(spans.spans), len(want))
	}
	for _, e := range l.events() {
		if e.Method == "tools/call" && e.TraceID != ourTrace {
			t.Errorf("recorded with trace %q: %+v", e.TraceID, e)
		}
	}
}

func TestTraceIsRecordedWithoutATracer(t *testing.T) {
	for parent, want := range map[string]string{
		"00-" + ourTrace + "-00f067aa0ba902b7-01":                  ourTrace,
		"00-" + ourTrace + "-00f067aa0ba902b7-01-more":             "",
		"cc-" + ourTrace + "-00f067aa0ba902b7-01-more":             ourTrace,
		"cc-" + ourTrace + "-00f067aa0ba902b7-01x":                 "",
		"ff-" + ourTrace + "-00f067aa0ba902b7-01":                  "",
		"00-" + strings.ToUpper(ourTrace) + "-00f067aa0ba902b7-01": "",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01":  "",
		"00-" + ourTrace + "-0000000000000000-01":                  "",
		"00-" + ourTrace + "-00f067aa0ba902b7":                     "",
		"":                                                         "",
	} {
		l := newLink(t, policy.Config{}, integrity.Config{ToolIntegrity: "off"})
		line := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"_meta":{"traceparent":%q}}}`, parent)
		if _, forwarded := l.say(l.g.FromClient, line); forwarded != line {
			t.Errorf("forwarded %s", forwarded)
		}
		for _, e := range l.events() {
			if e.Method == "initialize" && e.TraceID != want {
				t.Errorf("%q is recorded as %q, want %q", parent, e.TraceID, want)
			}
		}
	}
}

// Whatever two peers say, and however it ends, each span ends exactly once, and none is left when the link has ended. A line is said
// by the client (C) or the server (S), or names a request that is given up (G) or too late (T); X breaks the audit log, E ends the
// server, and what comes first of all says whether tools are pinned.
func FuzzSpans(f *testing.F) {
	const (
		one  = `C{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ok"}}` + "\n"
		two  = `C{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"ok"}}` + "\n"
		ask  = `S{"jsonrpc":"2.0","id":"q","method":"roots/list"}` + "\n"
		stop = `C{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}` + "\n"
	)
	begin := "C" + initialize + "\nS" + initialized + "\n"
	for _, talk := range []string{
		one + two + `S{"jsonrpc":"2.0","id":2,"result":{}}` + "\n" + `C{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"rm"}}`,
		ask + `C{"jsonrpc":"2.0","id":"q","result":1,"error":2}` + "\n" + ask + `S{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q"}}`,
		one + stop + `S{"jsonrpc":"2.0","id":1,"result":{}}` + "\n" + one + "G1\n" + two + "T2\n",
		one + "X\n" + two + ask + stop + `S{"jsonrpc":"2.0","id":1,"result":{}}`,
		one + one + ask + "E\n" + two + ask + `C{"jsonrpc":"2.0","id":"q","result":{}}`,
		one + two + "A" + `"result":{"tools":[{"name":"ok"}]}}` + "\n" + `S{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}` + "\n" + one,
		one + two + "A" + `"error":{"code":1,"message":"no"}}`,
	} {
		f.Add(false, []byte(begin+talk))
		f.Add(true, []byte(begin+talk))
	}
	f.Fuzz(func(t *testing.T, pinned bool, talk []byte) {
		spans := new(spanLog)
		l := tracedLink(t, spans, pinned)
		var asked string // the id of the guard's own last question
		say := func(judge func(*jsonrpc.Message, *jsonrpc.Outbox), line string) {
			_, toServer := l.say(judge, line)
			if _, own, found := strings.Cut(toServer, `"id":"mcpx-`); found {
				asked, _, _ = strings.Cut(`"mcpx-`+own, ",")
			}
		}
		ended := false
		for line := range strings.Lines(string(talk)) {
			what, rest := line[0], strings.TrimSuffix(line[1:], "\n")
			switch id, _ := jsonrpc.ParseID([]byte(rest)); {
			case what == 'C':
				say(l.g.FromClient, rest)
			case ended: // says nothing more
			case what == 'S':
				say(l.g.FromServer, rest)
			case what == 'A' && asked != "":
				say(l.g.FromServer, `{"jsonrpc":"2.0","id":`+asked+`,`+rest)
			case what == 'G' && !id.IsZero():
				l.do(func(out *jsonrpc.Outbox) { l.g.Lost(id, context.Canceled, out) })
			case what == 'T' && !id.IsZero():
				l.do(func(out *jsonrpc.Outbox) { l.g.Lost(id, context.DeadlineExceeded, out) })
			case what == 'X':
				l.log.Close()
			case what == 'E':
				ended = true
				l.do(func(out *jsonrpc.Outbox) { l.g.Ended(io.EOF, out) })
			}
		}
		l.g.Closed()
		for _, s := range spans.spans {
			if len(s.ends) != 1 || s.forward > 1 {
				t.Fatalf("%s\n%s", s, talk)
			}
		}
	})
}

// The two directions, a client that changes its mind, and the end of the session, all at the same time: each span ends once.
func TestSpansEndOnceUnderFire(t *testing.T) {
	spans := new(spanLog)
	l := tracedLink(t, spans, false)
	l.say(l.g.FromClient, initialize)
	l.say(l.g.FromServer, initialized)
	const calls = 400
	var client, server sync.Mutex // as a transport holds them
	say := func(side *sync.Mutex, judge func(*jsonrpc.Message, *jsonrpc.Outbox), line string) {
		side.Lock()
		defer side.Unlock()
		l.say(judge, line)
	}
	made := make(chan int, calls)
	var all sync.WaitGroup
	all.Go(func() {
		defer close(made)
		for id := range calls {
			say(&client, l.g.FromClient, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"ok"}}`, id))
			made <- id
		}
	})
	for range 3 {
		all.Go(func() {
			for id := range made {
				var others sync.WaitGroup
				others.Go(func() {
					say(&client, l.g.FromClient, fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`, id))
				})
				others.Go(func() { say(&server, l.g.FromServer, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{}}`, id)) })
				if id%8 == 0 {
					others.Go(l.g.Closed)
				}
				others.Wait()
			}
		})
	}
	all.Wait()
	l.g.Closed()
	if len(spans.spans) != calls+1 {
		t.Errorf("%d spans, want %d", len(spans.spans), calls+1)
	}
	for _, s := range spans.spans {
		if len(s.ends) != 1 {
			t.Errorf("request %s ended %d times", s.id, len(s.ends))
		}
	}
}

// A request that is being judged while the server ends is answered, recorded and traced like those that the server had.
func TestServerEndsWhileARequestIsJudged(t *testing.T) {
	spans := new(spanLog)
	l := tracedLink(t, spans, false)
	l.say(l.g.FromClient, initialize)
	l.say(l.g.FromServer, initialized)
	spans.begun = func() { l.do(func(out *jsonrpc.Outbox) { l.g.Ended(io.EOF, out) }) }
	toClient, toServer := l.say(l.g.FromClient, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ok"}}`)
	if toServer != "" || !strings.Contains(toClient, `"id":1,"error":{"code":-32603,"message":"server exited`) {
		t.Errorf("the client gets %q, the server %q", toClient, toServer)
	}
	if got, want := spans.spans[1].String(), "tools/call forwarded 1: error default 0"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if e := l.events(); e[len(e)-1].Outcome != "error" {
		t.Errorf("the last that is recorded: %+v", e[len(e)-1])
	}
}

// A request that waits for a survey follows the context that came beside it, and leaves with ours, whatever has become of the memory
// that it came in.
func TestHeldRequestIsTraced(t *testing.T) {
	spans := new(spanLog)
	l := tracedLink(t, spans, true)
	l.say(l.g.FromClient, initialize)
	l.say(l.g.FromServer, initialized)
	const parent = "00-" + ourTrace + "-0123456789abcdef-01"
	raw, beside := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ok"}}`), []byte(parent)
	var m jsonrpc.Message
	var out jsonrpc.Outbox
	jsonrpc.Scan(raw, &m)
	m.Beside = &jsonrpc.TraceContext{Traceparent: beside}
	l.g.FromClient(&m, &out)
	l.g.Commit(&out)
	if len(out.ToServer) != 1 || out.ToServer[0].Method != "tools/list" || strings.Contains(string(out.ToServer[0].Raw), "trace") {
		t.Fatalf("the server is asked %s", joined(out.ToServer))
	}
	clear(raw)
	clear(beside)
	_, released := l.say(l.g.FromServer, `{"jsonrpc":"2.0","id":`+string(out.ToServer[0].ID.Token())+`,"result":{"tools":[{"name":"ok"}]}}`)
	want := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"traceparent":"00-` + ourTrace + `-00f067aa0ba902b7-01"},"name":"ok"}}`
	if released != want {
		t.Errorf("released %s, want %s", released, want)
	}
	if last := spans.spans[len(spans.spans)-1]; last.parent != parent || last.id != "1" {
		t.Errorf("the span of %s follows %q, want %q", last.id, last.parent, parent)
	}
	l.say(l.g.FromServer, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	if got, want := spans.spans[len(spans.spans)-1].String(), "tools/call forwarded 1: ok default 0"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Where nobody traces, a context in a message costs no memory and changes no byte.
func TestNobodyTraces(t *testing.T) {
	off := false
	log, err := audit.Open(audit.Options{Config: audit.Config{Enabled: &off}, Source: "wrap"})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	engine, err := policy.Compile(policy.Config{DenyTools: []string{"rm"}})
	if err != nil {
		t.Fatal(err)
	}
	g, err := policy.NewGuard(policy.GuardOptions{Server: "s", Engine: engine, Log: log, Handshaken: true})
	if err != nil {
		t.Fatal(err)
	}
	call := []byte(`{"jsonrpc":"2.0","id":100000001,"method":"tools/call","params":{"name":"ok","_meta":{"traceparent":"00-` + ourTrace + `-00f067aa0ba902b7-01"}}}`)
	answer := []byte(`{"jsonrpc":"2.0","id":100000001,"result":{}}`)
	var s jsonrpc.Scanner
	var m jsonrpc.Message
	var out jsonrpc.Outbox
	step := func(judge func(*jsonrpc.Message, *jsonrpc.Outbox), raw []byte) {
		s.Scan(raw, &m)
		judge(&m, &out)
		g.Commit(&out)
		if len(out.ToClient)+len(out.ToServer) != 1 || len(out.ToServer) == 1 && &out.ToServer[0].Raw[0] != &call[0] {
			t.Fatalf("%s to the server", joined(out.ToServer))
		}
		out.Reset()
	}
	fromClient, fromServer := g.FromClient, g.FromServer
	if n := testing.AllocsPerRun(200, func() { step(fromClient, call); step(fromServer, answer) }); n != 0 {
		t.Errorf("a call and its answer make %v allocations", n)
	}
}

// A span says the revision that was agreed on in a session, or that a request of a later revision names itself.
func TestSpansSayTheRevision(t *testing.T) {
	spans := new(spanLog)
	l := tracedLink(t, spans, false)
	l.say(l.g.FromClient, initialize)
	l.say(l.g.FromServer, `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","serverInfo":{"name":"s"}}}`)
	l.say(l.g.FromClient, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	l.say(l.g.FromServer, `{"jsonrpc":"2.0","id":"q","method":"roots/list"}`)
	l.say(l.g.FromClient, `{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",`+
		`"io.modelcontextprotocol/clientCapabilities":{}}}}`)
	var got []string
	for _, s := range spans.spans {
		got = append(got, s.Method+" "+s.Version)
	}
	if want := "initialize , ping 2025-06-18, roots/list 2025-06-18, tools/list 2026-07-28"; strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
}
