package integrity

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestApprovalByAnotherProcessIsNoticed(t *testing.T) {
	path := lockPath(t)
	p := openFile(t, path).Server("fs", Config{NewTools: "quarantine"})
	list(t, p, Tools, clean)
	changed := strings.Replace(clean, "Reads", "Eats", 1)
	list(t, p, Tools, changed, other)
	wantJudge(t, "before", p, "read_file", false, "tool_changed")

	done, err := openFile(t, path).Approve("fs", Target{Tools, "read_file"})
	if err != nil || len(done) != 1 || done[0].Status != Changed {
		t.Fatalf("Approve = %+v, %v", done, err)
	}
	wantJudge(t, "approved", p, "read_file", true, "")
	wantJudge(t, "not approved", p, "list", false, "tool_added")
	wantBrief(t, "approved", list(t, p, Tools, changed, other), "0 read_file same", "1 list added withheld")
	wantBrief(t, "the old one is a change now", list(t, p, Tools, clean, other), "0 read_file changed withheld", "1 list added withheld")

	if _, err := openFile(t, path).Approve("fs"); err != nil {
		t.Fatal(err)
	}
	wantBrief(t, "all approved", list(t, p, Tools, clean, other), "0 read_file same", "1 list same")
	if _, err := openFile(t, path).Reset("fs"); err != nil {
		t.Fatal(err)
	}
	wantBrief(t, "reset", list(t, p, Tools, changed), "0 read_file baseline")
}

// What a process sees of its own server counts for it, not what another process saw of another instance.
func TestProcessesDoNotDisturbEachOther(t *testing.T) {
	path := lockPath(t)
	good := openFile(t, path).Server("fs", Config{})
	list(t, good, Tools, clean)
	bad := openFile(t, path).Server("fs", Config{})
	wantBrief(t, "bad", list(t, bad, Tools, strings.Replace(clean, "Reads", "Eats", 1)), "0 read_file changed withheld")
	wantJudge(t, "unknown, so that the file is read", good, "x", false, "tool_unknown")
	wantJudge(t, "good", good, "read_file", true, "")
	wantBrief(t, "good", list(t, good, Tools, clean), "0 read_file same")
	wantJudge(t, "bad", bad, "read_file", false, "tool_changed")
}

// Goroutines that share a File and others that each have their own, as processes do, pin at the same time.
func TestConcurrentPinsAreAllKept(t *testing.T) {
	path := lockPath(t)
	shared := openFile(t, path)
	const n = 100
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			f := shared
			if i%2 == 0 {
				var err error
				if f, err = Open(path); err != nil {
					t.Error(err)
					return
				}
			}
			p := f.Server("one", Config{})
			if _, err := p.Resume(Tools).Page(raws(fmt.Sprintf(`{"name":"tool_%d"}`, i)), false); err != nil {
				t.Error(err)
			}
			if _, err := f.Server(fmt.Sprintf("server_%d", i), Config{}).Instructions(nil, false); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	f := openFile(t, path)
	if got := len(f.Entries("one")); got != n {
		t.Errorf("%d tools of one server are pinned, want %d", got, n)
	}
	if got := len(f.Servers()); got != n+1 {
		t.Errorf("%d servers, want %d", got, n+1)
	}
}

// The first of two that see different definitions first decides; the other one is told.
func TestFirstUseIsDecidedOnce(t *testing.T) {
	path := lockPath(t)
	const n = 16
	statuses := make([]Status, n)
	var wg sync.WaitGroup
	for i := range n {
		f := openFile(t, path) // all see an absent file
		wg.Go(func() {
			found, err := f.Server("fs", Config{}).Walk(Tools).Page(raws(fmt.Sprintf(`{"name":"a","v":%d}`, i)), true)
			if err != nil {
				t.Error(err)
				return
			}
			statuses[i] = found[0].Status
		})
	}
	wg.Wait()
	count := make(map[Status]int)
	for _, s := range statuses {
		count[s]++
	}
	if diff := cmp.Diff(map[Status]int{Baseline: 1, Changed: n - 1}, count); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// saverVariable makes TestSaverProcess save to the file that it names, for ever.
const saverVariable = "INTEGRITY_TEST_SAVER"

func TestSaverProcess(t *testing.T) {
	path, name, ok := strings.Cut(os.Getenv(saverVariable), "|")
	if !ok {
		return // run by TestKilledSaveLeavesAWholeFile only
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	p := f.Server(name, Config{})
	for i := 0; ; i++ {
		big := fmt.Sprintf(`{"name":"tool_%d","description":%q}`, i%50, strings.Repeat("x", 10_000+i))
		if _, err := p.Resume(Tools).Page(raws(big), false); err != nil {
			t.Fatal(err)
		}
		fmt.Println("saved")
	}
}

func TestKilledSaveLeavesAWholeFile(t *testing.T) {
	path := lockPath(t)
	for round := range 8 {
		kill := saveAndKill(t, path, round)
		f, err := Open(path)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for i := range kill {
			if got := len(f.Entries(fmt.Sprintf("killed_%d_%d", round, i))); got < 3 {
				t.Errorf("round %d: %d pins of a process that had saved three", round, got)
			}
		}
		// What the killed left behind disturbs nobody.
		if _, err := f.Server("survivor", Config{}).Resume(Tools).Page(raws(fmt.Sprintf(`{"name":"tool_%d"}`, round)), false); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	if got := len(openFile(t, path).Entries("survivor")); got != 8 {
		t.Errorf("the survivor has %d pins", got)
	}
	if _, err := os.Stat(path + ".tmp"); err == nil {
		t.Error("a temporary file was left")
	}
}

// saveAndKill lets two processes save at the same time and kills each after it has saved a few times.
func saveAndKill(t *testing.T, path string, round int) int {
	const processes = 2
	var wg sync.WaitGroup
	for i := range processes {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSaverProcess$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|killed_%d_%d", saverVariable, path, round, i))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			lines := bufio.NewScanner(out)
			for n := 0; n < 3+round && lines.Scan(); {
				if lines.Text() != "saved" {
					t.Errorf("the process says %q", lines.Text())
					break
				}
				n++
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			_ = cmd.Wait()
		})
	}
	wg.Wait()
	return processes
}
