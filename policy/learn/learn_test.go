package learn

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A script writes events as a guard does.
type script struct {
	t   *testing.T
	all []*audit.Record
}

func (s *script) add(members string) {
	s.t.Helper()
	n := len(s.all) + 1
	line := fmt.Sprintf(`{"time":%q,"id":"x","seq":%d,"prev":"%064d","instance":"i","session":"s","server":"files",%s}`,
		time.Unix(int64(1_800_000_000+n), 0).UTC().Format(time.RFC3339), n, 0, members)
	r, err := audit.Parse([]byte(line))
	if err != nil {
		s.t.Fatalf("%s: %v", line, err)
	}
	s.all = append(s.all, r)
}

// call adds a call that was allowed, and how it ended; "": that is not known.
func (s *script) call(tool, args, outcome string) {
	s.t.Helper()
	id := len(s.all) + 1
	given := ""
	if args != "" {
		given = `,"args":` + args
	}
	s.add(fmt.Sprintf(`"request_id":%d,"method":"tools/call","target":%s,"decision":"allow","rule":"default"%s,"kind":"decision"`, id, jsonrpc.AppendString(nil, tool), given))
	if outcome != "" {
		s.add(fmt.Sprintf(`"request_id":%d,"method":"tools/call","target":%s,"outcome":%q,"latency_ms":1,"kind":"outcome"`, id, jsonrpc.AppendString(nil, tool), outcome))
	}
}

func (s *script) use(method, target string) {
	id, m, to := len(s.all)+1, jsonrpc.AppendString(nil, method), jsonrpc.AppendString(nil, target)
	s.add(fmt.Sprintf(`"request_id":%d,"method":%s,"target":%s,"decision":"allow","rule":"default","kind":"decision"`, id, m, to))
	s.add(fmt.Sprintf(`"request_id":%d,"method":%s,"target":%s,"outcome":"ok","latency_ms":1,"kind":"outcome"`, id, m, to))
}

// offer adds a call with arguments that may be none of a log. It reports whether they are.
func (s *script) offer(tool, args string) bool {
	s.t.Helper()
	if len(args) == 0 || args[0] != '{' || !jsontext.Value(args).IsValid() {
		return false
	}
	s.call(tool, args, "ok")
	return true
}

func valid8(all ...string) bool {
	for _, text := range all {
		if !utf8.ValidString(text) || len(text) > 1000 {
			return false
		}
	}
	return true
}

func (s *script) deny(tool, rule string) {
	s.add(fmt.Sprintf(`"request_id":%d,"method":"tools/call","target":%q,"decision":"deny","rule":%q,"reason":"no","outcome":"denied","kind":"decision"`, len(s.all)+1, tool, rule))
}

// learn takes in the record until all that has passed passes.
func (s *script) learn() (*Lesson, *Check) {
	s.t.Helper()
	l := NewLearner()
	for _, r := range s.all {
		l.Add(r)
	}
	for range 20 {
		lesson := l.Lesson()
		check, err := NewCheck(lesson)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, r := range s.all {
			check.Add(r)
		}
		if check.Refused == 0 || !l.Relax(check) {
			return lesson, check
		}
	}
	s.t.Fatal("what was learnt is still too narrow")
	return nil, nil
}

