package clients

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func cursorFile(t *testing.T, path string) File {
	t.Helper()
	cursor, _ := Lookup("cursor")
	f := Open(Env{Self: self}, cursor, path)
	if f.Err != nil {
		t.Fatal(f.Err)
	}
	return f
}

func keepNothing([]byte) error { return nil }

func TestWriteKeepsModeAndSymlink(t *testing.T) {
	folder := t.TempDir()
	target := write(t, folder+"/dotfiles/mcp.json", `{"mcpServers": {"a": {"command": "x", "args": []}}}`)
	link := filepath.Join(folder, "mcp.json")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	f := cursorFile(t, link)
	c := wrapped(t, &f, Wrapping{})
	var kept string
	if err := c.Write(func(before []byte) error { kept = string(before); return nil }); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(target)
	if string(got) != string(c.After) || kept != string(c.Before()) {
		t.Errorf("wrote %s, kept %s", got, kept)
	}
	if info, _ := os.Lstat(link); info.Mode()&os.ModeSymlink == 0 {
		t.Error("the symlink is gone")
	}
	if info, _ := os.Stat(target); runtime.GOOS != "windows" && info.Mode().Perm() != 0o640 {
		t.Errorf("mode is %v", info.Mode())
	}
	if left, _ := filepath.Glob(folder + "/dotfiles/.*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAFileThatChangedMeanwhileIsLeft(t *testing.T) {
	path := write(t, t.TempDir()+"/mcp.json", `{"mcpServers": {"a": {"command": "x"}}}`)
	f := cursorFile(t, path)
	c := wrapped(t, &f, Wrapping{})
	// The client writes while we keep a copy, after the first look.
	err := c.Write(func([]byte) error { return os.WriteFile(path, []byte("theirs"), 0o600) })
	if got, _ := os.ReadFile(path); !errors.Is(err, ErrChanged) || string(got) != "theirs" {
		t.Errorf("got %v, file %q", err, got)
	}
	if err := c.Write(keepNothing); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Dir(path) + "/.*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestNothingIsWrittenWithoutACopy(t *testing.T) {
	path := write(t, t.TempDir()+"/mcp.json", `{"mcpServers": {"a": {"command": "x"}}}`)
	f := cursorFile(t, path)
	full := errors.New("disk full")
	if err := wrapped(t, &f, Wrapping{}).Write(func([]byte) error { return full }); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != string(f.source) {
		t.Errorf("wrote %s", got)
	}
}

func TestRestoreTakesBackOnlyWhatWeLeft(t *testing.T) {
	path := write(t, t.TempDir()+"/mcp.json", "after")
	if err := Restore(path, []byte("other"), []byte("before")); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v", err)
	}
	if err := Restore(path, []byte("after"), []byte("before")); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "before" {
		t.Errorf("got %q", got)
	}
	if err := Restore(path, []byte("before"), nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file that was made is there still: %v", err)
	}
}

func TestANewFileIsPrivate(t *testing.T) {
	folder := t.TempDir()
	if err := os.Mkdir(folder+"/.cursor", 0o700); err != nil {
		t.Fatal(err)
	}
	cursor, _ := Lookup("cursor")
	f, ok := New(Env{OS: "linux", Home: folder, Lookup: func(string) string { return "" }}, cursor, User)
	if !ok {
		t.Fatal("the client's folder is not found")
	}
	c, err := f.Connect(hubServers, self)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(keepNothing); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(f.Path)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := c.Write(keepNothing); !errors.Is(err, ErrChanged) {
		t.Errorf("written over a file that somebody made meanwhile: %v", err)
	}
}

func TestWhatIsNoFileIsNotRead(t *testing.T) {
	cursor, _ := Lookup("cursor")
	if f := Open(Env{}, cursor, t.TempDir()); f.Err == nil {
		t.Error("a folder was read")
	}
}

