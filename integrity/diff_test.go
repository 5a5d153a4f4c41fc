package integrity

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	for name, row := range map[string]struct {
		old, new string
		want     []string // path: old -> new
	}{
		"same":            {`{"a":1,"b":[1]}`, `{ "b" : [1.0], "a" : 1e0 }`, nil},
		"changed":         {`{"a":{"b":"x"}}`, `{"a":{"b":"y"}}`, []string{`a.b: "x" -> "y"`}},
		"added, removed":  {`{"a":1,"z":1}`, `{"b":null,"z":1}`, []string{`a: 1 -> `, `b:  -> null`}},
		"other type":      {`{"a":{"b":1}}`, `{"a":[1]}`, []string{`a: {"b":1} -> [1]`}},
		"text and number": {`{"a":1}`, `{"a":"1"}`, []string{`a: 1 -> "1"`}},
		"big number":      {`{"a":9007199254740992}`, `{"a":9007199254740993}`, []string{`a: 9007199254740992 -> 9007199254740993`}},
		"element put in":  {`{"a":["x","z"]}`, `{"a":["x","y","z"]}`, []string{`a[1]:  -> "y"`}},
		"element taken":   {`["x","y","z"]`, `["y","z"]`, []string{`[0]: "x" -> `}},
		"within a list":   {`{"a":[{"b":1},{"b":2}]}`, `{"a":[{"b":1},{"b":3}]}`, []string{`a[1].b: 2 -> 3`}},
		"odd names":       {`{"a.b":1,"":2,"é":3}`, `{"a.b":2,"":3,"é":4}`, []string{`[""]: 2 -> 3`, `["a.b"]: 1 -> 2`, `["\u00e9"]: 3 -> 4`}},
		"no definition":   {``, `{"a":1}`, []string{`:  -> {"a":1}`}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range Diff([]byte(row.old), []byte(row.new)) {
				got = append(got, c.Path+": "+string(c.Old)+" -> "+string(c.New))
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestFormatDiff(t *testing.T) {
	old := `{"description":"One\nTwo\nThree\nFour","title":"Read","inputSchema":{"properties":{}},"v":1}`
	updated := `{"description":"One\nTwo\nTwo \u202eand\u001b[2J a half\nFour","title":"Re\u200bad","inputSchema":{"properties":{"side\u0007note":{"type":"string"}}},` +
		`"long":"` + strings.Repeat("word ", 24) + strings.Repeat("x", 100) + `"}`
	want := `description
    … 2 lines the same
  - Three
  + Two \u202eand\u001b[2J a half
    … 1 line the same
inputSchema.properties["side\anote"]
  + {
  +   "type": "string"
  + }
long
  + "word word word word word word word word word word word word word word word word word word word 
  +   word word word word word 
  +   xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
  +   xxxx"
title
  - "Read"
  + "Re\u200bad"
v
  - 1
`
	if diff := cmp.Diff(want, FormatDiff(Diff([]byte(old), []byte(updated)))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Whatever a server says, a terminal shows it as it is.
func FuzzVisible(f *testing.F) {
	for _, seed := range []string{"plain", "\x1b[2J\r", "\u202e\u2066", "\u200b\ufeff\u00ad", "\U000e0041\U0001d173", "\xff\xfe", "\u2028\u0085\u009b", "é漢😀"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		shown := Visible(s)
		if deceptive(shown) {
			t.Errorf("Visible(%q) = %q", s, shown)
		}
		if again := Visible(shown); again != shown {
			t.Errorf("Visible(%q) = %q", shown, again)
		}
	})
}

// FuzzSkeleton: names that a case-folding reader takes for one have one skeleton, and it is its own.
func FuzzSkeleton(f *testing.F) {
	for _, seed := range []string{"read_file", "Rеаd", "ﬁle", "İstanbul", "ς", "ẞ", "K", "µ", "ё", "a b ", "e\u0301", "ǅ", "ﬀ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if deceptive(name) {
			return
		}
		want := skeleton(name)
		if again := skeleton(want); again != want {
			t.Errorf("skeleton(%q) = %q, and of that %q", name, want, again)
		}
		for _, other := range []string{strings.ToUpper(name), strings.ToLower(name), strings.ToTitle(name)} {
			if strings.EqualFold(other, name) && skeleton(other) != want {
				t.Errorf("%q and %q are equal but for case; skeletons %q and %q", name, other, want, skeleton(other))
			}
		}
	})
}

func TestConfigValidate(t *testing.T) {
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("the zero Config: %v", err)
	}
	if err := (Config{ToolIntegrity: "warn", NewTools: "quarantine", ShadowedTools: "enforce"}).Validate(); err != nil {
		t.Error(err)
	}
	err := Config{ToolIntegrity: "on", NewTools: "deny", ShadowedTools: "off"}.Validate()
	want := "tool_integrity: \"on\" is not off, warn or enforce\nnew_tools: \"deny\" is not allow or quarantine\nshadowed_tools: \"off\" is not warn or enforce"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	strict := Config{ToolIntegrity: "on", NewTools: "deny", ShadowedTools: "off"}
	if !strict.enforce() || !strict.quarantine() || !strict.enforceShadows() {
		t.Error("a value that is none of the choices must count as the strict one")
	}
}
