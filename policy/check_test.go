package policy

import (
	"fmt"
	"strings"
	"testing"
)

// Each row is one value against one constraint. The rows named after a class of WRAPPING.md's list of bypasses
// are attacks that worked on other wrappers.
func TestConstraints(t *testing.T) {
	text := func(s string) *string { return &s }
	for _, row := range []struct {
		name  string
		c     Constraint
		value string // raw JSON, "" for an absent argument
		want  string // the violated member, "" for none
	}{
		{"equals", Constraint{Equals: `"a"`}, `"a"`, ""},
		{"equals, escaped spelling", Constraint{Equals: `"a"`}, `"\u0061"`, ""},
		{"equals, other text", Constraint{Equals: `"a"`}, `"b"`, "equals"},
		{"case: equals is exact", Constraint{Equals: `"a"`}, `"A"`, "equals"},
		{"unicode: no normal forms", Constraint{Equals: `"é"`}, `"e\u0301"`, "equals"},
		{"unicode: zero-width space", Constraint{Equals: `"ab"`}, "\"a\u200bb\"", "equals"},
		{"unicode: Cyrillic a", Constraint{Equals: `"a"`}, "\"\u0430\"", "equals"},
		{"equals, empty text", Constraint{Equals: `""`}, `""`, ""},
		{"equals, absent", Constraint{Equals: `"a"`}, "", ""},
		{"equals and required, absent", Constraint{Equals: `"a"`, Required: true}, "", "required"},
		{"equals, boolean", Constraint{Equals: "true"}, "true", ""},
		{"equals, boolean as text", Constraint{Equals: "true"}, `"true"`, ""},
		{"equals, boolean is exact", Constraint{Equals: "true"}, `"True"`, "equals"},
		{"equals, other boolean", Constraint{Equals: "true"}, "false", "equals"},
		{"null", Constraint{Equals: `"null"`}, "null", "equals"},
		{"array", Constraint{Equals: `"a"`}, `["a"]`, "equals"},
		{"nested object", Constraint{Regex: text("a")}, `{"x":"a"}`, "regex"},
		{"nested array of arrays", Constraint{Regex: text("a")}, `[[["a"]]]`, "regex"},

		{"number: beyond 2^53", Constraint{Equals: "9007199254740993"}, "9007199254740992", "equals"},
		{"number: beyond 2^53, same", Constraint{Equals: "9007199254740993"}, "9007199254740993", ""},
		{"number: 1e2 is 100", Constraint{Equals: "100"}, "1e2", ""},
		{"number: 1E+2 is 100", Constraint{Equals: "100"}, "1E+2", ""},
		{"number: 1.0 is 1", Constraint{Equals: "1"}, "1.0", ""},
		{"number: 1 is 1.00", Constraint{Equals: "1.00"}, "1", ""},
		{"number: -0 is 0", Constraint{Equals: "0"}, "-0", ""},
		{"number: 0e99999999999 is 0", Constraint{Equals: "0"}, "0e99999999999", ""},
		{"number: text of the same digits", Constraint{Equals: "90"}, `"90"`, ""},
		{"number: text is not normalised", Constraint{Equals: "100"}, `"1e2"`, "equals"},
		{"number: small fraction", Constraint{Equals: "0.001"}, "1e-3", ""},
		{"number: exponent out of range", Constraint{Regex: text(".")}, "1e999999999", "regex"},
		{"number: digits out of range", Constraint{Regex: text(".")}, strings.Repeat("9", 2000), "regex"},
		{"number: regex sees the plain form", Constraint{Regex: text(`^\d+$`)}, "1.5e1", ""},

		{"one_of", Constraint{OneOf: Scalars{`"a"`, "1", "true"}}, "1.0", ""},
		{"one_of, none", Constraint{OneOf: Scalars{`"a"`, "1", "true"}}, `"b"`, "one_of"},
		{"one_of, array of one", Constraint{OneOf: Scalars{`"a"`}}, `["a"]`, "one_of"},

		{"prefix", Constraint{Prefix: text("/data/")}, `"/data/x"`, ""},
		{"prefix, other", Constraint{Prefix: text("/data/")}, `"/data"`, "prefix"},
		{"prefix is literal, as documented", Constraint{Prefix: text("/data/")}, `"/data/../etc"`, ""},
		{"case: prefix", Constraint{Prefix: text("/data/")}, `"/DATA/x"`, "prefix"},
		{"suffix", Constraint{Suffix: text(".txt")}, `"a.txt"`, ""},
		{"suffix, other", Constraint{Suffix: text(".txt")}, `"a.txt.exe"`, "suffix"},

		{"regex is a search", Constraint{Regex: text("b")}, `"abc"`, ""},
		{"regex, anchored", Constraint{Regex: text("^SELECT ")}, `" SELECT 1"`, "regex"},
		{"regex, dots match anything, as documented", Constraint{Regex: text(`good.com`)}, `"goodXcom"`, ""},
		{"not_regex", Constraint{NotRegex: text("(?i)drop")}, `"Drop table"`, "not_regex"},
		{"not_regex, clean", Constraint{NotRegex: text("(?i)drop")}, `"select 1"`, ""},
		{"not_regex, array", Constraint{NotRegex: text("drop")}, `["drop"]`, "not_regex"},
		{"not_regex, null", Constraint{NotRegex: text("drop")}, "null", "not_regex"},

		{"matches", Constraint{Matches: text("[a-z]+")}, `"abc"`, ""},
		{"matches is the whole text", Constraint{Matches: text("good.com")}, `"good.com.evil.com"`, "matches"},
		{"matches: alternatives are anchored too", Constraint{Matches: text("a|b")}, `"bx"`, "matches"},
		{"matches: words are anchored too, at the end", Constraint{Matches: text("foo|bar")}, `"foox"`, "matches"},
		{"matches: words are anchored too, at the beginning", Constraint{Matches: text("foo|bar")}, `"xbar"`, "matches"},
		{"matches: trailing line break", Constraint{Matches: text(`/data/[^/]+$`)}, `"/data/x\n"`, "matches"},
		{"matches: carriage return", Constraint{Matches: text(`(?s).*`)}, `"a\rb"`, "matches"},
		{"matches: (?m) finds no second line", Constraint{Matches: text(`(?m)^SELECT$`)}, `"DROP\nSELECT"`, "matches"},
		{"matches: open quote does not swallow the anchor", Constraint{Matches: text(`\Qa`)}, `"ab"`, "matches"},
		{"matches: open quote", Constraint{Matches: text(`\Qa.`)}, `"a."`, ""},
		{"matches: longest, not first, alternative", Constraint{Matches: text(`a|ab`)}, `"ab"`, ""},

		{"min", Constraint{Min: "1"}, "1", ""},
		{"min, less", Constraint{Min: "1"}, "0.999999999999999999999", "min"},
		{"min, negative", Constraint{Min: "-5"}, "-5.1", "min"},
		{"max", Constraint{Max: "100"}, "1e2", ""},
		{"max, beyond 2^53", Constraint{Max: "9007199254740992"}, "9007199254740993", "max"},
		{"max, enormous", Constraint{Max: "100"}, "1e1000", "max"},
		{"max, out of range", Constraint{Max: "100"}, "1e999999999", "max"},
		{"max takes no text", Constraint{Max: "100"}, `"90"`, "max"},
		{"max takes no boolean", Constraint{Max: "100"}, "true", "max"},
		{"min and max", Constraint{Min: "1", Max: "3"}, "2", ""},

		{"max_len counts characters", Constraint{MaxLen: new(3)}, `"日本語"`, ""},
		{"max_len, longer", Constraint{MaxLen: new(3)}, `"abcd"`, "max_len"},
		{"max_len 0", Constraint{MaxLen: new(0)}, `""`, ""},
		{"max_len, object", Constraint{MaxLen: new(3)}, `{}`, "max_len"},

		{"required", Constraint{Required: true}, `"x"`, ""},
		{"required, absent", Constraint{Required: true}, "", "required"},
		{"required, null", Constraint{Required: true}, "null", "required"},
		{"required asks for presence alone", Constraint{Required: true}, `{"a":[1]}`, ""},
		{"no-root default: within implies required", Constraint{Within: Strings{root}}, "", "within"},
		{"within and optional, absent", Constraint{Within: Strings{root}, Optional: true}, "", ""},
		{"within and optional, null", Constraint{Within: Strings{root}, Optional: true}, "null", "within"},
		{"within and required, absent", Constraint{Within: Strings{root}, Required: true}, "", "required"},
		{"host_in, array", Constraint{HostIn: Strings{"good.com"}}, `["https://good.com"]`, "host_in"},

		{"all must hold", Constraint{Prefix: text("a"), Suffix: text("z"), MaxLen: new(3)}, `"abz"`, ""},
		{"the second fails", Constraint{Prefix: text("a"), Suffix: text("z"), MaxLen: new(3)}, `"abc"`, "suffix"},
		{"SQL: a second statement, stopped by matches", Constraint{Matches: text(`(?i)select [a-z0-9 ,*]+`)}, `"select 1; drop table t"`, "matches"},
		{"SQL: leading comment", Constraint{Regex: text("^SELECT ")}, `"/**/DROP TABLE t"`, "regex"},
		{"shell: flag injection, stopped by matches", Constraint{Matches: text(`[a-z0-9][a-z0-9-]*`)}, `"my-db --address=0.0.0.0"`, "matches"},
		{"shell: leading dash", Constraint{Matches: text(`[a-z0-9][a-z0-9-]*`)}, `"--upload-pack=x"`, "matches"},
	} {
		t.Run(row.name, func(t *testing.T) {
			rule := Config{ToolRules: map[string]ToolRule{"t": {Args: map[string]Constraint{"a": row.c}}}}
			e, err := compile(fakeFS{}, rule, nil)
			if err != nil {
				t.Fatal(err)
			}
			args, want := []byte(`{}`), "+default"
			if row.value != "" {
				args = []byte(`{"a":` + row.value + `}`)
			}
			if row.want != "" {
				want = "-policy.tool_rules.t.args.a." + row.want
			}
			wantDecision(t, e.Call([]byte("t"), args), want)
		})
	}
}

