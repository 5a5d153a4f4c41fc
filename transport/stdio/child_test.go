//go:build unix

package stdio

import (
	"bufio"
	"os"
	"testing"
	"time"
)

// start starts the test binary in a role; cmd.Env is added to ours.
func start(t testing.TB, role string, cmd Command) *Child {
	t.Helper()
	cmd.Args = []string{os.Args[0]}
	cmd.Env = withEnv(append(os.Environ(), cmd.Env...), roleVariable, role)
	c, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Stdin().Close()
		c.Stop(StopOptions{Exit: -1, Term: -1})
		_ = c.Stdout().Close()
	})
	return c
}

func readLine(t *testing.T, c *Child) string {
	t.Helper()
	line, err := bufio.NewReader(c.Stdout()).ReadString('\n')
	if err != nil {
		t.Fatalf("read a line from the child: %v", err)
	}
	return line
}

func TestExit(t *testing.T) {
	tests := []struct {
		role string
		want Exit
	}{
		{"exit 0", Exit{0, "", "exit status 0"}},
		{"exit 3", Exit{3, "", "exit status 3"}},
		{"exit 255", Exit{255, "", "exit status 255"}},
		{"suicide 9", Exit{137, "SIGKILL", "signal: killed"}},
		{"suicide 15", Exit{143, "SIGTERM", "signal: terminated"}},
	}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			began := time.Now()
			c := start(t, tt.role, Command{})
			if got := c.Exit(); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if d := time.Since(began); d > holdTime {
				t.Errorf("took %v to learn of it", d)
			}
		})
	}
}
