package policy

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"
)

// root is a directory that every platform's rules take.
var root = map[bool]string{false: "/data", true: "C:/data"}[onWindows]

// A fakeFS maps existing paths to where they lead; "" is a link that leads nowhere. What is not in it exists if a
// longer path below it does.
type fakeFS map[string]string

func (f fakeFS) Lstat(p string) error {
	dir, base := path.Split(p)
	if dir != p && len(f) > 0 { // the links on the way are followed, the last one is not
		real, err := f.Resolve(path.Clean(dir))
		if err != nil {
			return err
		}
		p = path.Join(real, base)
	}
	if _, ok := f[p]; ok || p == "/" || p == "C:/" || p == "C:" {
		return nil
	}
	for known := range f {
		if strings.HasPrefix(known, p+"/") {
			return nil
		}
	}
	return fs.ErrNotExist
}

func (f fakeFS) Resolve(p string) (string, error) {
	if len(p) > 64 {
		return "", errors.New("a loop")
	}
	for known, target := range f {
		rest, ok := strings.CutPrefix(p, known)
		if !ok || rest != "" && rest[0] != '/' || target == known {
			continue
		}
		if target == "" {
			return "", fs.ErrNotExist
		}
		return f.Resolve(path.Join(target, rest))
	}
	if _, ok := f[p]; ok || p == "/" || p == "C:/" || p == "C:" {
		return p, nil
	}
	for known := range f {
		if strings.HasPrefix(known, p+"/") {
			return p, nil
		}
	}
	return "", fs.ErrNotExist
}

func TestWithin(t *testing.T) {
	files := fakeFS{
		"/data/file":      "/data/file",
		"/data/dir/x":     "/data/dir/x",
		"/data/inner":     "/data/dir",
		"/data/link":      "/etc",
		"/data/dangling":  "",
		"/data/loop":      "/data/loop/again",
		"/etc/passwd":     "/etc/passwd",
		"/alias":          "/mnt/real",
		"/mnt/real/x":     "/mnt/real/x",
		"/mnt/real/evil":  "/etc",
		"/data-evil/file": "/data-evil/file",
	}
	for _, row := range []struct {
		name  string
		roots []string
		value string // raw JSON
		ok    bool
	}{
		{"inside", []string{"/data"}, `"/data/file"`, true},
		{"the directory itself", []string{"/data"}, `"/data"`, true},
		{"the directory with a slash", []string{"/data"}, `"/data/"`, true},
		{"a root with a slash", []string{"/data/"}, `"/data/file"`, true},
		{"does not exist yet", []string{"/data"}, `"/data/new/deep/file"`, true},
		{"doubled slashes and dots are cleaned", []string{"/data"}, `"//data/.//./file"`, true},
		{"the whole disk", []string{"/"}, `"/etc/passwd"`, true},
		{"second root", []string{"/data", "/etc"}, `"/etc/passwd"`, true},
		{"names with dots", []string{"/data"}, `"/data/...x/..y/z.."`, true},
		{"a link that stays inside", []string{"/data"}, `"/data/inner/x"`, true},
		{"a root that is a link", []string{"/alias"}, `"/alias/x"`, true},

		{"prefix: a neighbour with the same beginning", []string{"/data"}, `"/data-evil/file"`, false},
		{"prefix: dot-dot", []string{"/data"}, `"/data/../etc/passwd"`, false},
		{"prefix: dot-dot that stays inside", []string{"/data"}, `"/data/dir/../file"`, false},
		{"prefix: dot-dot at the end", []string{"/data"}, `"/data/.."`, false},
		{"prefix: doubled slash", []string{"/data"}, `"//etc/passwd"`, false},
		{"prefix: dot", []string{"/data"}, `"/./etc/passwd"`, false},
		{"prefix: file URI", []string{"/data"}, `"file:///data/file"`, false},
		{"prefix: /proc/self/root", []string{"/data"}, `"/proc/self/root/data/file"`, false},
		{"prefix: backslash", []string{"/data"}, `"/data/..\\..\\etc"`, false},
		{"prefix: encoded", []string{"/data"}, `"/data/%2e%2e/etc"`, false},
		{"prefix: any percent sign", []string{"/data"}, `"/data/100%"`, false},
		{"prefix: home", []string{"/data"}, `"~/x"`, false},
		{"prefix: home of another", []string{"/data"}, `"~root/x"`, false},
		{"relative", []string{"/data"}, `"file"`, false},
		{"relative with dot", []string{"/data"}, `"./data/file"`, false},
		{"empty", []string{"/data"}, `""`, false},
		{"case", []string{"/data"}, `"/DATA/file"`, false},
		{"unicode: zero-width space", []string{"/data"}, "\"/data/\u200bfile\"", false},
		{"unicode: bidi", []string{"/data"}, "\"/data/\u202efile\"", false},
		{"unicode: fullwidth dots are names", []string{"/data"}, "\"/data/．．/etc\"", true},
		{"NUL", []string{"/data"}, `"/data/x\u0000.txt"`, false},
		{"line break", []string{"/data"}, `"/data/x\n"`, false},
		{"DEL", []string{"/data"}, "\"/data/\x7f\"", false},
		{"drive", []string{"/data"}, `"C:/data/file"`, false},

		{"symlink out", []string{"/data"}, `"/data/link/passwd"`, false},
		{"symlink itself", []string{"/data"}, `"/data/link"`, false},
		{"symlink: new file behind a linked directory", []string{"/data"}, `"/data/link/newfile"`, false},
		{"symlink: deep new file behind a linked directory", []string{"/data"}, `"/data/link/a/b/c"`, false},
		{"symlink: dangling, would be created through", []string{"/data"}, `"/data/dangling"`, false},
		{"symlink: below a dangling one", []string{"/data"}, `"/data/dangling/x"`, false},
		{"symlink: loop", []string{"/data"}, `"/data/loop"`, false},
		{"symlink: out of a root that is a link", []string{"/alias"}, `"/alias/evil/passwd"`, false},
		{"symlink: the target is another root", []string{"/data", "/etc"}, `"/data/link/passwd"`, false},
		{"the real name of a root that is a link", []string{"/alias"}, `"/mnt/real/x"`, false},

		{"number", []string{"/data"}, `1`, false},
		{"boolean", []string{"/data"}, `true`, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := judgeWithin(mustScalar(t, row.value), mustRoots(t, row.roots, false), files, false)
			if (got == "") != row.ok {
				t.Errorf("got %q, want ok %v", got, row.ok)
			}
		})
	}
}

