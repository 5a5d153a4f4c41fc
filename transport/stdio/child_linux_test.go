package stdio

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// marked lists the processes whose environment has the marker.
func marked(t *testing.T, marker string) (pids []int) {
	t.Helper()
	for _, name := range namesIn("/proc") {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile("/proc/" + name + "/environ")
		if err == nil && bytes.Contains(env, []byte(marker)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// doomed reports whether a process has been sent SIGKILL: none of its code runs any more, though a busy machine may take its
// time to clear it away.
func doomed(pid int) bool {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(status)) {
		name, set, _ := strings.Cut(line, ":")
		if name != "SigPnd" && name != "ShdPnd" {
			continue
		}
		if pending, err := strconv.ParseUint(strings.TrimSpace(set), 16, 64); err == nil && pending>>(syscall.SIGKILL-1)&1 == 1 {
			return true
		}
	}
	return false
}

// nothingLeft waits until no process has the marker, and kills what is left after a while.
func nothingLeft(t *testing.T, marker string) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); <-tick.C {
		if !slices.ContainsFunc(marked(t, marker), func(pid int) bool { return !doomed(pid) }) {
			return
		}
	}
	for _, pid := range marked(t, marker) {
		cmdline, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		t.Errorf("process %d (%q) outlived its session", pid, cmdline)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func newMarker() string { return "STDIO_TEST_MARK=" + rand.Text() }

// families are servers with a child of their own that ignores everything that can be ignored.
var families = []string{"parent plain", "parent setsid", "parent double", "deaf", "stubborn"}

func TestNoProcessOutlivesStop(t *testing.T) { testStopLeavesNothing(t, families) }

func testStopLeavesNothing(t *testing.T, roles []string) {
	for _, role := range roles {
		t.Run(role, func(t *testing.T) {
			marker := newMarker()
			c := start(t, role, Command{Env: []string{marker}})
			readLine(t, c)
			if len(marked(t, marker)) == 0 {
				t.Fatal("no marked process to begin with")
			}
			_ = c.Stdin().Close()
			c.Stop(StopOptions{Exit: 50 * time.Millisecond, Term: 50 * time.Millisecond})
			if left := marked(t, marker); len(left) != 0 {
				t.Errorf("Stop returned while processes %v were left", left)
			}
			nothingLeft(t, marker)
		})
	}
}

func TestNoProcessOutlivesTheWrapper(t *testing.T) { testWrapperLeavesNothing(t, families) }

func testWrapperLeavesNothing(t *testing.T, roles []string) {
	ways := []struct {
		name  string
		sig   syscall.Signal
		group bool
	}{
		{"killed", syscall.SIGKILL, false},
		{"terminated", syscall.SIGTERM, false},
		{"killed with its group", syscall.SIGKILL, true},
	}
	for _, way := range ways {
		for _, role := range roles {
			t.Run(way.name+"/"+role, func(t *testing.T) {
				marker := newMarker()
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), marker, roleVariable+"=wrapper "+role)
				cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				line, _ := bufio.NewReader(out).ReadString('\n')
				if strings.TrimSpace(line) != "ready" {
					t.Fatalf("wrapper said %q, want ready", line)
				}
				target := cmd.Process.Pid
				if way.group {
					target = -target
				}
				if err := syscall.Kill(target, way.sig); err != nil {
					t.Fatal(err)
				}
				_ = cmd.Wait()
				nothingLeft(t, marker)
			})
		}
	}
}
