//go:build !windows

package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childRole makes the test binary another process that writes a log.
const childRole = "AUDIT_TEST_CHILD"

func TestMain(m *testing.M) {
	role := os.Getenv(childRole)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := child(role); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func childOptions() Options {
	spoolSize, _ := strconv.Atoi(os.Getenv("AUDIT_TEST_SPOOL"))
	return Options{
		Config:     Config{Path: os.Getenv("AUDIT_TEST_PATH"), MaxSize: minMaxSize, OnFailure: os.Getenv("AUDIT_TEST_FAILURE")},
		DefaultDir: os.Getenv("AUDIT_TEST_DIR"), StateDir: os.Getenv("AUDIT_TEST_STATE"), Source: "wrap",
		spool: spoolSize,
	}
}

func child(role string) error {
	switch role {
	case "count":
		return childCount(300)
	case "loop":
		return childCount(1 << 30)
	case "forward":
		return childForward(300)
	case "full":
		return childFull()
	case "full spool":
		return childFullSpool()
	case "read":
		return childRead()
	}
	return fmt.Errorf("unknown role %q", role)
}

// childCount appends numbered events and says on stdout which of them are recorded.
func childCount(n int) error {
	l, err := Open(childOptions())
	if err != nil {
		return err
	}
	k := l.Link(LinkInfo{})
	for i := range n {
		k.Append(&Event{Kind: Decision, Target: fmt.Appendf(nil, "%d", i)})
		k.Append(&Event{Kind: Outcome, Target: bytes.Repeat([]byte("x"), i%700)})
		if err := l.Commit(); err != nil {
			return err
		}
		if _, err := fmt.Println(k.Session(), i); err != nil {
			return err
		}
	}
	return l.Close()
}

// childFullSpool writes to a full disk, with room in the spool.
func childFullSpool() error {
	signal.Ignore(syscall.SIGXFSZ)
	opts := childOptions()
	opts.MaxSize = 64 << 20
	troubles := 0
	opts.OnError = func(error) { troubles++ }
	l, err := Open(opts)
	if err != nil {
		return err
	}
	k := l.Link(LinkInfo{})
	limit := func(size uint64) error {
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: ^uint64(0)})
	}
	k.Append(&Event{Kind: Decision, Target: []byte("0")})
	if err := l.Commit(); err != nil {
		return err
	}
	if err := limit(2000); err != nil {
		return err
	}
	good, bad, first := 0, 0, 0
	for i := range 200 {
		k.Append(&Event{Kind: Decision, Target: fmt.Append(nil, i+1)})
		if i == 10 {
			l.flushSpool()
		}
		switch err := l.Commit(); {
		case err == nil && bad == 0:
			good++
		case errors.Is(err, syscall.EFBIG):
			bad++
		default:
			first++
		}
	}
	if err := limit(^uint64(0)); err != nil {
		return err
	}
	k.Append(&Event{Kind: Decision, Target: []byte("after")})
	err = l.Commit()
	fmt.Printf("%v %v %d %d %v\n", good > 30, bad > 30, first, troubles, err)
	return l.Close()
}

// childRead reads a log that it cannot write to.
func childRead() error {
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 0, Max: ^uint64(0)}); err != nil {
		return err
	}
	opts := childOptions()
	var got []string
	for r, err := range Read(opts.DefaultDir, time.Time{}) {
		if err != nil {
			return err
		}
		got = append(got, r.Target)
	}
	t, err := NewTail(opts.DefaultDir)
	if err != nil {
		return err
	}
	last, err := t.Last(2)
	if err != nil {
		return err
	}
	for _, r := range last {
		got = append(got, r.Target)
	}
	res, err := Verify(opts.StateDir, opts.DefaultDir)
	if err != nil {
		return err
	}
	fmt.Println(got, res.Problems, res.Events, len(res.Chains[0].Notes))
	return nil
}

