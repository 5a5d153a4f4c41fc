//go:build unix

package hub_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rohitgs28/mcpx/hub"
)

func TestSocketOfADeadHubIsReplaced(t *testing.T) {
	path := filepath.Join(shortDir(t), "run", "hub.sock")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	l, err := hub.ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is open to others: %v, %v", info.Mode(), err)
	}
	if _, err := hub.ListenSocket(path); err == nil || !strings.Contains(err.Error(), "another hub listens there") {
		t.Errorf("while one listens: %v", err)
	}
	l.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stays behind: %v", err)
	}
	again, err := hub.ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	l.Close() // once more does no harm
}

func TestSocketOfAnotherProgramIsLeftAlone(t *testing.T) {
	path := filepath.Join(shortDir(t), "run", "hub.sock")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("unix", path) // holds no lock of ours
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := hub.ListenSocket(path); err == nil || !strings.Contains(err.Error(), "another hub listens there") {
		t.Errorf("%v", err)
	}
	file := filepath.Join(filepath.Dir(path), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := hub.ListenSocket(file); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("in place of a file: %v", err)
	}
	if kept, err := os.ReadFile(file); err != nil || string(kept) != "precious" {
		t.Errorf("the file is now %q, %v", kept, err)
	}
}

// Of hubs that start at the same time one gets the socket, and keeps it.
func TestOneOfManyGetsTheSocket(t *testing.T) {
	path := filepath.Join(shortDir(t), "run", "hub.sock")
	var all sync.WaitGroup
	got := make(chan net.Listener, 16)
	for range 16 {
		all.Go(func() {
			if l, err := hub.ListenSocket(path); err == nil {
				got <- l
			}
		})
	}
	all.Wait()
	close(got)
	if len(got) != 1 {
		t.Fatalf("%d listen", len(got))
	}
	defer (<-got).Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// What the folder of a socket is like decides who could put another in its place. A folder that is there is nobody's to close:
// it may be /tmp or /run.
func TestFoldersOfSockets(t *testing.T) {
	for name, test := range map[string]struct {
		mode os.FileMode // 0: there is no folder
		want os.FileMode // 0: it is refused
	}{
		"made":                     {0, 0o700},
		"our own":                  {0o700, 0o700},
		"readable by others":       {0o755, 0o755},
		"writable by the group":    {0o770, 0},
		"writable by all":          {0o777, 0},
		"writable by all, as /tmp": {os.ModeSticky | 0o777, 0},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(shortDir(t), "run")
			if test.mode != 0 {
				if err := errors.Join(os.Mkdir(folder, 0o700), os.Chmod(folder, test.mode)); err != nil {
					t.Fatal(err)
				}
			}
			l, err := hub.ListenSocket(filepath.Join(folder, "hub.sock"))
			if l != nil {
				defer l.Close()
			}
			want := test.want
			if want == 0 {
				want = test.mode
				if err == nil || !strings.Contains(err.Error(), "others may write to its folder") {
					t.Errorf("listens, %v", err)
				}
			} else if err != nil {
				t.Error(err)
			}
			if info, err := os.Stat(folder); err != nil || info.Mode()&(os.ModePerm|os.ModeSticky) != want {
				t.Errorf("the folder is %v, %v", info.Mode(), err)
			}
		})
	}
}
