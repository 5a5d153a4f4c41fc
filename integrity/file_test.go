package integrity

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeLock pins a few things of two servers.
func writeLock(t *testing.T, path string) {
	t.Helper()
	f := openFile(t, path)
	p := f.Server("fs", Config{NewTools: "quarantine"})
	list(t, p, Tools, clean, other)
	list(t, p, Tools, strings.Replace(clean, "Reads", "Eats\u202e\U000e0041\u200b", 1), `{"name":"twin"}`, `{"name":"twin"}`, `{"name":"new","n":9007199254740993}`)
	list(t, p, Prompts, `{"name":"review"}`)
	if _, err := p.Instructions([]byte("Be kind.\nAlways."), true); err != nil {
		t.Fatal(err)
	}
	p = f.Server("empty", Config{})
	list(t, p, Tools)
	if _, err := p.Instructions(nil, false); err != nil {
		t.Fatal(err)
	}
}

func TestLockFileLayout(t *testing.T) {
	path := lockPath(t)
	writeLock(t, path)
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/mcpx.lock"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if bytes.ContainsFunc(got, func(r rune) bool { return r != '\n' && hidden(r) }) {
		t.Error("the file holds characters that a reader cannot see")
	}
	again, err := encode(openFile(t, path).content.Load())
	if err != nil || !bytes.Equal(again, got) {
		t.Errorf("reading and writing changes the file: %v\n%s", err, cmp.Diff(string(got), string(again)))
	}
}

func TestOnlyTheLockFileIsLeftInTheFolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // there an open file cannot be removed, so the file that is locked stays
	}
	path := lockPath(t)
	writeLock(t, path)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// badLocks are contents of mcpx.lock and what the error says of each.
func badLocks(t *testing.T) map[string]struct{ content, says string } {
	path := lockPath(t)
	writeLock(t, path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	good := string(data)
	edit := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the lock file has no %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	return map[string]struct{ content, says string }{
		"empty":                   {"", "line 1, column 1"},
		"cut off":                 {good[:len(good)/2], "line "},
		"merge conflict":          {edit("  \"servers\"", "<<<<<<< HEAD\n  \"servers\""), "line 3, column 1"},
		"trailing text":           {good + "x", "something follows"},
		"no object":               {"[]", "not an object"},
		"no version":              {"{}", "no version"},
		"no version, but servers": {edit(`"version": 1,`, ``), "no version"},
		"later version":           {edit(`"version": 1`, `"version": 2`), "version 2"},
		"a member twice":          {edit(`"version": 1`, `"version": 1, "version": 1`), "duplicate"},
		"a server twice":          {edit(`"empty":`, `"fs":`), "duplicate"},
		"unknown member":          {edit(`"version": 1`, `"version": 1, "enforce": false`), `/enforce: unknown member`},
		"unknown kind":            {edit(`"tools": {`, `"toolz": {`), `/servers/fs/toolz: unknown member`},
		"unknown entry member":    {edit(`"definition": {`, `"allow": true, "definition": {`), "/allow: unknown member"},
		"approved, but not true":  {edit(`"definition": {`, `"approved": 1, "definition": {`), "/approved: not true"},
		"definition edited":       {edit(`"Reads a file"`, `"Reads a File"`), "is not that of the definition"},
		"digest edited":           {edit(`"digest": "mcpx1:`, `"digest": "mcpx1:0`), "is not that of the definition"},
		"unknown digest version":  {edit(`"digest": "mcpx1:`, `"digest": "mcpx9:`), `version "mcpx9" is unknown`},
		"no digest":               {edit(`"digest"`, `"problem"`), "problem"},
		"unknown problem":         {edit(`"problem": "twin"`, `"problem": "fine"`), `unknown problem "fine"`},
		"problem with a pin":      {edit(`"definition": {`, `"problem": "twin", "definition": {`), "problem"},
		"invalid UTF-8":           {edit("Reads", "\xff"), "UTF-8"},
	}
}

func TestCorruptLockFileIsNeverOverwritten(t *testing.T) {
	for name, row := range badLocks(t) {
		t.Run(name, func(t *testing.T) {
			path := lockPath(t)
			running := openFile(t, path)
			p := running.Server("fs", Config{})
			list(t, p, Tools, other)
			if err := os.WriteFile(path, []byte(row.content), 0o600); err != nil {
				t.Fatal(err)
			}

			f, err := Open(path)
			if err == nil || f != nil {
				t.Fatalf("Open = %v, %v", f, err)
			}
			if !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), filepath.Base(path)) {
				t.Errorf("the error must name the file and say %q: %v", row.says, err)
			}
			if found, err := p.Walk(Tools).Page(raws(other, `{"name":"new"}`), true); err == nil {
				t.Errorf("a running process goes on: %v", found)
			}
			if _, err := p.Instructions([]byte("x"), true); err == nil {
				t.Error("instructions are pinned")
			}
			if _, err := running.Approve("fs"); err == nil {
				t.Error("Approve goes on")
			}
			if _, err := running.Reset("fs"); err == nil {
				t.Error("Reset goes on")
			}
			wantJudge(t, "an unknown name", p, "new", false, "tool_unknown")
			if after, err := os.ReadFile(path); err != nil || string(after) != row.content {
				t.Errorf("the file was changed: %v\n%s", err, after)
			}
		})
	}
}

