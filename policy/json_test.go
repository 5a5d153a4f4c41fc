package policy

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func readJSON(data []byte) (c Config, err error) {
	err = json.Unmarshal(data, &c, json.RejectUnknownMembers(true))
	return c, err
}

// throughJSON writes a policy as JSON and wants the same one back.
func throughJSON(t *testing.T, c Config) {
	t.Helper()
	data, err := json.Marshal(c, json.Deterministic(true))
	if err != nil {
		t.Fatalf("write %+v: %v", c, err)
	}
	back, err := readJSON(data)
	if err != nil {
		t.Fatalf("read %s: %v", data, err)
	}
	if !reflect.DeepEqual(back, c) {
		t.Errorf("%s is another policy: %s", data, cmp.Diff(c, back))
	}
	if _, err := Compile(back); err != nil {
		t.Errorf("%s does not compile: %v", data, err)
	}
}

// corpus returns the policies that are in the tree, as YAML, by the place where they stand.
func corpus(t testing.TB) map[string][]byte {
	t.Helper()
	policies := map[string][]byte{}
	file, err := os.ReadFile("testdata/validate.txt")
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(strings.TrimSpace(string(file)), "\n\n") {
		name, rest, _ := strings.Cut(block, "\n")
		text, _, _ := strings.Cut(rest, "\n--")
		policies["validate.txt "+name] = []byte(text)
	}
	files, err := filepath.Glob("../examples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(files, "../mcpx.example.yaml", "../examples/conformance/mcpx.yaml") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var c struct {
			Servers []struct {
				Name   string
				Policy map[string]any
			}
		}
		if err := yaml.Unmarshal(text, &c); err != nil {
			t.Fatal(err)
		}
		for _, s := range c.Servers {
			if s.Policy == nil {
				continue
			}
			text, err := yaml.Marshal(s.Policy)
			if err != nil {
				t.Fatal(err)
			}
			policies[path+" "+s.Name] = text
		}
	}
	return policies
}

func TestPoliciesAreTheSameThroughJSON(t *testing.T) {
	var compiled int
	policies := corpus(t)
	for _, name := range slices.Sorted(maps.Keys(policies)) {
		c, err := decode(t, string(policies[name]))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := Compile(c); err != nil {
			continue
		}
		compiled++
		t.Run(name, func(t *testing.T) { throughJSON(t, c) })
	}
	if compiled < 4 {
		t.Errorf("the corpus has only %d policies that compile", compiled)
	}
}

// A field without its tag, or with one that is spelled differently, would be a rule that the other end does not see.
func TestEveryFieldIsSpelledInJSONAsInYAML(t *testing.T) {
	for _, typ := range []reflect.Type{
		reflect.TypeFor[Config](), reflect.TypeFor[Override](), reflect.TypeFor[ServerRequests](),
		reflect.TypeFor[ToolRule](), reflect.TypeFor[Constraint](),
	} {
		for f := range typ.Fields() {
			name := f.Tag.Get("yaml")
			if name == "-" && f.Tag.Get("json") == "-" {
				continue // it is no key: the entry spells it, or the layer
			}
			if want := name + ",omitzero"; name == "" || f.Tag.Get("json") != want {
				t.Errorf("%v.%s: json tag %q, want %q", typ, f.Name, f.Tag.Get("json"), want)
			}
		}
	}
}

func TestJSONReadsWhatYAMLReads(t *testing.T) {
	const text = `{"read_only":true,"allow_tools":["read_*"],"tool_rules":{"t":{"deny_unknown_args":true,"args":{
		"a":{"equals":100000000000000000000.50,"one_of":1e2,"within":"/data","required":true},
		"b":{"equals":"\u0041<\/","one_of":["1",1,true],"host_in":["a.example","b.example:8443"],"max_len":0}}}},
		"server_requests":{"sampling":"deny"},"on_deny":"tool_error"}`
	got, err := readJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		ReadOnly: true, AllowTools: []string{"read_*"}, OnDeny: OnDenyToolError, ServerRequests: ServerRequests{Sampling: "deny"},
		ToolRules: map[string]ToolRule{"t": {DenyUnknownArgs: true, Args: map[string]Constraint{
			"a": {Equals: "100000000000000000000.50", OneOf: Scalars{"1e2"}, Within: Strings{"/data"}, Required: true},
			"b": {Equals: `"A</"`, OneOf: Scalars{`"1"`, "1", "true"}, HostIn: Strings{"a.example", "b.example:8443"}, MaxLen: new(0)},
		}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestJSONRefuses(t *testing.T) {
	constraint := func(c string) string { return `{"tool_rules":{"t":{"args":{"a":` + c + `}}}}` }
	for _, row := range []struct{ name, text string }{
		{"a member that is not known", `{"allow_tolls":["x"]}`},
		{"a member in other case", `{"Allow_Tools":["x"]}`},
		{"a member twice", `{"deny_tools":["x"],"deny_tools":[]}`},
		{"a constraint that is not known", constraint(`{"not_in":["x"]}`)},
		{"a constraint twice", constraint(`{"min":1,"min":0}`)},
		{"null as a scalar", constraint(`{"equals":null}`)},
		{"null in a list of scalars", constraint(`{"one_of":[null]}`)},
		{"null as a list of scalars", constraint(`{"one_of":null}`)},
		{"null as a list of texts", constraint(`{"within":null}`)},
		{"a list as a scalar", constraint(`{"min":[1]}`)},
		{"an object in a list of scalars", constraint(`{"one_of":[{}]}`)},
		{"a list in a list", constraint(`{"host_in":[["x"]]}`)},
		{"a number as a text", constraint(`{"within":7}`)},
		{"a number as a flag", `{"read_only":1}`},
		{"text that is not UTF-8", "{\"deny_tools\":[\"\xff\"]}"},
		{"what follows", `{} {}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			if c, err := readJSON([]byte(row.text)); err == nil {
				t.Errorf("%s was read as %+v", row.text, c)
			}
		})
	}
}

func TestNoScalarIsNotWritten(t *testing.T) {
	for _, s := range []Scalar{"abc", "null", "[1]", "01", `"x`, "1 2", "\"\xff\""} {
		if data, err := json.Marshal(Constraint{Equals: s}); err == nil {
			t.Errorf("%s was written as %s", s, data)
		}
	}
}

// What compiles can be sent: as YAML, since that is what a hub reads, and as JSON, since that is what a wrapper reads.
func FuzzPolicyJSON(f *testing.F) {
	for _, text := range corpus(f) {
		f.Add(text)
	}
	f.Add([]byte(`{"tool_rules":{"t":{"args":{"a":{"equals":1e2,"one_of":[100,"\u0041"],"within":"/d"}}}}}`))
	f.Add([]byte(`{"tool_rules":{"t":{"args":{"a":{"prefix":"\ud83d\ude00<&>","min":-0.0,"max":1E+3,"max_len":0}}}},"deny_tools":[]}`))
	f.Add([]byte("tool_rules: { t: { args: { !!binary /w==: { prefix: !!binary /w== } } } }"))
	f.Add([]byte("tool_rules: { t: { args: { a: { equals: .5, one_of: [yes, True, 0x10, 2001-01-01, ~] } } } }"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := readJSON(text); err == nil && c.Validate() == nil {
			throughJSON(t, c)
		}
		var c Config
		if yaml.Unmarshal(text, &c) == nil && c.Validate() == nil {
			throughJSON(t, c)
		}
	})
}
