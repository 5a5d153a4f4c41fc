package policy

import (
	"testing"
	"unicode/utf8"
)

// A revoked tool is denied by its name: whatever the name is, the pattern matches it, and none that differs.
func FuzzLiteralMatchesItsNameAlone(f *testing.F) {
	f.Add("read_file", "read_files")
	f.Add("a*", "ab")
	f.Add("{a,b}", "a")
	f.Add(`[a-z]\?`, "a?")
	f.Add(`\`, "")
	f.Fuzz(func(t *testing.T, name, other string) {
		if name == "" || len(name) > maxPattern/2 || !utf8.ValidString(name) {
			return
		}
		g, err := nameGlob(Literal(name))
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if !g.match([]byte(name)) || !g.exact() {
			t.Errorf("%q does not match itself alone", name)
		}
		if other != name && g.match([]byte(other)) {
			t.Errorf("%q matches %q", name, other)
		}
	})
}
