package stdio

import (
	"errors"
	"io/fs"
	"os/exec"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	unix := map[string]fileUse{
		"/usr/bin/node":          program,
		"/usr/bin/notes":         noProgram,
		"/opt/tools/node":        program,
		"/opt/tools/notes":       program,
		"/srv/bin/serve":         program,
		"/srv/data":              noProgram,
		"rel/node":               program,
		"/home/u/.local/bin/uvx": program,
		"/home/u/.nvm/versions/node/v9.1.0/bin/npx":  program,
		"/home/u/.nvm/versions/node/v20.2.0/bin/npx": program,
		"/usr/local/bin/deno":                        program,
		"/home/u/.deno/bin/deno":                     program,
	}
	windows := map[string]fileUse{
		`C:\node\npx`:          program, // the shell script beside npx.cmd, which Windows cannot run
		`C:\node\npx.cmd`:      program,
		`C:\node\node.exe`:     program,
		`C:\node\v1.exe`:       program,
		`C:\tools\tool.v1.exe`: program,
		`D:\srv\.\serve.bat`:   program,
		`npx.cmd`:              program,
	}
	tests := []struct {
		name, ask   string
		windows     bool
		path, dir   string
		want, place string
		err         error
	}{
		{name: "first folder of PATH wins", ask: "node", path: "/opt/tools:/usr/bin", want: "/opt/tools/node"},
		{name: "a file that is no program is passed over", ask: "notes", path: "/usr/bin:/opt/tools", want: "/opt/tools/notes"},
		{name: "only a file that is no program", ask: "notes", path: "/usr/bin", err: fs.ErrPermission},
		{name: "relative and empty entries are passed over", ask: "node", path: ":rel:.:/usr/bin", want: "/usr/bin/node"},
		{name: "not found", ask: "nowhere", path: "/usr/bin", err: exec.ErrNotFound},
		{name: "absolute", ask: "/srv/bin/serve", want: "/srv/bin/serve"},
		{name: "absolute and missing", ask: "/srv/bin/nothing", err: exec.ErrNotFound},
		{name: "a folder", ask: "/srv/data", err: fs.ErrPermission},
		{name: "relative to the child's folder", ask: "bin/serve", dir: "/srv", want: "/srv/bin/serve"},
		{name: "minimal PATH, user's folder", ask: "uvx", path: "/usr/bin:/bin", want: "/home/u/.local/bin/uvx", place: "/home/u/.local/bin"},
		{name: "minimal PATH, newest node", ask: "npx", path: "/usr/bin:/bin", want: "/home/u/.nvm/versions/node/v20.2.0/bin/npx", place: "/home/u/.nvm/versions/node/v20.2.0/bin"},
		{name: "system's folder before the user's", ask: "deno", path: "/usr/bin", want: "/usr/local/bin/deno", place: "/usr/local/bin"},
		{name: "PATH before the usual places", ask: "deno", path: "/home/u/.deno/bin", want: "/home/u/.deno/bin/deno"},

		{name: "npx.cmd, not the script", windows: true, ask: "npx", path: `C:\node`, want: `C:\node\npx.cmd`},
		{name: "with extension", windows: true, ask: "npx.cmd", path: `C:\node\`, want: `C:\node\npx.cmd`},
		{name: "the order of PATHEXT", windows: true, ask: "node", path: `C:\nowhere;C:\node`, want: `C:\node\node.exe`},
		{name: "a dot that is no extension", windows: true, ask: "tool.v1", path: `C:\tools`, want: `C:\tools\tool.v1.exe`},
		{name: "not from the current folder", windows: true, ask: "npx", path: `.;;tools`, err: exec.ErrNotFound},
		{name: "relative to the child's folder", windows: true, ask: `.\serve`, dir: `D:\srv`, want: `D:\srv\.\serve.bat`},
		{name: "absolute", windows: true, ask: `C:\node\node`, want: `C:\node\node.exe`},
	}
	for _, tt := range tests {
		system := "unix/"
		files := unix
		if tt.windows {
			system, files = "windows/", windows
		}
		t.Run(system+tt.name, func(t *testing.T) {
			s := search{
				windows: tt.windows, path: tt.path, dir: tt.dir, home: "/home/u",
				probe: func(p string) fileUse { return files[p] },
				list: func(dir string) []string {
					if dir != "/home/u/.nvm/versions/node" {
						return nil
					}
					return []string{"v9.1.0", "v20.2.0", "system", "v18.20.4", "v20.x"}
				},
			}
			got, place, err := s.find(tt.ask)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if got != tt.want || place != tt.place {
				t.Errorf("got %q in place %q, want %q in %q", got, place, tt.want, tt.place)
			}
			if err != nil && errors.Is(err, exec.ErrNotFound) && tt.path != "" && !strings.Contains(err.Error(), "absolute path") {
				t.Errorf("error %q does not say what to do", err)
			}
		})
	}
}

func TestWithEnvReplacesEveryTwin(t *testing.T) {
	got := strings.Join(withEnv([]string{"A=1", "PATH=/a", "B=2", "PATH=/b"}, "PATH", "/c"), " ")
	if want := "A=1 B=2 PATH=/c"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
