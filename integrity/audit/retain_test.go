package audit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRetention(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		files := threeSegments(t, opts)
		old := time.Now().Add(-31 * 24 * time.Hour)
		age := func(path string) string { // its name tells its age too
			path2 := strings.NewReplacer(time.Now().UTC().Format("2006"), old.UTC().AddDate(-1, 0, 0).Format("2006")).Replace(filepath.Base(path))
			path2 = filepath.Join(filepath.Dir(path), path2)
			if err := errors.Join(os.Rename(path, path2), os.Chtimes(path2, old, old)); err != nil {
				t.Fatal(err)
			}
			return path2
		}
		first, second := age(files[0]), age(files[1])
		exists := func(path string) bool { _, err := os.Stat(path); return err == nil }
		log, instance := findChain(t, first)
		end, err := headOf(first)
		if err != nil {
			t.Fatal(err)
		}

		c := cursor{hub: "https://hub.example", chain: "x", from: 1, acked: end.seq - 1}
		for _, acked := range []uint64{end.seq - 1, end.seq} {
			c.acked = acked
			if err := writeCursor(cursorPath(log, instance), c); err != nil {
				t.Fatal(err)
			}
			appendEvents(t, openLog(t, opts), "a")
			if exists(first) != (acked < end.seq) || !exists(second) || !exists(files[2]) {
				t.Errorf("%d of %d events acknowledged: the first segment is there: %v", acked, end.seq, exists(first))
			}
			wantIntact(t, opts, -1)
		}

		if err := os.Remove(cursorPath(log, instance)); err != nil {
			t.Fatal(err)
		}
		appendEvents(t, openLog(t, opts), "b")
		if exists(second) || !exists(files[2]) {
			t.Error("want the second segment gone, and no other")
		}
		wantIntact(t, opts, -1)

		// What retention left over may not go otherwise.
		if err := os.Remove(files[2]); err != nil {
			t.Fatal(err)
		}
		if verify(t, opts).Intact() {
			t.Error("a removed segment was taken for an old one")
		}
	})
}

// findChain returns the log and the instance of the chain that a segment is of.
func findChain(t testing.TB, path string) (log, instance string) {
	t.Helper()
	path, err := canonical(path)
	if err != nil {
		t.Fatal(err)
	}
	y, err := findLayout(path)
	if err != nil {
		t.Fatal(err)
	}
	return y.log, y.instance
}

func TestRetentionSparesTheLivingAndTheNewest(t *testing.T) {
	opts := testOptions(t)
	old := time.Now().Add(-40 * 24 * time.Hour)
	then := opts
	then.Now = func() time.Time { return old }
	living, dead := openLog(t, then), openLog(t, then)
	appendEvents(t, living, "living")
	appendEvents(t, dead, "dead")
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	segments, err := folderSegments(opts.DefaultDir)
	if err != nil || len(segments) != 2 {
		t.Fatal(segments, err)
	}
	for _, s := range segments {
		if err := os.Chtimes(s.path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	appendEvents(t, openLog(t, opts), "new") // Open spares the newest, whoever's that is
	appendEvents(t, openLog(t, opts), "newer")
	left := recordedTargets(t, opts)
	if strings.Join(left, " ") != "living new newer" {
		t.Errorf("got %q, want the dead one gone", left)
	}
	appendEvents(t, living, "still")
	wantIntact(t, opts, -1)
	heads, err := filepath.Glob(filepath.Join(opts.StateDir, "*"+headExt))
	if err != nil || len(heads) != 3 {
		t.Errorf("got heads %q, %v, want those of the living", heads, err)
	}
}
