package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// openStore opens a store that ends with the test. Without a path it is a new one.
func openStore(t testing.TB, opt Options) *Store {
	t.Helper()
	if opt.Path == "" {
		opt.Path = filepath.Join(t.TempDir(), "hub.db")
	}
	opt.OnError = func(err error) { t.Errorf("in the background: %v", err) }
	s, err := Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// send appends lines of the chain c of ada.
func send(t testing.TB, s *Store, lines ...[]byte) *Appended {
	t.Helper()
	a, err := s.Append(t.Context(), Batch{Principal: "ada", Chain: "c", Lines: join(lines...)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func join(lines ...[]byte) []byte {
	return append(bytes.Join(lines, []byte("\n")), '\n')
}

// sound fails unless all that is stored is as it came.
func sound(t testing.TB, s *Store, want int64) {
	t.Helper()
	problems, events, err := s.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) > 0 || events != want {
		t.Errorf("%d events, want %d; problems: %v", events, want, problems)
	}
	if n, err := s.Count(t.Context()); err != nil || n != want {
		t.Errorf("counted %d events, want %d: %v", n, want, err)
	}
}

// A testClock is a clock that can be set.
type testClock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *testClock { return &testClock{t: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func TestFilesArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("a file has no mode here")
		return
	}
	dir := filepath.Join(t.TempDir(), "new", "folder with 100% ?#")
	s := openStore(t, Options{Path: filepath.Join(dir, "hub.db")})
	send(t, s, new(chainWriter).line())
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 { // the database, its log and the log's index
		t.Errorf("%d files: %v", len(entries), err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", e.Name(), info.Mode(), err)
		}
	}
}

// A transaction is flushed before its caller hears of it, on whichever connection it was written.
func TestTransactionsAreFlushed(t *testing.T) {
	s := openStore(t, Options{})
	err := s.update(t.Context(), 1, func(w *writer) error {
		for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "auto_vacuum": "2"} {
			var got string
			if err := w.one("PRAGMA "+pragma, nil, &got); err != nil || got != want {
				t.Errorf("%s is %s, want %s: %v", pragma, got, want, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"a newer version", func(t *testing.T, path string) {
			s := openStore(t, Options{Path: path})
			s.Close()
			execute(t, path, "PRAGMA user_version = 99")
		}, "written by a newer mcpx: its version is 99"},
		{"another program's database", func(t *testing.T, path string) {
			execute(t, path, "CREATE TABLE bookmarks (url TEXT)")
		}, "another program"},
		{"a file that is no database", func(t *testing.T, path string) {
			os.WriteFile(path, []byte(strings.Repeat("not a database ", 1000)), 0o600)
		}, "not a database"},
		{"a folder", func(t *testing.T, path string) { os.Mkdir(path, 0o700) }, "is a directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "hub.db")
			test.make(t, path)
			before, _ := os.ReadFile(path)
			s, err := Open(t.Context(), Options{Path: path})
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "hub.db") {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

func execute(t *testing.T, path, script string) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(script); err != nil {
		t.Fatal(err)
	}
}

// A store of each earlier version becomes one of this version. Version 0 is an empty file.
func TestEarlierVersionsAreMigrated(t *testing.T) {
	scripts, err := fs.Glob(schema, "schema/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for version := range scripts {
		t.Run(fmt.Sprintf("version %d", version), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "hub.db")
			for i, name := range scripts[:version] {
				script, _ := schema.ReadFile(name)
				execute(t, path, fmt.Sprintf("%s; PRAGMA user_version = %d; PRAGMA application_id = %d", script, i+1, applicationID))
			}
			var w chainWriter
			s := openStore(t, Options{Path: path})
			send(t, s, w.line(), w.line())
			s.Close()
			s = openStore(t, Options{Path: path}) // and stays one
			send(t, s, w.line())
			sound(t, s, 3)
		})
	}
}

func TestManyOpenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, err := Open(t.Context(), Options{Path: path})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Revoke(t.Context(), "s", revocation("t")); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func revocation(tool string) uplink.Revocation { return uplink.Revocation{Tool: tool} }

func TestClosedStoreSaysSo(t *testing.T) {
	s := openStore(t, Options{})
	s.Close()
	if _, err := s.CreateToken(t.Context(), Token{Name: "ada"}); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}

// Those who wait share a transaction, but not their fate.
func TestOneFailureUndoesOnlyItself(t *testing.T) {
	s := openStore(t, Options{})
	hold := make(chan struct{})
	held := make(chan error)
	go func() {
		held <- s.update(context.Background(), 1, func(*writer) error { <-hold; return nil })
	}()
	const senders = 20
	var all sync.WaitGroup
	refused := errors.New("refused")
	for i := range senders {
		all.Go(func() {
			w := chainWriter{server: fmt.Sprintf("server-%d", i)}
			before := func(*Appended) error { return nil }
			if i%2 == 1 {
				before = func(*Appended) error { return refused }
			}
			_, err := s.Append(context.Background(), Batch{Principal: "ada", Chain: fmt.Sprint(i), Lines: w.lines(40)}, before)
			if (i%2 == 1) != errors.Is(err, refused) {
				t.Errorf("sender %d: %v", i, err)
			}
		})
	}
	close(hold)
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	all.Wait()
	sound(t, s, senders/2*40)
	for i := range senders {
		page, err := s.Events(t.Context(), Filter{Server: fmt.Sprintf("server-%d", i)}, 100, "")
		if want := (1 - i%2) * 40; err != nil || len(page.Events) != want {
			t.Errorf("%d events of server %d, want %d: %v", len(page.Events), i, want, err)
		}
	}
}