// childFull writes until the disk is full, which a limit on the size of files stands for, and then gets room again.
func childFull() error {
	signal.Ignore(syscall.SIGXFSZ)
	opts := childOptions()
	opts.Args, opts.MaxSize = "full", 64<<20 // all in one file
	troubles := 0
	opts.OnError = func(err error) {
		if !errors.Is(err, syscall.EFBIG) {
			fmt.Fprintln(os.Stderr, "unexpected:", err)
		}
		troubles++
	}
	l, err := Open(opts)
	if err != nil {
		return err
	}
	k := l.Link(LinkInfo{})
	limit := func(size uint64) error {
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: ^uint64(0)})
	}
	if err := limit(100_000); err != nil {
		return err
	}
	large := []byte(`"` + strings.Repeat("y", 20_000) + `"`)
	failed := 0
	for i := range 500 {
		k.Append(&Event{Kind: Decision, Target: fmt.Append(nil, i), Args: large})
		if err := l.Commit(); err != nil {
			if !errors.Is(err, syscall.EFBIG) {
				return err
			}
			failed++
		}
	}
	if err := limit(^uint64(0)); err != nil {
		return err
	}
	k.Append(&Event{Kind: Decision, Target: []byte("after")})
	first := l.Commit()
	k.Append(&Event{Kind: Decision, Target: []byte("later")})
	second := l.Commit()
	fmt.Printf("%v %v %v %v\n", failed > 490, troubles, first, second)
	return l.Close()
}

func startChild(t *testing.T, role string, opts Options) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd, out := childCommand(t, role, opts)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

func childCommand(t *testing.T, role string, opts Options) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, "AUDIT_TEST_PATH="+opts.Path, "AUDIT_TEST_DIR="+opts.DefaultDir,
		"AUDIT_TEST_STATE="+opts.StateDir, "AUDIT_TEST_FAILURE="+opts.OnFailure, "AUDIT_TEST_SPOOL="+strconv.Itoa(opts.spool))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 8*maxLine)
	return cmd, lines
}

// recorded returns the targets of all decisions, by session.
func recorded(t *testing.T, opts Options) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for r, err := range Read(logPath(opts), time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Kind == Decision {
			found[r.Session] = append(found[r.Session], r.Target)
		}
	}
	return found
}

// Killed at any moment, also while the spool is written to its segment: the log is whole, and holds each event that was
// released once.
func TestKilledWriterLeavesACleanLogThatGoesOn(t *testing.T) {
	for name, spool := range map[string]int{"spool": 0, "tiny spool": 4 << 10, "no spool": -1} {
		layouts(t, func(t *testing.T, opts Options) {
			if opts.Path != "" && spool != 0 {
				return // has none
			}
			t.Run(name, func(t *testing.T) {
				opts := opts
				opts.spool, opts.DefaultDir = spool, t.TempDir()
				testKilledWriter(t, opts)
			})
		})
	}
}

