package clients

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTableNamesPlacesOnEverySystem writes the whole table down, as it comes out for three machines.
func TestTableNamesPlacesOnEverySystem(t *testing.T) {
	for system, home := range map[string]string{"linux": "/home/u", "darwin": "/Users/u", "windows": "C:/Users/u"} {
		var out strings.Builder
		env := Env{OS: system, Home: home, Project: "/p", Lookup: func(string) string { return "" }}
		for _, c := range All() {
			for _, p := range c.files {
				if p.os != "" && !slices.Contains(strings.Fields(p.os), system) {
					continue
				}
				if path := env.expand(p.path); path != "" {
					out.WriteString(c.ID + " " + string(p.scope) + " " + filepath.ToSlash(path) + "\n")
				}
			}
		}
		golden := "testdata/places-" + system + ".txt"
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", golden, diff)
		}
	}
}

func TestVariablesMovePlaces(t *testing.T) {
	for _, test := range []struct{ name, system, place, variable, value, want string }{
		{"a folder of a client", "linux", "{CODEX_HOME:~/.codex}/config.toml", "CODEX_HOME", "/c/", "/c/config.toml"},
		{"Claude Code", "linux", "{CLAUDE_CONFIG_DIR:~}/.claude.json", "CLAUDE_CONFIG_DIR", "/c", "/c/.claude.json"},
		{"a whole path", "linux", "{OPENCODE_CONFIG:}", "OPENCODE_CONFIG", "/c/o.json", "/c/o.json"},
		{"none", "linux", "{OPENCODE_CONFIG:}", "", "", ""},
		{"XDG", "linux", "{app}/Code/User/mcp.json", "XDG_CONFIG_HOME", "/x", "/x/Code/User/mcp.json"},
		{"a relative XDG counts for nothing", "linux", "{config}/a", "XDG_CONFIG_HOME", "x", "/home/u/.config/a"},
		{"programs with windows on macOS", "darwin", "{app}/Code", "XDG_CONFIG_HOME", "/x", "/home/u/Library/Application Support/Code"},
		{"Windows", "windows", "{app}/Code", "APPDATA", "D:/roam", "D:/roam/Code"},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := Env{OS: test.system, Home: "/home/u", Lookup: func(name string) string {
				if name == test.variable {
					return test.value
				}
				return ""
			}}
			if got := filepath.ToSlash(env.expand(test.place)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestTableIsSound(t *testing.T) {
	seen := ""
	for _, c := range All() {
		if c.ID <= seen {
			t.Errorf("%s is not behind %s", c.ID, seen)
		}
		seen = c.ID
		if c.Name == "" || c.Restart == "" || len(c.files) == 0 {
			t.Errorf("%s lacks something", c.ID)
		}
		for _, p := range c.files {
			if p.scope != User && p.scope != Project || p.format == "" || len(p.maps) == 0 || p.path == "" {
				t.Errorf("%s: %+v", c.ID, p)
			}
			if isUser := strings.HasPrefix(p.path, "~") || strings.HasPrefix(p.path, "{"); isUser != (p.scope == User) {
				t.Errorf("%s: %s is not for a %s", c.ID, p.path, p.scope)
			}
		}
	}
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindReadsWhatIsThere(t *testing.T) {
	home, project := t.TempDir(), t.TempDir()
	write(t, home+"/.cursor/mcp.json", `{"mcpServers": {"a": {"command": "x", "env": {"TOKEN": "hunter2"}, "disabled": true}, "b": {"url": "https://x"}}}`)
	write(t, home+"/.config/Code/User/profiles/1f/mcp.json", `{"servers": {"c": {"command": "/m/mcpx", "args": ["wrap", "--name", "n", "--", "x"]}}}`)
	write(t, home+"/.continue/mcpServers/one.yaml", "mcpServers:\n- name: d\n  command: x\n")
	write(t, home+"/.continue/mcpServers/one.txt", "mcpServers: [")
	write(t, home+"/.codex/config.toml", "[")
	write(t, project+"/.mcp.json", `{"mcpServers": {"e": {"command": "x"}}}`)
	env := Env{OS: "linux", Home: home, Project: project, Lookup: func(string) string { return "" }}
	var got []string
	for _, f := range Find(env) {
		line := f.Client.ID + " " + string(f.Scope) + " " + strings.NewReplacer(home, "~", project, "p").Replace(filepath.ToSlash(f.Path))
		if f.Err != nil {
			line += " broken"
		}
		for _, s := range f.Servers {
			line += " " + s.Key + ":" + string(s.State)
			if s.Disabled {
				line += ":disabled"
			}
			line += strings.Join(append(s.Env, s.Name), "")
		}
		got = append(got, strings.TrimSpace(line))
	}
	want := []string{
		"claude-code project p/.mcp.json e:unwrapped",
		"codex user ~/.codex/config.toml broken",
		"continue user ~/.continue/mcpServers/one.yaml d:unwrapped",
		"cursor user ~/.cursor/mcp.json a:unwrapped:disabledTOKEN b:remote",
		"vscode user ~/.config/Code/User/profiles/1f/mcp.json c:wrappedn",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