func TestWhatIsLearnt(t *testing.T) {
	s := &script{t: t}
	for i, name := range []string{"a.txt", "b/c.txt", "b/d.txt"} {
		s.call("read", fmt.Sprintf(`{"path":"/nonexistent/ann/work/%s","head":%d}`, name, 10*i), "ok")
	}
	s.call("read", `{"path":"/etc/shadow"}`, "tool_error")
	for range 4 {
		s.call("list", `{"path":"/nonexistent/ann/work","sort":"name","all":true}`, "ok")
		s.call("list", `{"path":"/nonexistent/ann/work","sort":"size"}`, "ok")
	}
	s.call("fetch", `{"url":"https://example.com/a?b=c"}`, "ok")
	s.call("fetch", `{"url":"https://docs.example.com/x","options":{"deep":[1]}}`, "timeout")
	s.call("query", `{"sql":"SELECT a FROM b","token":"<redacted>"}`, "ok")
	s.call("query", `{"sql":"SELECT count(*) FROM customers","token":"<redacted>"}`, "ok")
	s.call("broken", `{}`, "error")
	s.call("interrupted", `{}`, "")
	s.deny("rm", "policy.deny_tools[0]")
	s.deny("rm", "policy.deny_tools[0]")
	s.use("resources/read", "file:///nonexistent/ann/work/a.txt")
	s.use("prompts/get", "ask")
	s.use("vendor/x", "")
	s.add(`"request_id":"r","method":"roots/list","decision":"allow","rule":"default","kind":"decision"`)
	s.add(`"request_id":"r","method":"roots/list","outcome":"ok","latency_ms":1,"kind":"outcome"`)
	lesson, check := s.learn()
	if check.Refused != 0 || check.Passed != 19 || !lesson.Complete() {
		t.Errorf("%d passed, %d refused, incomplete %q", check.Passed, check.Refused, lesson.Incomplete)
	}
	length, prefix := 32, "SELECT "
	want := policy.Config{
		AllowTools: []string{"fetch", "list", "query", "read"},
		ToolRules: map[string]policy.ToolRule{
			"read": {DenyUnknownArgs: true, Args: map[string]policy.Constraint{"path": {Within: policy.Strings{"/nonexistent/ann/work"}}, "head": {Min: "0", Max: "20", Required: true}}},
			"list": {DenyUnknownArgs: true, Args: map[string]policy.Constraint{
				"path": {Within: policy.Strings{"/nonexistent/ann/work"}}, "sort": {OneOf: policy.Scalars{`"name"`, `"size"`}, Required: true}, "all": {OneOf: policy.Scalars{"true"}},
			}},
			"fetch": {DenyUnknownArgs: true, Args: map[string]policy.Constraint{"url": {HostIn: policy.Strings{"docs.example.com", "example.com"}, Required: true}, "options": {}}},
			"query": {DenyUnknownArgs: true, Args: map[string]policy.Constraint{"sql": {Prefix: &prefix, MaxLen: &length, Required: true}, "token": {Required: true}}},
		},
		AllowResources: []string{"file:///nonexistent/ann/work/a.txt"},
		AllowPrompts:   []string{"ask"},
		AllowMethods:   []string{"vendor/x"},
		ServerRequests: policy.ServerRequests{Sampling: "deny", Elicitation: "deny", Roots: "allow"},
	}
	if diff := cmp.Diff(want, lesson.Servers[0].Policy); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	left := strings.Join(lesson.Servers[0].Left, "\n")
	for _, part := range []string{"tools/call rm, denied 2 times by policy.deny_tools[0]", "tool broken: it failed every time", "tool interrupted: how its calls ended"} {
		if !strings.Contains(left, part) {
			t.Errorf("%q does not tell %q", left, part)
		}
	}
}

// What was learnt of texts with a common beginning lets none pass that only begins like them and leads elsewhere.
func TestPrefixesLeadNowhereElse(t *testing.T) {
	for _, row := range []struct {
		name     string
		recorded [2]string
		other    string
	}{
		{"relative paths", [2]string{"src/lib/a.go", "src/lib/b.go"}, "src/lib/../../x"},
		{"relative paths, the other way round", [2]string{"src/lib/a.go", "src/lib/b.go"}, `src/lib/..\\x`},
		{"paths of which one is odd", [2]string{"/nonexistent/ann/proj/x.txt", "/nonexistent/ann/proj/notes 100%.txt"}, "/nonexistent/ann/proj/../../bob/.ssh"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := &script{t: t}
			for _, path := range row.recorded {
				s.call("read", `{"path":"`+path+`"}`, "ok")
			}
			lesson, check := s.learn()
			if check.Refused != 0 {
				t.Fatalf("%d refused", check.Refused)
			}
			e, err := policy.Compile(lesson.Servers[0].Policy)
			if err != nil {
				t.Fatal(err)
			}
			if d := e.Call([]byte("read"), []byte(`{"path":"`+row.other+`"}`)); d.Allow {
				t.Errorf("%s passes: %+v", row.other, lesson.Servers[0].Policy.ToolRules["read"])
			}
		})
	}
	if got := meaningful("https://api.example."); got != "" {
		t.Errorf("a part of a host is the prefix %q", got)
	}
}

