package audit

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var compareCursors = cmp.AllowUnexported(cursor{})

func cursors() map[string]cursor {
	return map[string]cursor{
		"fresh":   {hub: LocalHub, from: 1},
		"sent":    {hub: "https://hub.example.com/a?b=c", chain: "0a1b2c3d4e5f-6f7e", from: 1, acked: 17, sum: Sum([]byte("x"))},
		"ended":   {hub: LocalHub, chain: "m-i", from: 51, acked: 99, skip: 100, end: 1_700_000_000_000_000_000, size: 4711},
		"largest": {hub: strings.Repeat("h", maxHub), chain: strings.Repeat("c", maxChain), from: math.MaxUint64, acked: math.MaxUint64, skip: math.MaxUint64, end: math.MaxUint64, size: math.MaxUint64},
	}
}

func TestCursorSurvivesItsFile(t *testing.T) {
	for name, c := range cursors() {
		t.Run(name, func(t *testing.T) {
			data := c.encode()
			if len(data) != cursorSize {
				t.Errorf("got %d bytes, want %d", len(data), cursorSize)
			}
			got, err := parseCursor(data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c, got, compareCursors); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// However a rewrite is torn, the destination and the name stay known, and the count does not come out wrong.
func TestTornCursorAcknowledgesNothing(t *testing.T) {
	before := cursor{hub: LocalHub, chain: "m-i", from: 7, acked: 999, sum: Sum([]byte("a"))}
	after := before
	after.acked, after.sum = 12345, Sum([]byte("b"))
	from, to := before.encode(), after.encode()
	for n := range 2 * (cursorSize + 1) {
		if n == cursorSize+1 {
			from, to = to, from
		}
		n %= cursorSize + 1
		torn := append(bytes.Clone(to[:n]), from[n:]...)
		got, err := parseCursor(torn)
		want := cursor{hub: LocalHub, chain: "m-i", from: 7}
		switch {
		case bytes.Equal(torn, before.encode()):
			want = before
		case bytes.Equal(torn, after.encode()):
			want = after
		case err == nil:
			t.Fatalf("torn at %d: taken for whole", n)
		}
		if diff := cmp.Diff(want, got, compareCursors); diff != "" {
			t.Fatalf("torn at %d: %s", n, diff)
		}
	}
}

func TestForeignCursor(t *testing.T) {
	whole := cursors()["sent"]
	for name, data := range map[string]string{
		"empty":         "",
		"zeros":         string(make([]byte, cursorSize)),
		"text":          "hello\n",
		"other JSON":    `{"a":1}`,
		"no hub":        `{"hub":"","chain":"x","from":"1"}`,
		"twice":         `{"hub":"local","hub":"local","from":"1"}`,
		"chain of path": `{"hub":"local","chain":"../x","from":"1"}`,
		"from nothing":  `{"hub":"local","chain":"x","from":"0"}`,
		"more follows":  string(whole.encode()) + "x",
	} {
		if c, err := parseCursor([]byte(data)); err == nil {
			t.Errorf("%s: taken for %+v", name, c)
		}
	}
}

func FuzzCursor(f *testing.F) {
	for _, c := range cursors() {
		f.Add(c.encode())
	}
	f.Add([]byte(`{"hub":"local","chain":"x","from":"1","acked":"3"}`))
	f.Add([]byte(`{"hub":"local"`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseCursor(data)
		if err == nil && !bytes.Equal(c.encode(), data) {
			t.Errorf("%q was taken for a cursor that is written %q", data, c.encode())
		}
		if err != nil && (c.acked != 0 || c.skip != 0 || c.sum != [32]byte{}) {
			t.Errorf("%q is none, and acknowledges up to %d", data, c.acked)
		}
		if c.hub != "" && (checkHub(c.hub) != nil || c.chain != "" && !validChain(c.chain) || c.from == 0) {
			t.Errorf("%q: got %+v", data, c)
		}
	})
}

func TestDestinationThatNoCursorHoldsIsRefused(t *testing.T) {
	for _, hub := range []string{strings.Repeat("x", maxHub+1), "https://hub\n", `https://h"ub`} {
		opts := testOptions(t)
		opts.Hub = hub
		if _, err := Open(opts); err == nil {
			t.Errorf("%q was taken", hub)
		}
		if _, err := openLog(t, testOptions(t)).Outbox(hub); err == nil {
			t.Errorf("%q was taken for an outbox", hub)
		}
	}
}

func TestProcessesAgreeOnTheMachine(t *testing.T) {
	dir := t.TempDir()
	ids := make([]string, 16)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() { ids[i] = machineID(dir) })
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] || len(id) != 12 {
			t.Fatalf("got %q", ids)
		}
	}
	info, err := os.Stat(filepath.Join(dir, machineFile))
	if err != nil || info.Mode().Perm()&0o077 != 0 && canRemoveOpen {
		t.Errorf("got %v, %v, want a file for the owner only", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
	if other := machineID(t.TempDir()); other == ids[0] {
		t.Error("another machine has the same id")
	}
	if a, b := machineID(""), machineID(""); a != b || !validChain(a) {
		t.Errorf("without a state directory: %q and %q", a, b)
	}
	if err := os.WriteFile(filepath.Join(dir, machineFile), []byte("../../x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := machineID(dir); got != machineID("") {
		t.Errorf("got %q from a file that holds no id", got)
	}
}

func TestOnlyOneMakesACursor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.ack")
	made := make(chan error, 8)
	for range cap(made) {
		go func() { made <- createCursor(path, cursor{hub: LocalHub, from: 1}) }()
	}
	n := 0
	for range cap(made) {
		switch err := <-made; {
		case err == nil:
			n++
		case !errors.Is(err, fs.ErrExist):
			t.Error(err)
		}
	}
	if n != 1 {
		t.Errorf("%d made it", n)
	}
	if _, err := readCursor(path); err != nil {
		t.Error(err)
	}
}
