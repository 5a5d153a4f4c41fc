package policy

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func mustCompile(t testing.TB, server Config, overrides ...Layer) *Engine {
	t.Helper()
	e, err := Compile(server, overrides...)
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	return e
}

// check compares a decision: "+rule" for an allow, "-rule" for a denial.
func wantDecision(t *testing.T, got Decision, want string) {
	t.Helper()
	sign := "-"
	if got.Allow {
		sign = "+"
	}
	if sign+got.Rule != want {
		t.Errorf("got %s%s (%s), want %s", sign, got.Rule, got.Reason, want)
	}
	if got.Allow != (got.Reason == "") {
		t.Errorf("allow %v with reason %q", got.Allow, got.Reason)
	}
}

func TestTool(t *testing.T) {
	lists := Config{AllowTools: []string{"read_file", "list_*", "x_[a-c]", "{up,down}load"}, DenyTools: []string{"list_secrets", "*_all"}}
	for _, row := range []struct {
		name   string
		server Config
		layers []Layer
		tool   string
		want   string
	}{
		{"no rules", Config{}, nil, "anything", "+default"},
		{"exact", lists, nil, "read_file", "+policy.allow_tools[0]"},
		{"glob", lists, nil, "list_dir", "+policy.allow_tools[1]"},
		{"set", lists, nil, "x_b", "+policy.allow_tools[2]"},
		{"set, outside", lists, nil, "x_d", "-policy.allow_tools"},
		{"alternatives", lists, nil, "download", "+policy.allow_tools[3]"},
		{"not listed", lists, nil, "write_file", "-policy.allow_tools"},
		{"deny wins over a glob", lists, nil, "list_secrets", "-policy.deny_tools[0]"},
		{"deny glob wins", lists, nil, "list_all", "-policy.deny_tools[1]"},
		{"the first of two entries that match", Config{AllowTools: []string{"a", "*", "b"}}, nil, "b", "+policy.allow_tools[1]"},
		{"the first of two, exact", Config{AllowTools: []string{"a", "*"}}, nil, "a", "+policy.allow_tools[0]"},
		{"longer than an exact name", lists, nil, "read_file2", "-policy.allow_tools"},
		{"name with a line break", lists, nil, "read_file\n", "-name"},
		{"read_only does not hide", Config{ReadOnly: true}, nil, "x", "+default"},

		{"both layers allow", lists, []Layer{{"client ci-bot", Config{AllowTools: []string{"read_*"}}}}, "read_file", "+client ci-bot.allow_tools[0]"},
		{"override restricts", lists, []Layer{{"client ci-bot", Config{AllowTools: []string{"read_*"}}}}, "list_dir", "-client ci-bot.allow_tools"},
		{"override cannot widen", lists, []Layer{{"client ci-bot", Config{AllowTools: []string{"*"}}}}, "write_file", "-policy.allow_tools"},
		{"hub denies", lists, []Layer{{"client ci-bot", Config{}}, {"hub", Config{DenyTools: []string{"read_file"}}}}, "read_file", "-hub.deny_tools[0]"},

		{"empty name", Config{}, nil, "", "-name"},
		{"NUL", Config{}, nil, "a\x00b", "-name"},
		{"C1 control", Config{}, nil, "a\u0085b", "-name"},
		{"bidi override", Config{}, nil, "a\u202eb", "-name"},
		{"zero-width space", Config{}, nil, "a\u200bb", "-name"},
		{"soft hyphen", Config{}, nil, "a\u00adb", "-name"},
		{"hangul filler", Config{}, nil, "a\u3164b", "-name"},
		{"tag character", Config{}, nil, "a\U000e0041b", "-name"},
		{"variation selector", Config{}, nil, "a\ufe0fb", "-name"},
		{"invalid UTF-8", Config{}, nil, "a\xffb", "-name"},
		{"Unicode without tricks passes", Config{}, nil, "größe_日本", "+default"},
	} {
		t.Run(row.name, func(t *testing.T) {
			wantDecision(t, mustCompile(t, row.server, row.layers...).Tool([]byte(row.tool)), row.want)
		})
	}
}

