package stdio

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// withoutGuard lets everything be started as where /proc is not mounted, and as on other systems.
func withoutGuard() (undo func()) {
	program := guardProgram
	guardProgram = "/proc/nothing"
	return func() { guardProgram = program }
}

func plainly(t *testing.T, f func(t *testing.T)) {
	t.Run("without a guard", func(t *testing.T) {
		defer withoutGuard()()
		f(t)
	})
}

func TestWithoutGuard(t *testing.T) {
	plainly(t, TestExit)
	plainly(t, TestStopLadder)
	plainly(t, TestStopWithAWriterBlockedInStdin)
	plainly(t, TestStartErrors)
	plainly(t, func(t *testing.T) { testStopLeavesNothing(t, []string{"parent plain", "deaf", "stubborn"}) })
	// A leader that is our own child dies with us; what it started sees the end of its stdin.
	plainly(t, func(t *testing.T) {
		t.Setenv("STDIO_TEST_NO_GUARD", "1")
		testWrapperLeavesNothing(t, []string{"deaf", "stubborn"})
	})
}

func TestServerDiesWithItsGuard(t *testing.T) {
	marker := newMarker()
	c := start(t, "parent plain", Command{Env: []string{marker}})
	readLine(t, c)
	if err := syscall.Kill(c.proc.(*guarded).process, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e := c.Exit(); e.Code != 137 || e.Signal != "SIGKILL" {
		t.Errorf("ended with %v, want SIGKILL", e)
	}
	c.Stop(StopOptions{})
	nothingLeft(t, marker)
}

// The guard adopts what is orphaned below it; it must not pile up the dead.
func TestGuardReapsOrphans(t *testing.T) {
	c, err := Start(Command{Args: []string{"sh", "-c", "for i in 1 2 3 4 5; do (true &) ; done; echo done; read x"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop(StopOptions{Exit: -1, Term: -1})
	readLine(t, c)
	guard := strconv.Itoa(c.proc.(*guarded).process)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var left []byte
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); <-tick.C {
		left, err = os.ReadFile("/proc/" + guard + "/task/" + guard + "/children")
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(string(left)) == strconv.Itoa(c.Pid()) {
			return
		}
	}
	t.Errorf("children of the guard: %s, want the server %d alone", left, c.Pid())
}

// The server must see the world as it would without us: no signal ignored or blocked that was
// not, no descriptor that it had not had, and a group of its own.
func TestServerInheritsNothingOfTheGuard(t *testing.T) {
	script := []string{"sh", "-c", `grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/$$/fd; read -r pid name state parent group rest </proc/$$/stat; [ $pid = $group ]; echo $?`}
	direct := exec.Command(script[0], script[1:]...)
	direct.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	direct.Stdin, _ = os.Open(os.DevNull)
	want, err := direct.Output()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Start(Command{Args: script})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c.Stdout())
	if err != nil {
		t.Fatal(err)
	}
	c.Stop(StopOptions{})
	if string(got) != string(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// An environment larger than a pipe must not make the two sides wait for each other.
func TestLargeEnvironment(t *testing.T) {
	var env []string
	for i := range 16 {
		env = append(env, "BIG"+strconv.Itoa(i)+"="+strings.Repeat("x", 100<<10))
	}
	c := start(t, "exit 3", Command{Env: env})
	if e := c.Exit(); e.Code != 3 {
		t.Errorf("ended with %v", e)
	}
}