func TestDiffShowsLinesAndNoSecrets(t *testing.T) {
	for _, test := range []struct{ name, client, source, want string }{
		{
			"two servers far apart", "cursor",
			"{\n  \"mcpServers\": {\n    \"a\": {\n      \"env\": {\"TOKEN\": \"hunter2\"},\n      \"command\": \"a\",\n      \"args\": [\"--api-key\", \"hunter2\", \"--token=hunter2\"]\n    },\n    \"x1\": {},\n    \"x2\": {},\n    \"x3\": {},\n    \"x4\": {},\n    \"x5\": {},\n    \"x6\": {},\n    \"x7\": {},\n    \"b\": {\"command\": \"b\"}\n  }\n}\n",
			"--- file\n+++ file\n@@ -2,8 +2,8 @@\n   \"mcpServers\": {\n     \"a\": {\n       \"env\": {\"TOKEN\": …},\n-      \"command\": \"a\",\n-      \"args\": [\"--api-key\", …, …]\n+      \"command\": \"/opt/mcpx/mcpx\",\n+      \"args\": [\"wrap\", \"--name\", \"a\", \"--\", \"a\", \"--api-key\", …, …]\n     },\n     \"x1\": {},\n     \"x2\": {},\n@@ -12,6 +12,6 @@\n     \"x5\": {},\n     \"x6\": {},\n     \"x7\": {},\n-    \"b\": {\"command\": \"b\"}\n+    \"b\": {\"command\": \"/opt/mcpx/mcpx\", \"args\": [\"wrap\", \"--name\", \"b\", \"b\"]}\n   }\n }\n",
		},
		{
			"a URL with a key", "cursor",
			"{\n  \"mcpServers\": {\n    \"b\": {\"command\": \"b\"},\n    \"a\": {\"url\": \"https://x/?k=hunter2\"}\n  }\n}",
			"--- file\n+++ file\n@@ -1,6 +1,6 @@\n {\n   \"mcpServers\": {\n-    \"b\": {\"command\": \"b\"},\n+    \"b\": {\"command\": \"/opt/mcpx/mcpx\", \"args\": [\"wrap\", \"--name\", \"b\", \"b\"]},\n     \"a\": {\"url\": …}\n   }\n }\n",
		},
		{
			"TOML", "codex",
			"[mcp_servers.a]\nenv = { K = \"hunter2\" }\ncommand = \"a\"\n[mcp_servers.a.http_headers]\nA = '''\nhunter2'''\n",
			"--- file\n+++ file\n@@ -1,6 +1,7 @@\n [mcp_servers.a]\n env = { K = … }\n-command = \"a\"\n+args = [\"wrap\", \"--name\", \"a\", \"a\"]\n+command = \"/opt/mcpx/mcpx\"\n [mcp_servers.a.http_headers]\n A = …\n …\n",
		},
		{
			"YAML over several lines", "goose",
			"extensions:\n  a:\n    envs:\n      K: |\n        hunter2\n\n        hunter2\n    cmd: a\n    args: []\n",
			"--- file\n+++ file\n@@ -5,5 +5,5 @@\n …\n …\n …\n-    cmd: a\n-    args: []\n+    cmd: \"/opt/mcpx/mcpx\"\n+    args: [\"wrap\", \"--name\", \"a\", \"--\", a]\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := parse(t, test.client, "file", test.source)
			got := wrapped(t, &f, Wrapping{}).Diff()
			if strings.Contains(got, "hunter2") {
				t.Errorf("a secret is shown")
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s\ngot:\n%s", diff, got)
			}
		})
	}
}

// TestDiffIsOne applies each diff by hand: taken together, its lines are both files.
func TestDiffIsOne(t *testing.T) {
	for _, test := range connectCases {
		f := parse(t, test.client, "file", test.before)
		c, err := f.Connect(hubServers, self)
		if err != nil {
			t.Fatal(err)
		}
		g := parse(t, test.client, "file", test.after)
		d, err := g.Disconnect(func(s *Server) bool { return strings.HasPrefix(s.URL, "http://h/mcp/") })
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range []*Change{c, d} {
			if got := patched(t, string(change.Before()), change.Diff()); got != strings.ReplaceAll(string(change.After), "\r\n", "\n") && got != string(change.After)+"\n" {
				t.Errorf("%s: the diff\n%s\nmakes\n%s", test.name, change.Diff(), got)
			}
		}
	}
}

// patched applies a unified diff, and wants its context to be where it says.
func patched(t *testing.T, before, diff string) string {
	t.Helper()
	old := strings.Split(strings.TrimSuffix(strings.ReplaceAll(before, "\r\n", "\n"), "\n"), "\n")
	if before == "" {
		old = nil
	}
	var out []string
	at := 0
	for _, line := range strings.Split(strings.TrimSuffix(diff, "\n"), "\n")[2:] {
		if strings.HasPrefix(line, "@@") {
			var from, size, to, newSize int
			if _, err := fmt.Sscanf(line, "@@ -%d,%d +%d,%d @@", &from, &size, &to, &newSize); err != nil {
				t.Fatal(err)
			}
			start := from - 1
			if size == 0 {
				start = from
			}
			out = append(out, old[at:start]...)
			at = start
			if place := len(out) + 1; newSize > 0 && place != to {
				t.Errorf("%s: the hunk is at line %d", line, place)
			}
			continue
		}
		text := line[1:]
		if line[0] != '+' {
			if at >= len(old) || old[at] != text {
				t.Fatalf("%q is not line %d", text, at+1)
			}
			at++
		}
		if line[0] != '-' {
			out = append(out, text)
		}
	}
	return strings.Join(append(out, old[at:]...), "\n") + "\n"
}