func TestTwinsOfRuledNamesDenied(t *testing.T) {
	deny := Config{DenyTools: []string{"delete", "admin_*"}}
	rules := Config{ToolRules: map[string]ToolRule{"task": {DenyUnknownArgs: true}, "skill_*": {DenyUnknownArgs: true}}}
	for _, row := range []struct {
		name   string
		server Config
		tool   string
		want   string
	}{
		{"case", deny, "Delete", "-policy.deny_tools[0]"},
		{"fullwidth (NFKC)", deny, "ｄｅｌｅｔｅ", "-policy.deny_tools[0]"},
		{"white space at the ends", deny, "delete ", "-policy.deny_tools[0]"},
		{"twin of a glob", deny, "ADMIN_wipe", "-policy.deny_tools[1]"},
		{"no twin", deny, "deleted", "+default"},
		{"Kelvin sign U+212A", rules, "tas\u212a", "-policy.tool_rules.task"},
		{"long s U+017F", rules, "ta\u017fk", "-policy.tool_rules.task"},
		{"long s against a glob", rules, "\u017fkill_x", "-policy.tool_rules.skill_*"},
		{"the ruled name itself", rules, "task", "+default"},
		{"twin of an allowed name", Config{AllowTools: []string{"*", "read"}}, "READ", "-policy.allow_tools[1]"},
		{"both spelled out", Config{DenyTools: []string{"delete"}, AllowTools: []string{"Delete"}}, "Delete", "+policy.allow_tools[0]"},
		{"a set speaks about case", Config{DenyTools: []string{"[A-Z]*"}}, "read", "+default"},
	} {
		t.Run(row.name, func(t *testing.T) {
			wantDecision(t, mustCompile(t, row.server).Tool([]byte(row.tool)), row.want)
		})
	}
}

// A file system that does not tell case apart opens the denied file under other names as well.
func TestTwinsOfDeniedFilesDenied(t *testing.T) {
	keys := Config{DenyResources: []string{"file:///home/ann/.ssh/**", "file:///home/ann/%C3%A9t%C3%A9.txt", "https://x.example/Private/**"}}
	for _, row := range []struct {
		name   string
		server Config
		uri    string
		want   string
	}{
		{"as it is", keys, "file:///home/ann/.ssh/id", "-policy.deny_resources[0]"},
		{"case", keys, "file:///home/ann/.SSH/id", "-policy.deny_resources[0]"},
		{"case above it", keys, "file:///Home/Ann/.ssh/deep/id", "-policy.deny_resources[0]"},
		{"long s", keys, "file:///home/ann/.s%C5%BFh/id", "-policy.deny_resources[0]"},
		{"accents apart (NFD)", keys, "file:///home/ann/e%CC%81te%CC%81.txt", "-policy.deny_resources[1]"},
		{"a zero-width character", keys, "file:///home/ann/.ssh%E2%80%8B/id", "-name"},
		{"too long to be compared", keys, "file:///home/ann/.SSH/" + strings.Repeat("x", maxFold), "-policy.deny_resources[0]"},
		{"another file", keys, "file:///home/ann/.ssh2/id", "+default"},
		{"another scheme", keys, "https://x.example/private/a", "+default"},
		{"spelled out", Config{DenyResources: []string{"file:///a/x"}, AllowResources: []string{"file:///a/X", "file:///b/**"}}, "file:///a/X", "+policy.allow_resources[0]"},
		{"twin of an allowed file", Config{AllowResources: []string{"file:///a/X", "file:///a/**"}}, "file:///a/x", "+policy.allow_resources[1]"},
		{"a set speaks about case", Config{DenyResources: []string{"file:///a/[A-Z]*"}}, "file:///a/x", "+default"},
	} {
		t.Run(row.name, func(t *testing.T) {
			wantDecision(t, mustCompile(t, row.server).Resource([]byte(row.uri)), row.want)
		})
	}
	wantDecision(t, mustCompile(t, keys).Template([]byte("file:///home/ann/.SSH/{name}")), "-policy.deny_resources[0]")
}

