package stdio

import (
	"strings"
	"testing"
)

func TestBatchLine(t *testing.T) {
	const head = `"C:\Windows\System32\cmd.exe" /d /e:on /v:off /s /c "`
	tests := []struct {
		name, path string
		args       []string
		want       string // after head; empty: refused
	}{
		{"plain words", `C:\node\npx.cmd`, []string{"-y", "@scope/server@1.2"}, `C:\node\npx.cmd -y @scope/server@1.2"`},
		{"space in the path", `C:\Program Files\nodejs\npx.cmd`, nil, `"C:\Program Files\nodejs\npx.cmd""`},
		{"space in an argument", `n.cmd`, []string{"a b"}, `n.cmd "a b""`},
		{"empty argument", `n.cmd`, []string{"", "x"}, `n.cmd "" x"`},
		{"what cmd.exe acts on", `n.cmd`, []string{"a&calc", "a|b", "<x>", "a^b", "(a)", "a;b", "a,b", "a=b", "!v!", "*", "a\tb"},
			`n.cmd "a&calc" "a|b" "<x>" "a^b" "(a)" "a;b" "a,b" "a=b" "!v!" "*" "a` + "\t" + `b""`},
		{"backslash at the end", `n.cmd`, []string{`C:\data\`, `C:\my data\\`}, `n.cmd "C:\data\\" "C:\my data\\\\""`},
		{"backslash inside", `n.cmd`, []string{`C:\my data\x`}, `n.cmd "C:\my data\x""`},
		{"beyond ASCII", `n.cmd`, []string{"päth"}, `n.cmd "päth""`},
		{"percent", `n.cmd`, []string{"%PATH%"}, ""},
		{"quote", `n.cmd`, []string{`"&calc.exe`}, ""},
		{"line feed", `n.cmd`, []string{"a\nb"}, ""},
		{"carriage return", `n.cmd`, []string{"a\rb"}, ""},
		{"NUL", `n.cmd`, []string{"a\x00b"}, ""},
		{"percent in the path", `C:\%x%\n.cmd`, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := batchLine(`C:\Windows\System32\cmd.exe`, tt.path, tt.args)
			if tt.want == "" {
				if err == nil {
					t.Fatalf("got %q, want an error", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := head + tt.want; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// FuzzBatchLine reads the line back by the rules of cmd.exe and of the programs behind it: no
// character acts outside quotes, and each argument comes out as it went in.
func FuzzBatchLine(f *testing.F) {
	for _, seed := range []string{"plain", "a b", `C:\x\`, `\\`, "a&b", "^", "", "ü", `a\ `} {
		f.Add(seed, "next")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		line, err := batchLine("cmd.exe", "n.cmd", []string{a, b})
		if err != nil {
			if !strings.ContainsAny(a+b, "\x00\r\n%\"") {
				t.Fatalf("refused %q %q: %v", a, b, err)
			}
			return
		}
		_, inner, _ := strings.Cut(line, `/c "`)
		got := readBack(t, strings.TrimSuffix(inner, `"`))
		if len(got) != 3 || got[1] != a || got[2] != b {
			t.Errorf("%q became %q", []string{a, b}, got)
		}
	})
}

func readBack(t *testing.T, line string) (args []string) {
	var arg strings.Builder
	quoted, begun := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\':
			run := len(line[i:]) - len(strings.TrimLeft(line[i:], `\`))
			kept := run
			if i+run < len(line) && line[i+run] == '"' {
				kept = run / 2 // each pair before a quote is one backslash; ours are never odd there
				if run%2 == 1 {
					t.Fatalf("a backslash takes a quote with it in %q", line)
				}
			}
			arg.WriteString(strings.Repeat(`\`, kept))
			i += run - 1
			begun = true
		case c == '"':
			quoted, begun = !quoted, true
		case quoted:
			arg.WriteByte(c)
		case c == ' ':
			args, begun = append(args, arg.String()), false
			arg.Reset()
		case strings.IndexByte("&|<>^()!;,=*%\t", c) >= 0:
			t.Fatalf("%q acts outside quotes in %q", c, line)
		default:
			arg.WriteByte(c)
			begun = true
		}
	}
	if begun {
		args = append(args, arg.String())
	}
	return args
}