// spoil makes every save fail: what it would use as a temporary file cannot be removed.
func spoil(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(path+".tmp", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestFirstUseThatCannotBeSavedFails(t *testing.T) {
	path := lockPath(t)
	spoil(t, path)
	p := openFile(t, path).Server("fs", Config{})
	for range 2 {
		if found, err := p.Walk(Tools).Page(raws(other), true); !errors.Is(err, errSave) || found != nil {
			t.Errorf("Page = %v, %v", found, err)
		}
		wantJudge(t, "not saved", p, "list", false, "tool_unknown")
	}
	if _, err := p.Instructions(nil, false); !errors.Is(err, errSave) {
		t.Errorf("Instructions: %v", err)
	}
}

// Who may not write is told what to do: it is read in a client, by somebody who sees nothing else.
func TestWhoMayNotSaveIsToldWhatToDo(t *testing.T) {
	for err, want := range map[error]bool{
		&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}: true,
		&fs.PathError{Op: "open", Path: "x", Err: fs.ErrInvalid}:    false,
	} {
		if got := notSaved(err); !errors.Is(got, errSave) || !errors.Is(got, err) || strings.Contains(got.Error(), "mcpx doctor") != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestViolationIsFoundWhereNothingCanBeSaved(t *testing.T) {
	path := lockPath(t)
	list(t, openFile(t, path).Server("fs", Config{}), Tools, clean, other)
	spoil(t, path)
	p := openFile(t, path).Server("fs", Config{NewTools: "quarantine"})
	for range 2 {
		wantBrief(t, "read-only", list(t, p, Tools, strings.Replace(clean, "Reads", "Eats", 1), `{"name":"new"}`),
			"0 read_file changed withheld", "1 new added withheld", "-1 list removed")
		wantJudge(t, "read-only", p, "read_file", false, "tool_changed")
	}
}

func TestApproveRefusesAsAWhole(t *testing.T) {
	path := lockPath(t)
	writeLock(t, path)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := openFile(t, path)
	for name, targets := range map[string][]Target{
		"a twin":            {{Tools, "new"}, {Tools, "twin"}},
		"an unknown name":   {{Tools, "new"}, {Tools, "nwe"}},
		"a prompt, no tool": {{Tools, "review"}},
		"everything":        nil,
	} {
		if done, err := f.Approve("fs", targets...); err == nil {
			t.Errorf("%s: approved %v", name, done)
		}
	}
	if _, err := f.Approve("nobody"); err == nil {
		t.Error("approved for an unknown server")
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file was changed: %v\n%s", err, cmp.Diff(string(before), string(after)))
	}
}

func TestFileBehindALinkIsReplacedNotTheLink(t *testing.T) {
	path := lockPath(t)
	writeLock(t, path)
	link := filepath.Join(t.TempDir(), "mcpx.lock")
	if err := os.Symlink(path, link); err != nil {
		if runtime.GOOS == "windows" {
			return // needs a privilege there
		}
		t.Fatal(err)
	}
	if _, err := openFile(t, link).Reset("fs"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	if got := openFile(t, path).Servers(); len(got) != 1 {
		t.Errorf("servers: %v", got)
	}
}
