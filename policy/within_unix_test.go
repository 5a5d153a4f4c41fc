//go:build unix

package policy

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWithinOnARealFileSystem(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir, outside := filepath.Join(base, "data"), filepath.Join(base, "outside")
	for _, d := range []string{dir, outside} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"link": outside, "up": "..", "dangling": filepath.Join(outside, "new"), "loop": "loop", "self": ".",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	e := mustCompile(t, Config{ToolRules: map[string]ToolRule{"t": {Args: map[string]Constraint{"path": {Within: Strings{dir}}}}}})
	for name, ok := range map[string]bool{
		"file": true, "new": true, "new/deep": true, "": true, "self/file": true, "self/self/new": true,
		"link": false, "link/x": false, "link/new/deep": false, "up": false, "up/outside/x": false,
		"dangling": false, "dangling/x": false, "loop": false, "loop/x": false, "file/x": false, "../outside": false,
	} {
		d := e.Call([]byte("t"), []byte(`{"path":"`+dir+"/"+name+`"}`))
		if d.Allow != ok {
			t.Errorf("%q: allow %v (%s), want %v", name, d.Allow, d.Reason, ok)
		}
	}
}
