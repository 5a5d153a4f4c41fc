package learn

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/policy"
)

func TestRootsOf(t *testing.T) {
	var many []string
	for i := range 9 {
		many = append(many, fmt.Sprintf("/data/%d", i))
	}
	for _, test := range []struct {
		name  string
		paths []string
		want  policy.Strings
	}{
		{"a file deep down: its folder", []string{"/home/ann/project/a.txt"}, policy.Strings{"/home/ann/project"}},
		{"a file in a home: itself", []string{"/home/ann/a.txt"}, policy.Strings{"/home/ann/a.txt"}},
		{"a folder and what is in it", []string{"/home/ann/project", "/home/ann/project/a/b.txt"}, policy.Strings{"/home/ann/project"}},
		{"a folder alone", []string{"/home/ann/project"}, policy.Strings{"/home/ann/project"}},
		{"a folder at the top, and a file in it", []string{"/work", "/work/a.txt"}, policy.Strings{"/work"}},
		{"two projects: not the home", []string{"/home/ann/a/x.go", "/home/ann/b/y.go"}, policy.Strings{"/home/ann/a", "/home/ann/b"}},
		{"siblings in a project", []string{"/home/ann/a/x/1.go", "/home/ann/a/y/2.go"}, policy.Strings{"/home/ann/a"}},
		{"a hidden folder", []string{"/home/ann/.ssh"}, policy.Strings{"/home/ann/.ssh"}},
		{"too many for a list", many, policy.Strings{"/data"}},
		{"the root", []string{"/"}, nil},
		{"all over", []string{"/a/x", "/b/x", "/c/x", "/d/x", "/e/x"}, nil},
		{"names that begin alike", []string{"/home/ann/work", "/home/ann/work-old"}, policy.Strings{"/home/ann/work", "/home/ann/work-old"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := map[string]bool{}
			for _, p := range test.paths {
				set[p] = true
			}
			if diff := cmp.Diff(test.want, rootsOf(set)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestURIsOf(t *testing.T) {
	many := func(pattern string, n int) map[string]int {
		uris := map[string]int{}
		for i := range n {
			uris[fmt.Sprintf(pattern, i)] = 1
		}
		return uris
	}
	for _, test := range []struct {
		name string
		uris map[string]int
		want []string // nil: each by itself
	}{
		{"few", many("file:///home/ann/project/%d", 8), nil},
		{"many of one folder", many("file:///home/ann/project/%d", 9), []string{"file:///home/ann/project/*"}},
		{"many of a home", many("file:///home/ann/%d", 9), nil},
		{"many hosts", many("https://h%d.example/x", 30), nil},
		{"a slash in the query", many("https://h.example/x?a=%%2F%d", 9), nil},
		{"no path behind the host", many("https://h.example?id=%d", 9), nil},
		{"no path", many("urn:x:%d", 9), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := urisOf(test.uris)
			slices.Sort(got)
			want := test.want
			if want == nil {
				for uri := range test.uris {
					want = append(want, policy.Literal(uri))
				}
				slices.Sort(want)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Arguments that are too long to be recorded are not taken for none, and none are not taken for missing ones.
func TestArgumentsThatCannotBeThere(t *testing.T) {
	s := &script{t: t}
	s.call("bare", "", "ok") // before the log shows that it has arguments
	s.call("read", `{"path":"/nonexistent/ann/work/a"}`, "ok")
	s.add(`"request_id":90,"method":"tools/call","target":"write","decision":"allow","rule":"default","bytes_in":70000,"kind":"decision"`)
	s.add(`"request_id":90,"method":"tools/call","target":"write","outcome":"ok","latency_ms":1,"args":"sha256:aa (over 64 KiB)","kind":"outcome"`)
	lesson, check := s.learn()
	if check.Refused > 0 || len(lesson.Incomplete) != 1 || !strings.Contains(lesson.Incomplete[0], "64 KiB") {
		t.Errorf("%d refused, incomplete %q", check.Refused, lesson.Incomplete)
	}
	rules := lesson.Servers[0].Policy.ToolRules
	if _, ok := rules["write"]; ok || !rules["bare"].DenyUnknownArgs || !rules["read"].DenyUnknownArgs {
		t.Errorf("rules: %+v", rules)
	}
	if text := string(lesson.YAML()); !strings.Contains(text, "- write # called once; the arguments of 1 are not in the log") {
		t.Errorf("it does not tell why write has no rule:\n%s", text)
	}
}

// One value that no rule can spell costs the rule for its argument, not those beside it.
func TestOddValuesCostLittle(t *testing.T) {
	s := &script{t: t}
	s.call("get", `{"url":"https://under_score.example/","n":3,"big":1e3,"line\nbreak":1}`, "ok")
	s.call("get", `{"url":"https://example.com/","n":5,"big":7}`, "ok")
	s.call("list", `{"url":"https://under_score.example/"}`, "ok")
	lesson, check := s.learn()
	if check.Refused > 0 {
		t.Errorf("%d are refused by\n%s", check.Refused, lesson.YAML())
	}
	args := lesson.Servers[0].Policy.ToolRules["get"].Args
	if args["n"].Min != "3" || args["n"].Max != "5" || !args["url"].Required || args["url"].HostIn != nil || args["url"].MaxLen == nil {
		t.Errorf("rules: %+v", args)
	}
}

// Resources that a client listens to are learnt, as far as the log names them.
func TestSubscriptionsAreLearnt(t *testing.T) {
	s := &script{t: t}
	s.use("subscriptions/listen", "file:///nonexistent/ann/work/a.txt")
	s.use("subscriptions/listen", "")
	lesson, check := s.learn()
	if got := lesson.Servers[0].Policy.AllowResources; check.Refused > 0 || !cmp.Equal(got, []string{"file:///nonexistent/ann/work/a.txt"}) {
		t.Errorf("resources %q, %d refused", got, check.Refused)
	}
}

// Where values were redacted, a rule that only wants them to be there is decided, and one that looks at them is not.
func TestReplayOfRedactedArguments(t *testing.T) {
	s := &script{t: t}
	s.call("login", `{"user":"ann","token":"<redacted>","options":{"api/key":"<redacted>"}}`, "ok")
	text := "x"
	for _, test := range []struct {
		name string
		args map[string]policy.Constraint
		want Verdict
	}{
		{"presence", map[string]policy.Constraint{"token": {Required: true}, "/options/api~1key": {Required: true}}, SameAllow},
		{"value", map[string]policy.Constraint{"token": {Prefix: &text}}, Undecided},
		{"value by pointer", map[string]policy.Constraint{"/token": {Prefix: &text}}, Undecided},
		{"value deeper", map[string]policy.Constraint{"/options/api~1key": {Prefix: &text}}, Undecided},
		{"another denies", map[string]policy.Constraint{"a": {Required: true}, "token": {Prefix: &text}}, NewlyDenied},
		{"another with a longer name", map[string]policy.Constraint{"tokens": {Prefix: &text}}, SameAllow},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, err := policy.Compile(policy.Config{ToolRules: map[string]policy.ToolRule{"login": {Args: test.args}}})
			if err != nil {
				t.Fatal(err)
			}
			p := Replay{Engine: func(string, string) *policy.Engine { return e }}
			if out, ok := p.Ask(s.all[0]); !ok || out.Verdict != test.want {
				t.Errorf("verdict %d (%v), want %d", out.Verdict, out.Now, test.want)
			}
		})
	}
	lesson, _ := s.learn()
	e, err := policy.Compile(lesson.Servers[0].Policy)
	if err != nil {
		t.Fatal(err)
	}
	p := Replay{Engine: func(string, string) *policy.Engine { return e }}
	if out, _ := p.Ask(s.all[0]); out.Verdict != SameAllow {
		t.Errorf("under its own lesson the verdict is %d", out.Verdict)
	}
}

// What is waited for is bounded, and a request is not forgotten because many others end before it.
func TestWaitingIsBounded(t *testing.T) {
	s := &script{t: t}
	s.call("slow", `{}`, "")
	s.call("quick", `{}`, "ok")
	slow, quick := s.all[0], s.all[1:]
	var p pairs
	p.add(slow)
	for range 3 * maxOpen {
		p.add(quick[0])
		p.add(quick[1])
	}
	end := *slow
	end.Kind, end.Outcome = "outcome", "ok"
	if decision, _, _ := p.add(&end); decision == nil {
		t.Error("a request is forgotten that is open")
	}
	lost := 0
	for i := range maxOpen + 100 {
		r := *slow
		r.RequestID = fmt.Sprint(i)
		_, _, gone := p.add(&r)
		lost += len(gone)
	}
	if lost != 100 || len(p.open) != maxOpen || len(p.order) > 2*maxOpen {
		t.Errorf("%d lost, %d open, %d in order", lost, len(p.open), len(p.order))
	}
}

// A lesson that is made again tells of the same names that no rule can allow.
func TestLessonsOfOneRecordAreAlike(t *testing.T) {
	l := NewLearner()
	s := &script{t: t}
	s.use("resources/read", "file:///a/../b")
	s.use("prompts/get", "${HOME}")
	s.call("read", `{"path":"a"}`, "ok")
	for _, r := range s.all {
		l.Add(r)
	}
	first, again := l.Lesson().YAML(), l.Lesson().YAML()
	if string(first) != string(again) {
		t.Errorf("first:\n%s\nthen:\n%s", first, again)
	}
	if !strings.Contains(string(again), "no rule can allow this name") {
		t.Errorf("nothing was left out:\n%s", again)
	}
}

// Whatever a call has for arguments and whatever names are: it passes under its lesson, or that is told, and what is printed has
// nothing in it that hides or that a terminal obeys.
func FuzzLesson(f *testing.F) {
	f.Add("read", `{"path":"/nonexistent/a.txt"}`, "file:///a", "x")
	f.Add("a\"b: #${HOME}", `{"/a/b":1,"~":"\u202e","":null,"a":{"b":[1e999]}}`, "urn:x", "a\nb")
	f.Add("*", `{"u":"http://[::1]:80/","n":-0,"N":0.10}`, "a\u202eb", "[a]")
	f.Add("t", `{"p":"C:\\x","P":"//","q":"https://a.b/%2e"}`, "https://h/?a=%2F", "{")
	f.Fuzz(func(t *testing.T, tool, args, uri, prompt string) {
		if !valid8(tool, args, uri, prompt) {
			return
		}
		s := &script{t: t}
		if !s.offer(tool, args) {
			return
		}
		s.use("resources/read", uri)
		s.use("prompts/get", prompt)
		s.use("vendor/"+prompt, "")
		lesson, check := s.learn()
		if check.Refused > 0 && len(lesson.Servers[0].Left) == 0 {
			t.Errorf("%d are refused, and nothing is told:\n%s", check.Refused, lesson.YAML())
		}
		for _, r := range string(lesson.YAML()) {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%q is printed: %q", r, lesson.YAML())
			}
		}
	})
}
