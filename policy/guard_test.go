package policy_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A link is a guard between two peers that the test plays without any transport. Conversations over real pipes stand in
// package wrap.
type link struct {
	t    testing.TB
	g    *policy.Guard
	log  *audit.Log
	rec  bytes.Buffer // the audit log
	pins *integrity.File

	gone strings.Builder // what passed notes
}

func newLink(t testing.TB, cfg policy.Config, inspection integrity.Config, change ...func(*policy.GuardOptions)) *link {
	t.Helper()
	l := &link{t: t}
	var err error
	if l.log, err = audit.Open(audit.Options{Config: audit.Config{Output: "stderr"}, Stderr: &l.rec, Source: "wrap"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.log.Close() })
	if l.pins, err = integrity.Open(filepath.Join(t.TempDir(), "mcpx.lock")); err != nil {
		t.Fatal(err)
	}
	engine, err := policy.Compile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	opt := policy.GuardOptions{Server: "s", Engine: engine, Log: l.log, Inspection: inspection}
	if inspection.ToolIntegrity != "off" {
		opt.Pins = l.pins.Server("s", inspection)
	}
	for _, f := range change {
		f(&opt)
	}
	if l.g, err = policy.NewGuard(opt); err != nil {
		t.Fatal(err)
	}
	return l
}

// say lets one side say a line and returns what each side is given.
func (l *link) say(judge func(*jsonrpc.Message, *jsonrpc.Outbox), line string) (toClient, toServer string) {
	var m jsonrpc.Message
	var out jsonrpc.Outbox
	jsonrpc.Scan([]byte(line), &m)
	judge(&m, &out)
	l.g.Commit(&out)
	for _, f := range out.After {
		f()
	}
	return joined(out.ToClient), joined(out.ToServer)
}

func joined(msgs []*jsonrpc.Message) string {
	var lines []string
	for _, m := range msgs {
		lines = append(lines, string(m.Raw))
	}
	return strings.Join(lines, "\n")
}

const (
	initialize  = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}`
	initialized = `{"jsonrpc":"2.0","id":0,"result":{}}`
)

// Nothing is released that is not recorded, in either direction, and whoever waits is told.
func TestNothingPassesWithoutARecord(t *testing.T) {
	l := newLink(t, policy.Config{DenyTools: []string{"rm"}}, integrity.Config{ToolIntegrity: "off"})
	l.say(l.g.FromClient, initialize)
	l.say(l.g.FromServer, initialized)
	l.say(l.g.FromClient, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}`)
	l.say(l.g.FromServer, `{"jsonrpc":"2.0","id":9,"method":"roots/list"}`)
	if err := l.log.Close(); err != nil { // from here on Commit fails
		t.Fatal(err)
	}
	for _, row := range []struct {
		name             string
		from             func(*jsonrpc.Message, *jsonrpc.Outbox)
		line             string
		client, toServer string
	}{
		{"a call", l.g.FromClient, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo"}}`, `"id":2,"error":{"code":-32603,"message":"the audit log cannot be written: the request was not executed"`, ``},
		{"a denied call", l.g.FromClient, `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"rm"}}`, `"id":3,"error":{"code":-32600`, ``},
		{"a notification", l.g.FromClient, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, ``, ``},
		{"an answer", l.g.FromServer, `{"jsonrpc":"2.0","id":1,"result":{"secret":1}}`, `"id":1,"error":{"code":-32603,"message":"the audit log cannot be written: the answer is withheld`, ``},
		{"a notification of the server", l.g.FromServer, `{"jsonrpc":"2.0","method":"notifications/message","params":{}}`, ``, ``},
		{"a request of the server", l.g.FromServer, `{"jsonrpc":"2.0","id":10,"method":"roots/list"}`, ``, `"id":10,"error":{"code":-32603`},
		{"the client's answer", l.g.FromClient, `{"jsonrpc":"2.0","id":9,"result":{"roots":[]}}`, ``, `"id":9,"error":{"code":-32603`},
	} {
		toClient, toServer := l.say(row.from, row.line)
		if !strings.Contains(toClient, row.client) || (toClient == "") != (row.client == "") {
			t.Errorf("%s: the client is given %q", row.name, toClient)
		}
		if !strings.Contains(toServer, row.toServer) || (toServer == "") != (row.toServer == "") {
			t.Errorf("%s: the server is given %q", row.name, toServer)
		}
	}
	if held, unanswered := l.g.Pending(); held+unanswered != 0 {
		t.Errorf("%d held, %d unanswered: the server was asked nothing", held, unanswered)
	}
}

