package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestWatchSeesEveryWayToChangeAFile changes a file as people and programs do. Between two changes stands what is
// none, which must not be told: then the next one would not be the one that is waited for.
func TestWatchSeesEveryWayToChangeAFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "mcpx.yaml")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// As Kubernetes mounts a volume: the file is a link through a link that is swapped.
	for version, text := range map[string]string{"v1": "one", "v2": "two"} {
		check(os.Mkdir(filepath.Join(folder, version), 0o700))
		write(filepath.Join(folder, version, "mcpx.yaml"), text)
	}
	if err := os.Symlink("v1", filepath.Join(folder, "data")); err != nil {
		t.Logf("no symbolic links here (%v): the steps with them are left out", err)
		write(path, "one")
		write(filepath.Join(folder, "v2", "mcpx.yaml"), "two")
	} else {
		check(os.Symlink(filepath.Join("data", "mcpx.yaml"), path))
	}
	w, err := watchFile(path)
	check(err)
	ctx, cancel := context.WithCancel(t.Context())
	changed, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		w.run(ctx, changed, func(err error) { t.Errorf("trouble: %v", err) })
	}()
	defer func() { cancel(); <-done }()
	seen := func(what, want string) {
		t.Helper()
		select {
		case <-changed:
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: not seen", what)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("%s: the file holds %q, %v; want %q", what, text, err, want)
		}
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSymlink != 0 {
		check(os.Symlink("v2", filepath.Join(folder, "new")))
		check(os.Rename(filepath.Join(folder, "new"), filepath.Join(folder, "data")))
		seen("a link that is swapped", "two")
		write(filepath.Join(folder, "v2", "mcpx.yaml"), "through the link")
		seen("the file that the link leads to", "through the link")
		check(os.Remove(path))
	}
	write(path, "in place")
	seen("written in place", "in place")
	write(filepath.Join(folder, "other"), "no change")
	write(path, "in place")
	write(path+"~", "renamed")
	check(os.Rename(path+"~", path))
	seen("renamed onto it", "renamed")
	check(os.Remove(path))
	write(path, "again")
	seen("removed and made again", "again")
	for i := range 50 {
		write(path, string(rune('a'+i)))
	}
	write(path, "settled")
	seen("many steps", "settled")
	select {
	case <-changed:
		t.Error("told of a change that is none")
	case <-time.After(2 * maxSettle):
	}
}

func TestWatchNeedsTheFile(t *testing.T) {
	if _, err := watchFile(filepath.Join(t.TempDir(), "mcpx.yaml")); err == nil {
		t.Error("watches a file that is not there")
	}
}
