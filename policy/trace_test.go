package policy_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const ourTrace = "4bf92f3577b34da6a3ce929d0e0e4736"

// A spanLog is a tracer that remembers what it was told.
type spanLog struct {
	spans []*loggedSpan
}

type loggedSpan struct {
	policy.TracedRequest
	parent  string
	forward int
	ends    []policy.SpanEnd
}

func (l *spanLog) Begin(r *policy.TracedRequest) policy.Span {
	s := &loggedSpan{TracedRequest: *r, parent: string(r.Traceparent)}
	l.spans = append(l.spans, s)
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

func tracedLink(t testing.TB, spans *spanLog) *link {
	l := newLink(t, policy.Config{DenyTools: []string{"rm"}}, integrity.Config{ToolIntegrity: "off"})
	engine, err := policy.Compile(policy.Config{DenyTools: []string{"rm"}})
	if err != nil {
		t.Fatal(err)
	}
	if l.g, err = policy.NewGuard(policy.GuardOptions{Server: "s", Engine: engine, Log: l.log, Tracer: spans}); err != nil {
		t.Fatal(err)
	}
	return l
}

// Every way in which a request can end ends its span, once, with what its sender was told.
func TestEveryEndOfARequestEndsItsSpan(t *testing.T) {
	spans := new(spanLog)
	l := tracedLink(t, spans)
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

// Whatever two peers say, each span ends exactly once, and none is left when the link has ended.
func FuzzSpans(f *testing.F) {
	f.Add([]byte("C" + initialize + "\nS" + initialized + "\nC" + `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rm"}}` +
		"\nC" + `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"ok"}}` + "\nS" + `{"jsonrpc":"2.0","id":2,"result":{}}`))
	f.Add([]byte("C" + initialize + "\nS" + `{"jsonrpc":"2.0","id":"q","method":"roots/list"}` + "\nC" + `{"jsonrpc":"2.0","id":"q","result":1,"error":2}` +
		"\nS" + `{"jsonrpc":"2.0","id":"r","method":"roots/list"}` + "\nS" + `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"r"}}`))
	f.Fuzz(func(t *testing.T, talk []byte) {
		spans := new(spanLog)
		l := tracedLink(t, spans)
		for line := range bytes.SplitSeq(talk, []byte("\n")) {
			switch {
			case len(line) < 2:
			case line[0] == 'C':
				l.say(l.g.FromClient, string(line[1:]))
			default:
				l.say(l.g.FromServer, string(line[1:]))
			}
		}
		var out jsonrpc.Outbox
		l.g.Ended(io.EOF, &out)
		for _, s := range spans.spans {
			if len(s.ends) != 1 || s.forward > 1 {
				t.Fatalf("%s\n%s", s, talk)
			}
		}
	})
}