func testKilledWriter(t *testing.T, opts Options) {
	said := map[string]int{}
	const rounds = 16
	for round := range rounds {
		cmd, out := startChild(t, "loop", opts)
		count := func() {
			if session, number, _ := strings.Cut(out.Text(), " "); number != "" {
				said[session]++
			}
		}
		for i := 0; i < 3+37*round && out.Scan(); i++ {
			count()
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for out.Scan() { // said before it died
			count()
		}
		_ = cmd.Wait() // killed
		if round%2 == 0 {
			wantIntact(t, opts, -1)
		}
	}
	wantIntact(t, opts, -1)
	found := recorded(t, opts)
	if len(said) != rounds {
		t.Errorf("got %d sessions, want %d", len(said), rounds)
	}
	for session, n := range said {
		if len(found[session]) < n-1 { // the last line said may be torn
			t.Errorf("session %s: %d events recorded, %d released", session, len(found[session]), n)
		}
		for i, target := range found[session] {
			if target != fmt.Sprint(i) {
				t.Fatalf("session %s: event %d is %s", session, i, target)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(opts.DefaultDir, "*"+spoolExt)); len(left) > 0 {
		t.Errorf("spools are left: %q", left)
	}
}

func TestProcessesShareALog(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		const processes, calls = 5, 300
		var children []*exec.Cmd
		for range processes {
			cmd, out := startChild(t, "count", opts)
			children = append(children, cmd)
			out.Scan() // there is something to verify
			go func() {
				for out.Scan() {
				}
			}()
		}
		for range 20 { // while they write
			wantIntact(t, opts, -1)
		}
		for _, cmd := range children {
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		res := wantIntact(t, opts, -1)
		if want := map[bool]int{true: 1, false: processes}[opts.Path != ""]; len(res.Chains) != want {
			t.Errorf("got %d chains, want %d", len(res.Chains), want)
		}
		found := recorded(t, opts)
		for session, targets := range found {
			for i, target := range targets {
				if target != fmt.Sprint(i) {
					t.Fatalf("session %s: event %d is %s", session, i, target)
				}
			}
			if len(targets) != calls {
				t.Errorf("session %s: got %d events, want %d", session, len(targets), calls)
			}
		}
		if len(found) != processes {
			t.Errorf("got %d sessions, want %d", len(found), processes)
		}
	})
}

func TestFullDisk(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		for mode, want := range map[string]string{
			// The commit that makes a loss known is an error too; then all is well again.
			"block": "true 1 audit log PATH has a gap: events were lost while it could not be written <nil>",
			"warn":  "false 1 <nil> <nil>",
		} {
			t.Run(mode, func(t *testing.T) {
				opts := opts
				opts.OnFailure = mode
				opts.StateDir = t.TempDir()
				opts.DefaultDir = t.TempDir()
				if opts.Path != "" {
					opts.Path = filepath.Join(opts.DefaultDir, "log.jsonl")
				}
				cmd, out := startChild(t, "full", opts)
				out.Scan()
				got := strings.ReplaceAll(out.Text(), logPath(opts), "PATH")
				if err := cmd.Wait(); err != nil {
					t.Fatal(err)
				}
				if got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				res := wantIntact(t, opts, -1)
				if n := len(res.Chains[0].Notes); n != 1 || !strings.Contains(res.Chains[0].Notes[0], "tells of an outage") {
					t.Errorf("got notes %q, want one of the outage", res.Chains[0].Notes)
				}
				wantWholeOrConfessed(t, opts, 502)
			})
		}
	})
}

// wantWholeOrConfessed counts the decisions in the log and those that it says are lost.
func wantWholeOrConfessed(t *testing.T, opts Options, want int) {
	t.Helper()
	decisions, lost := 0, 0
	var last []string
	for r, err := range Read(logPath(opts), time.Time{}) {
		switch {
		case err != nil:
			t.Fatal(err)
		case r.Kind == Decision:
			decisions++
			last = append(last, r.Target)
		case r.Reason == "audit_gap":
			if _, err := fmt.Sscanf(string(r.Args), `{"count":%d,`, &lost); err != nil {
				t.Fatal(err)
			}
		}
	}
	if lost == 0 || decisions+lost != want {
		t.Errorf("got %d decisions and %d lost, want %d together", decisions, lost, want)
	}
	if !slices.Contains(last, "later") {
		t.Error("the last event is not in the log")
	}
}

func TestFilesAreForTheOwnerOnly(t *testing.T) {
	for _, name := range []string{"folder/", "log.jsonl"} {
		t.Run(name, func(t *testing.T) {
			opts := testOptions(t)
			opts.Path = t.TempDir() + "/new/" + name
			l := openLog(t, opts)
			l.Link(LinkInfo{}).Append(&Event{Kind: Decision})
			commit(t, l)
			err := filepath.Walk(filepath.Dir(opts.Path), func(path string, info os.FileInfo, err error) error {
				if err == nil && info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s has mode %v", path, info.Mode())
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// Another hand at the live segment does not silence the log, and is found.
func TestLiveSegmentUnderAnotherHand(t *testing.T) {
	for name, tamper := range map[string]func(string) error{
		"segment_removed": os.Remove,
		"segment_altered": func(path string) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			opts := testOptions(t)
			now := time.Now()
			opts.Now = func() time.Time { now = now.Add(time.Second); return now }
			l := openLog(t, opts)
			appendEvents(t, l, "a", "b")
			if err := tamper(onlySegment(t, opts.DefaultDir)); err != nil {
				t.Fatal(err)
			}
			appendEvents(t, l, "c")
			l.flushSpool()
			if got := reasons(t, opts); !slices.Contains(got, name) {
				t.Errorf("got %q, want %s", got, name)
			}
			if res := verify(t, opts); res.Intact() {
				t.Error("verify found nothing")
			}
		})
	}
}
