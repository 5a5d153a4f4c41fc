//go:build unix

package audit

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Who may write to the folder of a log plants what leads elsewhere. Nothing of it is read, written, sent or waited for.
func TestPlantedLinksAndPipes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		elsewhere := testOptions(t)
		stolen := openLog(t, elsewhere)
		appendEvents(t, stolen, "private")
		abandonAll(t, stolen)
		segment := onlySegment(t, elsewhere.DefaultDir)

		opts := testOptions(t)
		dead := openLog(t, opts)
		appendEvents(t, dead, "dead")
		abandonAll(t, dead)
		mine := onlySegment(t, opts.DefaultDir)
		was, _ := parseSegment(mine)

		cur := cursor{hub: LocalHub, chain: "c", from: 1}
		target := filepath.Join(t.TempDir(), "victim")
		if err := os.WriteFile(target, cur.encode(), 0o600); err != nil {
			t.Fatal(err)
		}
		at := func(name string) string { return filepath.Join(opts.DefaultDir, name) }
		pipe := func(name string) {
			if err := syscall.Mkfifo(at(name), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		link := func(to, name string) {
			if err := os.Symlink(to, at(name)); err != nil {
				t.Fatal(err)
			}
		}
		link(segment, filepath.Base(segment))
		link(target, was.instance+ackExt) // the cursor of a chain that is there
		pipe(segmentName(time.Now(), "pipe"))
		pipe(segmentName(time.Now(), "spooled"))
		pipe(segmentName(time.Now(), "spooled") + spoolExt)
		pipe("pipe" + ackExt)

		h := newFakeHub(t)
		told := 0
		opts.OnError = func(error) {}
		next := openLog(t, opts)
		_, stop := forward(t, next, LocalHub, ForwardOptions{Send: h.send, OnError: func(error) { told++ }})
		appendEvents(t, next, "next")
		pass(time.Minute)
		stop()
		if got := strings.Join(h.targets(), " "); got != "next" {
			t.Errorf("the hub has %q", got)
		}
		if told == 0 {
			t.Error("nobody is told of the chain that cannot be sent")
		}
		if now, err := os.ReadFile(target); err != nil || string(now) != string(cur.encode()) {
			t.Errorf("what the link leads to was changed: %q, %v", now, err)
		}
		if _, err := Waiting(opts.DefaultDir); err == nil {
			t.Error("doctor is not told of the link")
		}
	})
}