// Without arguments in the log tools are learnt, and it is said that the rest is not.
func TestArgumentsThatAreNotThere(t *testing.T) {
	for name, args := range map[string]string{"hashed": `"sha256:aa"`, "off": ""} {
		s := &script{t: t}
		s.call("read", args, "ok")
		lesson, _ := s.learn()
		if lesson.Complete() || !strings.Contains(lesson.Incomplete[0], "audit.args") {
			t.Errorf("%s: %q", name, lesson.Incomplete)
		}
		if c := lesson.Servers[0].Policy; !cmp.Equal(c.AllowTools, []string{"read"}) || c.ToolRules != nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// What the revision of 2026-07-28 does otherwise: questions inside of answers, several resources in one request, calls as tasks.
func TestModernWaysAreLearnt(t *testing.T) {
	s := &script{t: t}
	s.add(`"era":"modern","request_id":1,"method":"tools/call","target":"ask","decision":"allow","rule":"default","args":{},"kind":"decision"`)
	s.add(`"era":"modern","request_id":1,"method":"elicitation/create","decision":"allow","rule":"default","kind":"decision"`)
	s.add(`"era":"modern","request_id":1,"method":"tools/call","target":"ask","outcome":"ok","latency_ms":1,"kind":"outcome"`)
	subscribe := func(args string) {
		s.add(`"era":"modern","request_id":"l","method":"subscriptions/listen","target":"file:///b","decision":"allow","rule":"default","kind":"decision"` + args)
		s.add(`"era":"modern","request_id":"l","method":"subscriptions/listen","target":"file:///b","outcome":"cancelled","latency_ms":1,"kind":"outcome"`)
	}
	subscribe(`,"args":{"resourceSubscriptions":["file:///a","file:///b"]}`)
	s.use("tasks/get", "")
	lesson, check := s.learn()
	if check.Refused != 0 || !lesson.Complete() {
		t.Errorf("%d passed, %d refused, incomplete %q", check.Passed, check.Refused, lesson.Incomplete)
	}
	got := lesson.Servers[0].Policy
	if got.ServerRequests.Elicitation != "allow" || got.ServerRequests.Sampling != "deny" {
		t.Errorf("requests of the server: %+v", got.ServerRequests)
	}
	if want := []string{"file:///a", "file:///b"}; !cmp.Equal(got.AllowResources, want) {
		t.Errorf("resources %q, want %q", got.AllowResources, want)
	}
	if want := []string{"tasks/get", "tasks/result"}; !cmp.Equal(got.AllowMethods, want) {
		t.Errorf("methods %q, want %q", got.AllowMethods, want)
	}
	denies, err := policy.Compile(policy.Config{DenyResources: []string{"file:///a"}})
	if err != nil {
		t.Fatal(err)
	}
	replay := Replay{Engine: func(string, string) *policy.Engine { return denies }}
	if out, ok := replay.Ask(s.all[3]); !ok || out.Verdict != NewlyDenied {
		t.Errorf("a subscription of which one resource is denied: %+v, %v", out, ok)
	}

	subscribe(`,"args":"sha256:aa"`)
	if lesson, _ := s.learn(); lesson.Complete() || !strings.Contains(lesson.Incomplete[0], "subscriptions/listen") {
		t.Errorf("resources that are not in the log: incomplete %q", lesson.Incomplete)
	}
	if out, ok := replay.Ask(s.all[len(s.all)-2]); !ok || out.Verdict != Undecided {
		t.Errorf("a subscription whose resources are not in the log: %+v, %v", out, ok)
	}
}

// A server that was listed, tried in vain or denied everything is not known to need nothing.
func TestNothingHasPassed(t *testing.T) {
	s := &script{t: t}
	s.call("read", `{}`, "tool_error")
	s.deny("rm", "policy.deny_tools[0]")
	lesson, _ := s.learn()
	if len(lesson.Incomplete) != 1 || !strings.Contains(lesson.Incomplete[0], "its policy denies everything") {
		t.Errorf("incomplete: %q", lesson.Incomplete)
	}
	s.call("read", `{}`, "ok")
	if lesson, _ := s.learn(); !lesson.Complete() {
		t.Errorf("incomplete: %q", lesson.Incomplete)
	}
}

// Whatever the values of a session's arguments: each call of it passes under what was learnt of them.
func TestTheSessionPassesUnderItsLesson(t *testing.T) {
	values := []string{
		`"a"`, `"b"`, `""`, `"/nonexistent/a"`, `"/nonexistent/b/../c"`, `"/"`, `"/x y/é"`, `"C:\\x"`, `"~/.ssh"`, `"https://example.com/"`, `"http://u@h/"`, `"https://EXAMPLE.com:8443/x"`,
		`1`, `-2.50`, `1e3`, `100000000000000000000000`, `true`, `false`, `null`, `[]`, `{"a":1}`, `"<redacted>"`, `"line\nbreak"`, `"\u202e"`, `"${HOME}"`, `"` + strings.Repeat("x", 300) + `"`,
	}
	names := []string{"path", "Path", "q", "/slash", "a~b", "with.dot", "sp ace", "\u202e", ""}
	random := rand.New(rand.NewPCG(1, 7))
	for round := range 300 {
		s := &script{t: t}
		some := values[:1+random.IntN(len(values))]
		offset := random.IntN(len(values))
		for range 1 + random.IntN(12) {
			var members []string
			seen := map[string]bool{}
			for range random.IntN(3) {
				name := names[random.IntN(len(names))]
				if seen[strings.ToLower(name)] {
					continue
				}
				seen[strings.ToLower(name)] = true
				value := values[(offset+random.IntN(len(some)))%len(values)]
				members = append(members, string(jsonrpc.AppendString(nil, name))+":"+value)
			}
			s.call([]string{"t", "u*", "T"}[random.IntN(3)], "{"+strings.Join(members, ",")+"}", "ok")
		}
		lesson, check := s.learn()
		if check.Refused > 0 && lesson.Complete() {
			for _, r := range s.all {
				t.Logf("%s %s", r.Target, r.Args)
			}
			t.Fatalf("round %d: %d of %d calls are refused by\n%s", round, check.Refused, check.Passed+check.Refused, lesson.YAML())
		}
	}
}

func TestReplay(t *testing.T) {
	s := &script{t: t}
	s.call("read", `{"path":"/a"}`, "ok")
	s.call("read", `{"path":"/b"}`, "ok")
	s.call("read", `{"path":"<redacted>"}`, "ok")
	s.call("read", `"sha256:00"`, "ok")
	s.call("gone", `{}`, "ok")
	s.deny("rm", "policy.deny_tools[0]")
	s.deny("drop", "policy.deny_tools[1]")
	s.deny("limited", "rate_limit.rps")
	s.add(`"request_id":99,"method":"tools/call","target":"gone","decision":"allow","rule":"policy.allow_tools","reason":"shadow: no","kind":"decision"`)
	b := "/b"
	e, err := policy.Compile(policy.Config{
		AllowTools: []string{"read", "rm"}, ToolRules: map[string]policy.ToolRule{"read": {Args: map[string]policy.Constraint{"path": {Equals: policy.Scalar(jsonrpc.AppendString(nil, b))}}}},
		Shadow: true, // a rehearsed policy is asked as if it were enforced
	})
	if err != nil {
		t.Fatal(err)
	}
	p := Replay{Engine: func(server, _ string) *policy.Engine {
		if server != "files" {
			return nil
		}
		return e
	}}
	var got []Verdict
	for _, r := range s.all {
		p.Know(r)
	}
	for _, r := range s.all {
		if out, ok := p.Ask(r); ok {
			got = append(got, out.Verdict)
		}
	}
	want := []Verdict{NewlyDenied, SameAllow, Undecided, Undecided, NewlyDenied, NewlyAllowed, SameDeny, NotThePolicy, NewlyDenied}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}
