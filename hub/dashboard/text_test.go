package dashboard

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestSegmentsNameWhatCannotBeSeen(t *testing.T) {
	mark := func(code, name string) segment { return segment{Code: code, Name: name} }
	for _, test := range []struct {
		name, text string
		block      bool
		want       []segment
	}{
		{"plain", "read_file", false, []segment{{Text: "read_file"}}},
		{"other scripts", "größe 文件 файл", false, []segment{{Text: "größe 文件 файл"}}},
		{"mark-up is text", "<b>&amp;", false, []segment{{Text: "<b>&amp;"}}},
		{"bidi", "a\u202eb", false, []segment{{Text: "a"}, mark("U+202E", "RIGHT-TO-LEFT OVERRIDE"), {Text: "b"}}},
		{"terminal", "\x1b[31m", false, []segment{mark("U+001B", "ESCAPE"), {Text: "[31m"}}},
		{"C1", "\u009b", false, []segment{mark("U+009B", "CONTROL SEQUENCE INTRODUCER")}},
		{"tags", "\U000e0041", false, []segment{mark("U+E0041", "TAG A")}},
		{"variation selector", "a\ufe01\U000e0100", false, []segment{{Text: "a"}, mark("U+FE01", "VARIATION SELECTOR"), mark("U+E0100", "VARIATION SELECTOR")}},
		{"zero width", "a\u200b\ufeff", false, []segment{{Text: "a"}, mark("U+200B", "ZERO WIDTH SPACE"), mark("U+FEFF", "ZERO WIDTH NO-BREAK SPACE")}},
		{"space that is none", "a\u00a0b", false, []segment{{Text: "a"}, mark("U+00A0", "NO-BREAK SPACE"), {Text: "b"}}},
		{"not UTF-8", "a\xffb", false, []segment{{Text: "a"}, mark("0xFF", "BYTE THAT IS NOT UTF-8"), {Text: "b"}}},
		{"the character that stands for such bytes", "\ufffd", false, []segment{{Text: "\ufffd"}}},
		{"line in a line", "a\nb", false, []segment{{Text: "a"}, mark("U+000A", "LINE FEED"), {Text: "b"}}},
		{"line in a block", "a\n\tb", true, []segment{{Text: "a\n\tb"}}},
		{"return in a block", "a\rb", true, []segment{{Text: "a"}, mark("U+000D", "CARRIAGE RETURN"), {Text: "b"}}},
		{"marks over marks", "a\u0301\u0301\u0301\u0301", false, []segment{{Text: "a\u0301\u0301\u0301"}, mark("U+0301", "ONE COMBINING MARK TOO MANY")}},
		{"empty", "", false, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, segments(test.text, test.block)); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestPlainIsReadBack(t *testing.T) {
	for _, text := range []string{"", "read_file", `C:\users\u{41}`, "a\u202eb\n", `\u{`, `\u{202E}`, "\\\u200b{", `\u{}\u{zz}\u{110000}\u{D800}`} {
		if got := unplain(plain(text)); got != text {
			t.Errorf("unplain(plain(%q)) = %q", text, got)
		}
	}
	if got, want := plain("a\u202eb"), `a\u{202E}b`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{"read_file", "a\u202eb\x00\xff", `\u{41}`, "\u0301\u0301\u0301\u0301\u0301", "\r\n\u2028", `{"a":[1,{}]}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var back strings.Builder
		for _, s := range segments(text, false) {
			if strings.ContainsFunc(s.Text+s.Name, hidden) {
				t.Fatalf("hidden characters in %+q", s)
			}
			back.WriteString(s.Text)
		}
		if !utf8.ValidString(back.String()) {
			t.Fatalf("not UTF-8: %q", back.String())
		}
		if strings.ContainsFunc(plain(text), hidden) {
			t.Fatalf("hidden characters in %+q", plain(text))
		}
		if utf8.ValidString(text) && unplain(plain(text)) != text {
			t.Fatalf("%q came back as %q", text, unplain(plain(text)))
		}
		if got := nameOf(segmentNameOf(text)); got != text {
			t.Fatalf("as a segment %q came back as %q", text, got)
		}
		var read string
		if err := json.Unmarshal(appendQuoted(nil, text), &read); err != nil || read != strings.ToValidUTF8(text, "\ufffd") && utf8.ValidString(text) {
			t.Fatalf("as JSON %q came back as %q: %v", text, read, err)
		}
		if json.Valid([]byte(text)) && squeezed(t, indented(text)) != squeezed(t, text) {
			t.Fatalf("laid out, %s became %s", text, indented(text))
		}
		old, now := new(comparer).compare(words(text), words("same "+text+" end"))
		if joined(old) != text || joined(now) != "same "+text+" end" {
			t.Fatalf("compared, %q became %q and %q", text, joined(old), joined(now))
		}
	})
}

func squeezed(t *testing.T, document string) string {
	t.Helper()
	var b strings.Builder
	inString := false
	for i := 0; i < len(document); i++ {
		c := document[i]
		switch {
		case inString && c == '\\':
			b.WriteByte(c)
			i++
			c = document[i]
		case c == '"':
			inString = !inString
		case !inString && strings.IndexByte(" \t\r\n", c) >= 0:
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

func joined(parts []part) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

func TestCompareMarksWhatChanged(t *testing.T) {
	for _, test := range []struct{ name, was, is, old, now string }{
		{"a word", "read the file now", "read the folder now", "read the [file] now", "read the [folder] now"},
		{"added at the end", "read it.", "read it. Then send it away.", "read it.", "read it.[ Then send it away.]"},
		{"hidden", "read it", "read\u200b it", "read it", "read[\u200b] it"},
		{"alike by chance", "may not the moon", "shall ever the sun", "[may not the moon]", "[shall ever the sun]"},
		{"all", "a", "b", "[a]", "[b]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			old, now := new(comparer).compare(words(test.was), words(test.is))
			if got := bracketed(old); got != test.old {
				t.Errorf("old: got %q, want %q", got, test.old)
			}
			if got := bracketed(now); got != test.now {
				t.Errorf("new: got %q, want %q", got, test.now)
			}
		})
	}
}

func bracketed(parts []part) string {
	var b strings.Builder
	for _, p := range parts {
		if p.Changed {
			b.WriteString("[" + p.Text + "]")
		} else {
			b.WriteString(p.Text)
		}
	}
	return b.String()
}

// Texts of any size are compared with bounded work.
func TestCompareIsBounded(t *testing.T) {
	was, is := strings.Repeat("a b ", maxText/4), strings.Repeat("c d ", maxText/4)
	laid := new(comparer).lay(Change{Path: "x", Old: was + was, New: is[:maxText/2] + "e"})
	if !laid.Cut || len(laid.Old) != 1 || !laid.Old[0].Changed || len(laid.Old[0].Text) > maxText {
		t.Errorf("got cut %v and %d parts", laid.Cut, len(laid.Old))
	}
}

// So are those of one page, however many there are: each marks less, and none leaves text out.
func TestAPageOfChangesIsBounded(t *testing.T) {
	side := func(odd string) string { return strings.Repeat("+-", 250) + odd + strings.Repeat("*/", 250) + odd }
	k := new(comparer)
	for i := range 3 * maxPageDiff / maxDiff {
		c := Change{Path: "x", Old: "a" + side("!") + "b", New: "c" + side("?") + "d"}
		laid := k.lay(c)
		if joined(laid.Old) != c.Old || joined(laid.New) != c.New {
			t.Fatalf("change %d is shown as %q and %q", i, joined(laid.Old), joined(laid.New))
		}
		if i == 0 && len(laid.Old) == 1 {
			t.Error("the first is not compared word by word")
		}
	}
	if k.done > maxPageDiff {
		t.Errorf("%d pairs were compared, more than %d", k.done, maxPageDiff)
	}
}