func TestWithinOnWindows(t *testing.T) {
	files := fakeFS{
		"C:/data/file":    "C:/data/file",
		"C:/data/link":    "D:/secret",
		"D:/secret/x":     "D:/secret/x",
		"C:/data/unc":     "//server/share",
		"C:/windows/file": "C:/windows/file",
	}
	for _, row := range []struct {
		name  string
		value string
		ok    bool
	}{
		{"inside", `"C:/data/file"`, true},
		{"lower-case drive", `"c:/data/new"`, true},
		{"other drive", `"D:/data/file"`, false},
		{"outside", `"C:/windows/file"`, false},
		{"no drive", `"/data/file"`, false},
		{"drive-relative", `"C:data/file"`, false},
		{"backslashes", `"C:\\data\\file"`, false},
		{"network path", `"//server/share/data"`, false},
		{"device path", `"//?/C:/data/file"`, false},
		{"stream", `"C:/data/file:evil"`, false},
		{"trailing dot", `"C:/data/file."`, false},
		{"trailing space", `"C:/data/file /x"`, false},
		{"device", `"C:/data/nul"`, false},
		{"device with extension", `"C:/data/COM1.txt"`, false},
		{"superscript device", `"C:/data/LPT²"`, false},
		{"not a device", `"C:/data/common/com10/null"`, true},
		{"symlink to another drive", `"C:/data/link/x"`, false},
		{"symlink to a share", `"C:/data/unc/x"`, false},
		{"dot-dot", `"C:/data/../windows/file"`, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := judgeWithin(mustScalar(t, row.value), mustRoots(t, []string{`c:\data`}, true), files, true)
			if (got == "") != row.ok {
				t.Errorf("got %q, want ok %v", got, row.ok)
			}
		})
	}
}

func mustScalar(t testing.TB, value string) scalar {
	t.Helper()
	s, ok := readScalar(nil, []byte(value))
	if !ok {
		t.Fatalf("no scalar: %s", value)
	}
	return s
}

func mustRoots(t testing.TB, texts []string, windows bool) []place {
	t.Helper()
	var roots []place
	for _, text := range texts {
		p, err := parseRoot(text, windows)
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, p)
	}
	return roots
}

func TestWithinRootsMustBePlain(t *testing.T) {
	for _, bad := range []string{"", "data", "./data", "/a/../b", "~/x", "/100%", `/a\b`, "C:/data", "/a\u200b"} {
		if p, err := parseRoot(bad, false); err == nil {
			t.Errorf("%q is accepted as %v", bad, p)
		}
	}
	for _, bad := range []string{"", "/data", "C:data", `\\server\share`, "C:/nul", "C:/a:b"} {
		if p, err := parseRoot(bad, true); err == nil {
			t.Errorf("%q is accepted as %v on Windows", bad, p)
		}
	}
}

// A hub has one policy for wrappers on all systems.
func TestRootsOfAnotherSystemHoldNothing(t *testing.T) {
	foreign := `C:\data`
	if onWindows {
		foreign = "/data"
	}
	for _, within := range []Strings{{foreign}, {foreign, foreign}} {
		e := mustCompile(t, Config{ToolRules: map[string]ToolRule{"t": {Args: map[string]Constraint{"path": {Within: within}}}}})
		for _, path := range []string{"/data/x", "C:/data/x", `C:\\data\\x`, "/", "x"} {
			if d := e.Call([]byte("t"), []byte(`{"path":"`+path+`"}`)); d.Allow {
				t.Errorf("%v: %s passes", within, path)
			}
		}
		if d := e.Call([]byte("t"), nil); d.Allow {
			t.Errorf("%v: nothing passes", within)
		}
	}
}
