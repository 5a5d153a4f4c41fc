package stdio_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/stdio"
)

func note(n int) string { return fmt.Sprintf(`{"jsonrpc":"2.0","method":"n%d"}`, n) }

// readAll returns what a Conn delivers of a text: each message's raw bytes, or the reason why it is none.
func readAll(t *testing.T, r io.Reader, opt stdio.Options) (got []string, err error) {
	t.Helper()
	c := stdio.NewConn(r, nil, opt)
	msgs := make([]jsonrpc.Message, 3)
	for {
		n, err := c.Read(context.Background(), msgs)
		for _, m := range msgs[:n] {
			if m.Kind == jsonrpc.Invalid {
				got = append(got, "! "+m.Fault.Reason+" "+string(m.ID.Token()))
			} else {
				got = append(got, string(m.Raw))
			}
		}
		if err != nil {
			return got, err
		}
		if n == 0 {
			t.Fatal("neither a message nor an error")
		}
	}
}

func TestReadLines(t *testing.T) {
	long := `{"jsonrpc":"2.0","method":"` + strings.Repeat("x", 300_000) + `"}`
	for _, row := range []struct {
		name, in string
		want     []string
	}{
		{"plain", note(1) + "\n" + note(2) + "\n", []string{note(1), note(2)}},
		{"CR LF and blank lines", "\r\n" + note(1) + "\r\n\n \t\n" + note(2) + "\n\n", []string{note(1), note(2)}},
		{"no end of the last line", note(1) + "\n" + note(2), []string{note(1), note(2)}},
		{"a last line that is none", note(1) + "\n" + `{"jsonrpc":`, []string{note(1), "! the text ends inside a value "}},
		{"U+2028 ends no line", `{"jsonrpc":"2.0","method":"a` + "\u2028" + `b"}` + "\n", []string{`{"jsonrpc":"2.0","method":"a` + "\u2028" + `b"}`}},
		{"junk between", "npm warn\n" + note(1) + "\nlistening…\n", []string{"! not a JSON object ", note(1), "! not a JSON object "}},
		{"long lines", long + "\n" + note(1) + "\n" + long + "\n", []string{long, note(1), long}},
		{"many", strings.Repeat(note(1)+"\n", 100), slicesRepeat(note(1), 100)},
		{"empty", "", nil},
	} {
		for how, r := range map[string]io.Reader{
			"whole": strings.NewReader(row.in), "halves": iotest.HalfReader(strings.NewReader(row.in)),
			"late end": iotest.DataErrReader(strings.NewReader(row.in)),
		} {
			got, err := readAll(t, r, stdio.Options{})
			if fmt.Sprint(got) != fmt.Sprint(row.want) || !errors.Is(err, io.EOF) {
				t.Errorf("%s (%s): %.300q, %v, want %.300q", row.name, how, got, err, row.want)
			}
		}
	}
}

func slicesRepeat(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}

// A line that is too long costs that message, not the session, and never more memory than the limit allows.
func TestOversizedLine(t *testing.T) {
	const limit = 8 << 10
	pad := strings.Repeat("x", 1<<20)
	text := strings.Join([]string{
		note(1),
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"` + pad + `"}}`,
		note(2),
		`{"result":{"content":"` + pad + `"},"jsonrpc":"2.0","id":"s1"}`,
		`{"jsonrpc":"2.0","method":"` + strings.Repeat("y", limit-29) + `"}`, // exactly at the limit
		`{"jsonrpc":"2.0","method":"` + strings.Repeat("y", limit-28) + `"}`, // one more
		pad,
		note(3),
	}, "\n") + "\n"
	const reason = "! message longer than limits.max_message "
	want := []string{note(1), reason + "7", note(2), reason + `"s1"`,
		`{"jsonrpc":"2.0","method":"` + strings.Repeat("y", limit-29) + `"}`, reason, reason, note(3)}
	got, err := readAll(t, strings.NewReader(text), stdio.Options{MaxMessage: limit})
	if fmt.Sprint(got) != fmt.Sprint(want) || !errors.Is(err, io.EOF) {
		t.Errorf("%.2000q, %v", got, err)
	}
}

func TestJunkIsShown(t *testing.T) {
	var shown []string
	_, err := readAll(t, strings.NewReader("hello\n"+note(1)+"\n"+`{"jsonrpc":"1.0"}`+"\nbye"), stdio.Options{
		Junk: func(line []byte) { shown = append(shown, string(line)) },
	})
	if got := fmt.Sprint(shown); got != "[hello bye]" || !errors.Is(err, io.EOF) {
		t.Errorf("shown %s, %v", got, err)
	}
}

// What is written is what was read, one message a line, in order, whatever its size.
func TestWriteLines(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var msgs []*jsonrpc.Message
	var want bytes.Buffer
	for _, size := range []int{1, 70_000, 10, 65_530, 3_000_000, 5, 30_000, 40_000} {
		m := jsonrpc.NewRequest(jsonrpc.ID{}, strings.Repeat("m", size), nil)
		msgs = append(msgs, m)
		want.Write(m.Raw)
		want.WriteByte('\n')
	}
	wrote := make(chan error, 1)
	go func() {
		c := stdio.NewConn(nil, w, stdio.Options{})
		wrote <- errors.Join(c.Write(context.Background(), msgs...), c.CloseWrite(), c.Close())
	}()
	got, err := io.ReadAll(r)
	if err := errors.Join(err, <-wrote); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes, %v, want %d", len(got), err, want.Len())
	}
}

// FuzzConn checks that every valid line of any text is delivered exactly once and in order, however it is cut.
func FuzzConn(f *testing.F) {
	f.Add([]byte(note(1)+"\n"+note(2)+"\r\n\njunk\n"), uint8(3))
	f.Add([]byte(note(1)+strings.Repeat(" ", 300)+"\n"+note(2)), uint8(200))
	f.Fuzz(func(t *testing.T, text []byte, cut uint8) {
		const limit = 200
		var want []string
		for line := range bytes.SplitSeq(text, []byte("\n")) {
			var m jsonrpc.Message
			if len(line) <= limit && jsonrpc.Scan(bytes.TrimSuffix(bytes.Clone(line), []byte("\r")), &m) == nil {
				want = append(want, string(m.Raw))
			}
		}
		all, err := readAll(t, &cutReader{text, int(cut)%50 + 1}, stdio.Options{MaxMessage: limit})
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		var got []string
		for _, line := range all {
			if !strings.HasPrefix(line, "! ") {
				got = append(got, line)
			}
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}

// A cutReader returns a text in pieces of n bytes.
type cutReader struct {
	rest []byte
	n    int
}

func (r *cutReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.n)], r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