func TestCall(t *testing.T) {
	query := Config{ToolRules: map[string]ToolRule{
		"query": {Args: map[string]Constraint{"sql": {Regex: new("^SELECT "), Required: true}}},
		"q*":    {Args: map[string]Constraint{"limit": {Max: "100"}}},
		"nest":  {Args: map[string]Constraint{"/options/path": {Prefix: new("/data/")}, "/a~1b/c~0d": {Equals: "1"}}},
		"none":  {DenyUnknownArgs: true},
		"some":  {DenyUnknownArgs: true, Args: map[string]Constraint{"free": {}, "/deep/x": {}}},
		"some_": {},
	}}
	delete(query.ToolRules, "some_")
	readOnly := Config{ReadOnly: true}
	for _, row := range []struct {
		name   string
		server Config
		layers []Layer
		tool   string
		args   string // "" is absent
		want   string
	}{
		{"no rules", Config{}, nil, "x", `{"a":1}`, "+default"},
		{"no arguments", Config{}, nil, "x", "", "+default"},
		{"arguments null", Config{}, nil, "x", "null", "+default"},
		{"arguments an array", Config{}, nil, "x", `[{"sql":"SELECT 1"}]`, "-arguments"},
		{"arguments a text", Config{}, nil, "x", `"{}"`, "-arguments"},
		{"read_only", readOnly, nil, "x", "{}", "-policy.read_only"},
		{"read_only of an override", Config{}, []Layer{Override{ReadOnly: true}.Layer("client a")}, "x", "", "-client a.read_only"},
		{"tool denied first", Config{ReadOnly: true, DenyTools: []string{"x"}}, nil, "x", "{}", "-policy.deny_tools[0]"},

		{"rule holds", query, nil, "query", `{"sql":"SELECT 1"}`, "+default"},
		{"rule violated", query, nil, "query", `{"sql":"DROP TABLE t"}`, "-policy.tool_rules.query.args.sql.regex"},
		{"required and absent", query, nil, "query", `{}`, "-policy.tool_rules.query.args.sql.required"},
		{"required and no arguments at all", query, nil, "query", "", "-policy.tool_rules.query.args.sql.required"},
		{"every matching rule applies", query, nil, "query", `{"sql":"SELECT 1","limit":101}`, "-policy.tool_rules.q*.args.limit.max"},
		{"absent and not required", query, nil, "quit", `{}`, "+default"},
		{"escaped name of an argument", query, nil, "query", `{"\u0073ql":"DROP"}`, "-policy.tool_rules.query.args.sql.regex"},
		{"white space", query, nil, "query", "\n{ \"sql\" : \"DROP\" }", "-policy.tool_rules.query.args.sql.regex"},

		{"argument twin: case", query, nil, "query", `{"sql":"SELECT 1","SQL":"DROP"}`, "-policy.tool_rules.query.args.sql"},
		{"argument twin alone", query, nil, "quit", `{"Limit":1000}`, "-policy.tool_rules.q*.args.limit"},
		{"argument twin: long s U+017F", query, nil, "query", "{\"sql\":\"SELECT 1\",\"\u017fql\":\"DROP\"}", "-policy.tool_rules.query.args.sql"},
		{"argument twin: zero-width space", query, nil, "query", "{\"sql\":\"SELECT 1\",\"s\u200bql\":\"DROP\"}", "-policy.tool_rules.query.args.sql"},
		{"argument twin: escaped", query, nil, "query", `{"sql":"SELECT 1","\u017fql":"DROP"}`, "-policy.tool_rules.query.args.sql"},

		{"pointer holds", query, nil, "nest", `{"options":{"path":"/data/x"}}`, "+default"},
		{"pointer violated", query, nil, "nest", `{"options":{"path":"/etc/x"}}`, "-policy.tool_rules.nest.args./options/path.prefix"},
		{"pointer twin", query, nil, "nest", `{"options":{"path":"/data/x","Path":"/etc"}}`, "-policy.tool_rules.nest.args./options/path"},
		{"pointer twin of the outer name", query, nil, "nest", `{"Options":{"path":"/etc/x"}}`, "-policy.tool_rules.nest.args./options/path"},
		{"pointer meets an array", query, nil, "nest", `{"options":[{"path":"/etc/x"}]}`, "-policy.tool_rules.nest.args./options/path"},
		{"pointer meets null", query, nil, "nest", `{"options":null}`, "-policy.tool_rules.nest.args./options/path"},
		{"pointer escapes", query, nil, "nest", `{"a/b":{"c~d":2}}`, "-policy.tool_rules.nest.args./a~1b/c~0d.equals"},
		{"pointer, nothing there", query, nil, "nest", `{"options":{}}`, "+default"},

		{"no unknown arguments", query, nil, "none", `{}`, "+default"},
		{"unknown argument", query, nil, "none", `{"x":1}`, "-policy.tool_rules.none.deny_unknown_args"},
		{"known arguments of any kind", query, nil, "some", `{"free":[1,{"a":null}],"deep":{"y":1}}`, "+default"},
		{"unknown beside known", query, nil, "some", `{"free":null,"z":1}`, "-policy.tool_rules.some.deny_unknown_args"},

		{"override's rules hold too", query, []Layer{{"client a", Config{ToolRules: map[string]ToolRule{"query": {Args: map[string]Constraint{"sql": {MaxLen: new(10)}}}}}}},
			"query", `{"sql":"SELECT 12345"}`, "-client a.tool_rules.query.args.sql.max_len"},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := mustCompile(t, row.server, row.layers...)
			var args []byte
			if row.args != "" {
				args = []byte(row.args)
			}
			d := e.Call([]byte(row.tool), args)
			wantDecision(t, d, row.want)
			explained, trace := e.Explain([]byte(row.tool), args)
			if explained != d || len(trace) == 0 || trace[len(trace)-1].Rule != d.Rule {
				t.Errorf("explained as %v %v, decided %v", explained, trace, d)
			}
		})
	}
}