// A message may hold megabytes; what a decision costs must stay in proportion.
func TestDeepAndLargeValuesAreRefusedWithoutHarm(t *testing.T) {
	e := mustCompile(t, Config{ToolRules: map[string]ToolRule{"t": {Args: map[string]Constraint{
		"a": {Regex: new("(a*)*b")}, "/b/c": {Equals: "1"},
	}}}})
	deep := strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20)
	wantDecision(t, e.Call([]byte("t"), []byte(`{"a":`+deep+`}`)), "-policy.tool_rules.t.args.a.regex")
	wantDecision(t, e.Call([]byte("t"), []byte(`{"b":`+deep+`}`)), "-policy.tool_rules.t.args./b/c")
	long := `"` + strings.Repeat("a", 1<<20) + `"`
	wantDecision(t, e.Call([]byte("t"), []byte(`{"a":`+long+`}`)), "-policy.tool_rules.t.args.a.regex")
}

func TestFloodOfOddNamesIsRefused(t *testing.T) {
	e := mustCompile(t, Config{ToolRules: map[string]ToolRule{"t": {Args: map[string]Constraint{"a": {Equals: "1"}, "/b/c": {Equals: "1"}}}}})
	var members []string
	for i := range 10_000 {
		members = append(members, fmt.Sprintf(`"\ufdfa%d":1`, i))
	}
	flood := "{" + strings.Join(members, ",") + "}"
	wantDecision(t, e.Call([]byte("t"), []byte(flood)), "-arguments")
	wantDecision(t, e.Call([]byte("t"), []byte(`{"b":`+flood+`}`)), "-policy.tool_rules.t.args./b/c")
	wantDecision(t, e.Call([]byte("u"), []byte(flood)), "+default")
}