// Large arguments are recorded with the outcome, by the same hash.
func TestLargeArgumentsAreHashedAfterwards(t *testing.T) {
	l := newLink(t, policy.Config{}, integrity.Config{ToolIntegrity: "off"})
	l.say(l.g.FromClient, initialize)
	args := `{"text":"` + strings.Repeat("x", 100_000) + `"}`
	call := func(id string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"echo","arguments":` + args + `}}`
	}
	l.say(l.g.FromClient, call("1"))
	l.say(l.g.FromServer, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	l.log.Close()
	var hashes []string
	for _, e := range l.events() {
		if e.Method == "tools/call" {
			hashes = append(hashes, e.Kind+" "+string(e.Args))
		}
	}
	sum := `"sha256:` + sha256Hex(args) + `"`
	if got, want := strings.Join(hashes, "\n"), "decision \noutcome "+sum; got != want {
		t.Errorf("recorded %s, want %s", got, want)
	}
}

// A client may cancel in the same breath as it calls, while the arguments are not hashed yet: nobody waits for that.
func TestCancellingDoesNotWaitForAHash(t *testing.T) {
	l := newLink(t, policy.Config{}, integrity.Config{ToolIntegrity: "off"})
	l.say(l.g.FromClient, initialize)
	synctest.Test(t, func(t *testing.T) {
		var call, cancel jsonrpc.Message
		var out jsonrpc.Outbox
		jsonrpc.Scan([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":"`+strings.Repeat("x", 100_000)+`"}}}`), &call)
		jsonrpc.Scan([]byte(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`), &cancel)
		begin := time.Now()
		l.g.FromClient(&call, &out)
		l.g.FromClient(&cancel, &out)
		if took := time.Since(begin); took != 0 || len(out.ToServer) != 2 {
			t.Errorf("took %v, %d messages for the server", took, len(out.ToServer))
		}
	})
}

// The hash of a call that is cancelled later stands in its outcome, as that of any other.
func TestCancelledCallKeepsItsHash(t *testing.T) {
	l := newLink(t, policy.Config{}, integrity.Config{ToolIntegrity: "off"})
	l.say(l.g.FromClient, initialize)
	const calls = 50
	for id := range calls {
		l.say(l.g.FromClient, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"a","arguments":{"x":"%s"}}}`, id+1, strings.Repeat("x", 100_000)))
		l.say(l.g.FromClient, fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`, id+1))
	}
	l.log.Close()
	hashed := 0
	for _, e := range l.events() {
		if e.Kind == "outcome" && e.Outcome == "cancelled" && e.Args != nil {
			hashed++
		}
	}
	if hashed != calls {
		t.Errorf("%d of %d cancelled calls have the hash of their arguments", hashed, calls)
	}
}

// A server that says that its list has changed whenever we read it is not asked for ever, and what waited is refused.
func TestListThatChangesWheneverItIsRead(t *testing.T) {
	l := newLink(t, policy.Config{}, integrity.Config{})
	l.say(l.g.FromClient, initialize)
	l.say(l.g.FromServer, initialized)
	toClient, toServer := l.say(l.g.FromClient, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ok"}}`)
	asked := 0
	for ; strings.Contains(toServer, `"tools/list"`) && asked < 1000; asked++ {
		_, own, _ := strings.Cut(toServer, `"id":`)
		own, _, _ = strings.Cut(own, ",")
		l.say(l.g.FromServer, `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		toClient, toServer = l.say(l.g.FromServer, `{"jsonrpc":"2.0","id":`+own+`,"result":{"tools":[{"name":"ok"}]}}`)
	}
	if asked < 2 || asked > 20 {
		t.Errorf("the server was asked %d times", asked)
	}
	if !strings.Contains(toClient, `"id":1,"error"`) || !strings.Contains(toClient, "has changed") || toServer != "" {
		t.Errorf("the client is given %s, the server %s", toClient, toServer)
	}
}

// A server that does not answer the guard's own question holds up only who waits for it, and not without bounds.
func TestSurveyWithoutAnAnswer(t *testing.T) {
	l := newLink(t, policy.Config{}, integrity.Config{})
	l.say(l.g.FromClient, initialize)
	l.say(l.g.FromServer, initialized)
	call := func(id int) (toClient, toServer string) {
		return l.say(l.g.FromClient, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"ok"}}`, id))
	}
	question := func(toServer string) string {
		_, own, _ := strings.Cut(toServer, `"id":`)
		own, _, _ = strings.Cut(own, ",")
		return own
	}
	_, first := call(1)
	l.say(l.g.FromClient, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	_, second := call(2)
	if question(first) == "" || question(second) == "" || question(first) == question(second) {
		t.Fatalf("asked %s, then %s", first, second)
	}
	if toClient, toServer := l.say(l.g.FromServer, `{"jsonrpc":"2.0","id":`+question(first)+`,"result":{"tools":[{"name":"no"}]}}`); toClient+toServer != "" {
		t.Errorf("the late answer has released %s %s", toClient, toServer)
	}
	for id := 3; ; id++ {
		toClient, _ := l.say(l.g.FromClient, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"ok","arguments":{"x":"%s"}}}`, id, strings.Repeat("x", 10<<20)))
		if strings.Contains(toClient, "too many requests wait") {
			break
		}
		if toClient != "" || id > 10 {
			t.Fatalf("after %d requests the client is given %.200s", id, toClient)
		}
	}
	_, toServer := l.say(l.g.FromServer, `{"jsonrpc":"2.0","id":`+question(second)+`,"result":{"tools":[{"name":"ok"}]}}`)
	if !strings.Contains(toServer, `"id":2,"method":"tools/call"`) {
		t.Errorf("the server is given %.200s", toServer)
	}
}

// A cancellation and the answer that it crosses come through different pumps: run with -race.
func TestCancellationCrossesTheAnswer(t *testing.T) {
	l := newLink(t, policy.Config{}, integrity.Config{ToolIntegrity: "off"})
	l.say(l.g.FromClient, initialize)
	for id := range 500 {
		l.say(l.g.FromClient, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"a"}}`, id+1))
		answered := make(chan string)
		go func() {
			toClient, _ := l.say(l.g.FromServer, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{}}`, id+1))
			answered <- toClient
		}()
		l.say(l.g.FromClient, fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`, id+1))
		if got := <-answered; got == "" {
			t.Fatalf("call %d: the answer is not delivered", id+1)
		}
	}
	l.log.Close()
	outcomes := 0
	for _, e := range l.events() {
		if e.Kind == "outcome" && e.Method == "tools/call" {
			outcomes++
		}
	}
	if outcomes != 500 {
		t.Errorf("%d outcomes of 500 calls", outcomes)
	}
}

