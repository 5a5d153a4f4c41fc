package policy

import (
	"strings"
	"testing"
	"time"
)

func TestGlob(t *testing.T) {
	for _, row := range []struct {
		pattern string
		syntax  syntax
		yes, no string // separated by spaces
	}{
		{"read", nameSyntax, "read", "Read reads xread"},
		{"*", nameSyntax, "a a/b", ""},
		{"list_*", nameSyntax, "list_ list_a list_a/b", "list lists xlist_a"},
		{"*_file", nameSyntax, "_file read_file", "read_files"},
		{"a*b*c", nameSyntax, "abc axbxc abbcc", "ab acb abcd"},
		{"*b*b*", nameSyntax, "bb abxb abba", "b ab"},
		{"ab*ba", nameSyntax, "abba abxba", "aba ab ba"},
		{"*", nameSyntax, "a", ""},
		{"f:/**/x/**", uriSyntax, "f:/a/x/b f://x/", "f:/x/b"},
		{"a?c", nameSyntax, "abc aéc", "ac abbc"},
		{"[a-cx]y", nameSyntax, "ay cy xy", "dy -y y"},
		{"[!a-c]y", nameSyntax, "dy -y", "ay by"},
		{"[]a]", nameSyntax, "] a", "b []a]"},
		{"[a-]", nameSyntax, "a -", "b"},
		{"[.]", nameSyntax, ".", "a"},
		{"{a,bc}d", nameSyntax, "ad bcd", "bd abcd {a,bc}d"},
		{"{a,{b,c}*}x", nameSyntax, "ax bx cyx", "x dx"},
		{"a,b", nameSyntax, "a,b", "a b"},
		{`\*\[a`, nameSyntax, "*[a", "x[a"},
		{"a.b+(c)|d$", nameSyntax, "a.b+(c)|d$", "axb+(c)|d$ a.bb(c)"},
		{"**", nameSyntax, "a a/b", ""},
		{"f:/*", uriSyntax, "f:/ f:/a", "f:/a/b"},
		{"f:/**", uriSyntax, "f:/ f:/a f:/a/b", "f:"},
		{"f:/**/x", uriSyntax, "f:/a/x f:/a/b/x", "f:/x f:/a/y"},
		{"f:/?", uriSyntax, "f:/a", "f:// f:/"},
		{"f:/[!a]", uriSyntax, "f:/b", "f:/a f://"},
	} {
		g, err := compileGlob(row.pattern, row.syntax)
		if err != nil {
			t.Errorf("%q: %v", row.pattern, err)
			continue
		}
		for name := range strings.FieldsSeq(row.yes) {
			if !g.match([]byte(name)) {
				t.Errorf("%q does not match %q", row.pattern, name)
			}
		}
		for name := range strings.FieldsSeq(row.no) {
			if g.match([]byte(name)) {
				t.Errorf("%q matches %q", row.pattern, name)
			}
		}
	}
}

func TestBadGlobsAreErrors(t *testing.T) {
	for _, pattern := range []string{"", "[a", "[", "[]", "[!]", "{a", "a}", `a\`, "[z-a]", "a\xff", strings.Repeat("a", maxPattern+1)} {
		if _, err := compileGlob(pattern, nameSyntax); err == nil {
			t.Errorf("%q is accepted", pattern)
		}
	}
	for _, pattern := range []string{"[/]", "[+-9]"} {
		if _, err := compileGlob(pattern, uriSyntax); err == nil {
			t.Errorf("%q is accepted in a URI", pattern)
		}
	}
}

// A backtracking matcher would need centuries for this.
func TestGlobIsLinear(t *testing.T) {
	g, err := compileGlob(strings.Repeat("{a,a*}*", 50)+"b", nameSyntax)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() { done <- g.match([]byte(strings.Repeat("a", 10_000))) }()
	select {
	case matched := <-done:
		if matched {
			t.Error("matches")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("no answer in 30 s")
	}
}
