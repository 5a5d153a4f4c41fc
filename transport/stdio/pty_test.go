//go:build unix

package stdio

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// playTTY is a child that says which of its stdio are terminals, echoes, and says when input ends.
func playTTY() int {
	for fd := range 3 {
		if _, err := unix.IoctlGetTermios(fd, ioctlGetTermios); err == nil {
			_, _ = os.Stdout.WriteString("tty ")
		} else {
			_, _ = os.Stdout.WriteString("no tty ")
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
			_, _ = os.Stdout.WriteString("in non-blocking mode ")
		}
	}
	_, _ = os.Stdout.WriteString("\n")
	_, _ = io.Copy(os.Stdout, onlyReader{os.Stdin})
	_, _ = os.Stdout.WriteString("end of input\n")
	return 0
}

func TestTerminal(t *testing.T) {
	big := strings.Repeat("{\"text\":\"\x03\x04\x1a\\u0000 ü\"}", 1<<20/24) // bytes that a cooked terminal acts on
	tests := []struct{ name, sent string }{
		{"nothing", ""},
		{"short lines", "{}\n{\"a\":1}\r\n\n"},
		{"no newline at the end", "{}"},
		{"a line of 1 MB", big + "\n"},
		{"many lines", strings.Repeat("{\"jsonrpc\":\"2.0\"}\n", 20_000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := start(t, "tty", Command{PTY: true})
			go func() { // all at once, so that the end of input follows on its heels
				_, _ = io.WriteString(c.Stdin(), tt.sent)
				_ = c.Stdin().Close()
			}()
			got, err := io.ReadAll(c.Stdout())
			if err != nil {
				t.Fatal(err)
			}
			if want := "no tty tty no tty \n" + tt.sent + "end of input\n"; string(got) != want {
				t.Errorf("got %d bytes ending in %q, want %d", len(got), got[max(0, len(got)-40):], len(want))
			}
			if e := c.Stop(StopOptions{}); e.Code != 0 {
				t.Errorf("child ended with %v", e)
			}
		})
	}
}

func TestTerminalEndsWithTheChild(t *testing.T) {
	for _, role := range []string{"exit 5", "suicide 9"} {
		c := start(t, role, Command{PTY: true})
		began := time.Now()
		e := c.Exit()
		if d := time.Since(began); d > holdTime/2 {
			t.Errorf("%s: Done took %v", role, d)
		}
		if e.Code != 5 && e.Code != 137 {
			t.Errorf("%s: ended with %v", role, e)
		}
		if rest, err := io.ReadAll(c.Stdout()); err != nil || len(bytes.TrimSpace(rest)) > 0 {
			t.Errorf("%s: stdout ended with %q, %v", role, rest, err)
		}
	}
}