type event struct {
	Kind, Method, Decision, Outcome string
	RequestID                       json.RawMessage `json:"request_id"`
	TraceID                         string          `json:"trace_id"`
	Args                            json.RawMessage
}

func (l *link) events() (all []event) {
	l.t.Helper()
	for line := range bytes.Lines(l.rec.Bytes()) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			l.t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// FuzzGuard lets two peers say anything. Whatever they say, a denied call never reaches the server, what is forwarded is
// what was received, a request is answered at most once, and every call has exactly one decision.
func FuzzGuard(f *testing.F) {
	f.Add([]byte("C" + initialize + "\nS" + initialized + "\nC" + `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rm"}}` +
		"\nC" + `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"ok"}}` + "\nS" + `{"jsonrpc":"2.0","id":2,"result":{}}`))
	f.Add([]byte("C" + `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}` +
		"\nS" + `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"rm"},{"name":"ok"},{"name":"OK"}],"nextCursor":"x"}}` +
		"\nC" + `{"jsonrpc":"2.0","id":2,"method":"notifications/cancelled","params":{"requestId":1}}`))
	f.Add([]byte("S" + `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ok"}}`))
	f.Fuzz(func(t *testing.T, talk []byte) {
		l := newLink(t, policy.Config{DenyTools: []string{"rm"}}, integrity.Config{})
		answered, calls := map[jsonrpc.Key]int{}, 0
		for line := range bytes.SplitSeq(talk, []byte("\n")) {
			if len(line) < 2 {
				continue
			}
			received := string(line[1:])
			var m jsonrpc.Message
			var out jsonrpc.Outbox
			jsonrpc.Scan(line[1:], &m)
			if m.Kind == jsonrpc.Request && m.Method == "tools/call" {
				calls++ // from a server too: the request of a peer that has none to make is denied, and that is a decision
			}
			if line[0] == 'C' {
				l.g.FromClient(&m, &out)
			} else {
				l.g.FromServer(&m, &out)
			}
			l.g.Commit(&out)
			for _, sent := range out.ToServer {
				name, _ := sent.Text(jsonrpc.Name)
				if sent.Method == "tools/call" && string(name) == "rm" {
					t.Fatalf("a denied call reached the server: %s", sent.Raw)
				}
				if line[0] == 'C' && !sent.Own && string(sent.Raw) != received && len(sent.Raw) >= len(received) {
					t.Fatalf("forwarded %q for %q", sent.Raw, received)
				}
			}
			for _, sent := range out.ToClient {
				if k := sent.Kind; (k == jsonrpc.Result || k == jsonrpc.Error) && !sent.ID.IsZero() {
					answered[sent.ID.Key()]++
				}
				if sent.Kind == jsonrpc.Invalid {
					t.Fatalf("released what is no message: %q", sent.Raw)
				}
			}
		}
		var out jsonrpc.Outbox
		l.g.Ended(io.EOF, &out)
		l.g.Commit(&out)
		l.log.Close()
		decided := 0
		for _, e := range l.events() {
			if e.Kind == "decision" && e.Method == "tools/call" && e.RequestID != nil {
				decided++
			}
		}
		if decided != calls {
			t.Fatalf("%d calls, %d decisions", calls, decided)
		}
	})
}

func sha256Hex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
