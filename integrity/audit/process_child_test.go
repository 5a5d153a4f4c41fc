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
