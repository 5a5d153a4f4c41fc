package policy

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("got error %q, want %q", got, want)
	}
}

func decode(t *testing.T, text string) (Config, error) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	var c Config
	err := d.Decode(&c)
	return c, err
}

// A block of the file is a name, a configuration and, after a line of dashes, the problems that Validate has with it.
func TestValidate(t *testing.T) {
	file, err := os.ReadFile("testdata/validate.txt")
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(strings.TrimSpace(string(file)), "\n\n") {
		name, rest, _ := strings.Cut(block, "\n")
		text, want, _ := strings.Cut(rest, "\n--")
		want = strings.TrimPrefix(want, "\n")
		t.Run(strings.TrimPrefix(name, "# "), func(t *testing.T) {
			c, err := decode(t, text)
			if err != nil {
				t.Fatal(err)
			}
			wantError(t, c.Validate(), want)
			if _, err := Compile(c); (err == nil) != (want == "") {
				t.Errorf("compile: %v", err)
			}
		})
	}
}

func TestYAML(t *testing.T) {
	got, err := decode(t, `
allow_tools: [read_file, "list_*"]
read_only: true
tool_rules:
  t:
    deny_unknown_args: true
    args:
      a: { equals: 9007199254740993, one_of: [1.50, "x", true, 2024-01-02, yes], min: -1e3, max: 100 }
      b: { equals: "1", one_of: one, within: /data, host_in: [a.example, b.example], prefix: /data/, max_len: 0 }
      c: { within: [/a, /b], optional: true, equals: False }
      d:
server_requests: { sampling: deny, elicitation: allow, roots: allow }
on_deny: tool_error
hide_denied: true
`)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		AllowTools: []string{"read_file", "list_*"},
		ReadOnly:   true,
		ToolRules: map[string]ToolRule{"t": {DenyUnknownArgs: true, Args: map[string]Constraint{
			"a": {Equals: "9007199254740993", OneOf: Scalars{"1.50", `"x"`, "true", `"2024-01-02"`, `"yes"`}, Min: "-1e3", Max: "100"},
			"b": {Equals: `"1"`, OneOf: Scalars{`"one"`}, Within: Strings{"/data"}, HostIn: Strings{"a.example", "b.example"},
				Prefix: new("/data/"), MaxLen: new(0)},
			"c": {Within: Strings{"/a", "/b"}, Optional: true, Equals: "false"},
			"d": {},
		}}},
		ServerRequests: ServerRequests{Sampling: "deny", Elicitation: "allow", Roots: "allow"},
		OnDeny:         OnDenyToolError,
		HideDenied:     true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, bad := range []string{
		"allow_tool: [x]", "tool_rules: { t: { args: { a: { regexp: x } } } }", "tool_rules: { t: { args: { a: { equals: [1] } } } }",
		"tool_rules: { t: { args: { a: { min: { x: 1 } } } } }", "tool_rules: { t: { args: { a: { within: { x: 1 } } } } }", "read_only: maybe",
	} {
		if _, err := decode(t, bad); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}
