//go:build unix

package stdio

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// Where the system cannot tell when a child ends, it is looked for, and signals reach it meanwhile.
func TestLookingForTheEndHoldsUpNoSignal(t *testing.T) {
	runtime.LockOSThread() // see group.run
	defer runtime.UnlockOSThread()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	pid, err := forkExec(launch{path: "/bin/sleep", args: []string{"sleep", "60"}, files: [3]*os.File{null, null, null}})
	if err != nil {
		t.Fatal(err)
	}
	g := &group{leader: pid}
	if exit, ended := g.tryReap(); ended {
		t.Fatalf("it runs, and has ended: %+v", exit)
	}
	if err := g.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit Exit
	for ended, deadline := false, time.Now().Add(10*time.Second); !ended; {
		if time.Now().After(deadline) {
			t.Fatal("its end is not seen")
		}
		runtime.Gosched()
		exit, ended = g.tryReap()
	}
	if want := 128 + int(syscall.SIGTERM); exit.Code != want {
		t.Errorf("the exit code is %d, not %d", exit.Code, want)
	}
	if err := g.signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a signal to who has ended: %v", err)
	}
}