// The violated value may be a secret; the error goes to the model, the log and the hub.
func TestReasonNamesToolArgumentAndRuleButNotTheValue(t *testing.T) {
	e := mustCompile(t, Config{ToolRules: map[string]ToolRule{"query": {Args: map[string]Constraint{"sql": {Equals: `"x"`}}}}})
	d := e.Call([]byte("query"), []byte(`{"sql":"s3cr3t"}`))
	for _, part := range []string{"query", "sql", "policy.tool_rules.query.args.sql.equals"} {
		if !strings.Contains(d.Reason, part) {
			t.Errorf("%q does not name %s", d.Reason, part)
		}
	}
	if strings.Contains(d.Reason, "s3cr3t") {
		t.Errorf("%q holds the value", d.Reason)
	}
}

func TestDecisionsAreTheSameEveryTime(t *testing.T) {
	server := Config{ToolRules: map[string]ToolRule{}}
	for i := range 20 {
		args := map[string]Constraint{}
		for j := range 20 {
			args[fmt.Sprintf("a%02d", j)] = Constraint{Equals: "1", Prefix: new("x"), MaxLen: new(0)}
		}
		server.ToolRules[strings.Repeat("?", i%3+1)+"*"+strings.Repeat("*", i)] = ToolRule{Args: args}
	}
	want := mustCompile(t, server).Call([]byte("tool"), []byte(`{"a07":"y","a03":"y"}`))
	var group sync.WaitGroup
	for range 20 {
		e := mustCompile(t, server)
		group.Go(func() {
			for range 20 {
				if got := e.Call([]byte("tool"), []byte(`{"a07":"y","a03":"y"}`)); got != want {
					t.Errorf("got %v, want %v", got, want)
				}
			}
		})
	}
	group.Wait()
}

// Clients in Go send null where there are no arguments. It is judged as what it stands for.
func TestNullStandsForNoArguments(t *testing.T) {
	e := mustCompile(t, Config{ToolRules: map[string]ToolRule{
		"free":  {Args: map[string]Constraint{"path": {Equals: `"/data"`, Optional: true}}},
		"bound": {Args: map[string]Constraint{"path": {Equals: `"/data"`, Required: true}}},
	}})
	for _, tool := range []string{"free", "bound", "other"} {
		null, absent := e.Call([]byte(tool), []byte("null")), e.Call([]byte(tool), nil)
		if null != absent {
			t.Errorf("%s: null gets %+v, no arguments get %+v", tool, null, absent)
		}
		if null.Allow == (tool == "bound") {
			t.Errorf("%s: allow %v", tool, null.Allow)
		}
	}
	wantDecision(t, e.Call([]byte("other"), []byte("[]")), "-"+ArgumentsRule)
}
