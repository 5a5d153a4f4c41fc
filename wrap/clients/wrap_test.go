package clients

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const self = "/opt/mcpx/mcpx"

// parse reads a text as a file of a client.
func parse(t testing.TB, id, path, source string) File {
	t.Helper()
	client, ok := Lookup(id)
	if !ok {
		t.Fatalf("no client %q", id)
	}
	f := File{Client: client, Path: path, Scope: client.files[0].scope, format: client.files[0].format, maps: client.files[0].maps, self: self}
	f.load([]byte(source))
	return f
}

func wrapped(t *testing.T, f *File, w Wrapping) *Change {
	t.Helper()
	if f.Err != nil {
		t.Fatal(f.Err)
	}
	if w.MCPX == "" {
		w.MCPX = self
	}
	c, err := f.Wrap(w)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wrapCases are files before and after wrap, in the ways in which clients and people write them.
var wrapCases = []struct{ name, client, before, after string }{
	{
		"JSON on several lines", "claude-desktop",
		"{\n\t\"mcpServers\": {\n\t\t\"My Files\": {\n\t\t\t\"command\": \"npx\",\n\t\t\t\"args\": [\n\t\t\t\t\"-y\",\n\t\t\t\t\"x\"\n\t\t\t],\n\t\t\t\"env\": {\"A\": \"b\"}\n\t\t}\n\t},\n\t\"other\": [1, 2]\n}\n",
		"{\n\t\"mcpServers\": {\n\t\t\"My Files\": {\n\t\t\t\"command\": \"/opt/mcpx/mcpx\",\n\t\t\t\"args\": [\n\t\t\t\t\"wrap\", \"--name\", \"my-files\", \"--\", \"npx\",\n\t\t\t\t\"-y\",\n\t\t\t\t\"x\"\n\t\t\t],\n\t\t\t\"env\": {\"A\": \"b\"}\n\t\t}\n\t},\n\t\"other\": [1, 2]\n}\n",
	},
	{
		"comments, trailing commas, CRLF and a byte order mark", "vscode",
		"\ufeff{ // top\r\n  \"servers\": {\r\n    /* one */ \"a\": { \"type\": \"stdio\", \"command\": \"npx\", /* c */ \"args\": [ /* d */ \"-y\", \"x\", ], },\r\n  },\r\n}\r\n// end",
		"\ufeff{ // top\r\n  \"servers\": {\r\n    /* one */ \"a\": { \"type\": \"stdio\", \"command\": \"/opt/mcpx/mcpx\", /* c */ \"args\": [ /* d */ \"wrap\", \"--name\", \"a\", \"--\", \"npx\", \"-y\", \"x\", ], },\r\n  },\r\n}\r\n// end",
	},
	{
		"empty and missing arguments", "cursor",
		"{\"mcpServers\": {\"a\": {\"command\": \"./a\", \"args\": []}, \"b\": {\"command\": \"b\"},\n \"c\": {\n  \"env\": {},\n  \"command\": \"c\" // run\n }}}",
		"{\"mcpServers\": {\"a\": {\"command\": \"/opt/mcpx/mcpx\", \"args\": [\"wrap\", \"--name\", \"a\", \"--\", \"./a\"]}, \"b\": {\"command\": \"/opt/mcpx/mcpx\", \"args\": [\"wrap\", \"--name\", \"b\", \"b\"]},\n \"c\": {\n  \"env\": {},\n  \"command\": \"/opt/mcpx/mcpx\",\n  \"args\": [\"wrap\", \"--name\", \"c\", \"c\"] // run\n }}}",
	},
	{
		"all projects of Claude Code", "claude-code",
		`{"numStartups": 7, "mcpServers": {"a": {"command": "a", "args": ["1"]}}, "projects": {"/p": {"mcpServers": {"a": {"type": "stdio", "command": "cmd", "args": ["/c", "npx", "\u0041\ud800"]}}}, "/q": {"mcpServers": {}}}}`,
		`{"numStartups": 7, "mcpServers": {"a": {"command": "/opt/mcpx/mcpx", "args": ["wrap", "--name", "a", "--", "a", "1"]}}, "projects": {"/p": {"mcpServers": {"a": {"type": "stdio", "command": "/opt/mcpx/mcpx", "args": ["wrap", "--name", "a", "--", "cmd", "/c", "npx", "\u0041\ud800"]}}}, "/q": {"mcpServers": {}}}}`,
	},
	{
		"both shapes of Zed, and an extension", "zed",
		`{"context_servers": {"new": {"source": "custom", "command": "n", "args": ["1"]}, "old": {"command": {"path": "o", "args": ["2"], "env": {}}, "settings": {}}, "bare": {"command": {"path": "o"}}, "ext": {"settings": {}}}}`,
		`{"context_servers": {"new": {"source": "custom", "command": "/opt/mcpx/mcpx", "args": ["wrap", "--name", "new", "--", "n", "1"]}, "old": {"command": {"path": "/opt/mcpx/mcpx", "args": ["wrap", "--name", "old", "--", "o", "2"], "env": {}}, "settings": {}}, "bare": {"command": {"path": "/opt/mcpx/mcpx", "args": ["wrap", "--name", "bare", "o"]}}, "ext": {"settings": {}}}}`,
	},
	{
		"both versions of OpenCode", "opencode",
		"{\"mcp\": {\"servers\": {\"v2\": {\"type\": \"local\", \"command\": [\"npx\", \"-y\"]}}, \"v1\": {\"type\": \"local\", \"command\": [\n  \"bun\" // fast\n]}, \"timeout\": {}}}",
		"{\"mcp\": {\"servers\": {\"v2\": {\"type\": \"local\", \"command\": [\"/opt/mcpx/mcpx\", \"wrap\", \"--name\", \"v2\", \"--\", \"npx\", \"-y\"]}}, \"v1\": {\"type\": \"local\", \"command\": [\n  \"/opt/mcpx/mcpx\", \"wrap\", \"--name\", \"v1\", \"--\",\n  \"bun\" // fast\n]}, \"timeout\": {}}}",
	},
	{
		"TOML tables, dotted keys and inline tables", "codex",
		"# mine\nmodel = \"o\"\n\n[mcp_servers.\"a.b\"]\ncommand = 'npx' # run\nargs = [ # list\n  \"-y\", 'C:\\x',\n]\n[mcp_servers.\"a.b\".env]\nK = \"v\"\n\n[mcp_servers.c]\n  command = \"c\" # no args\n\n[mcp_servers]\nd.command = \"d\"\ne = { command = \"e\", args = [] }\nf = { command = \"f\" }\n",
		"# mine\nmodel = \"o\"\n\n[mcp_servers.\"a.b\"]\ncommand = \"/opt/mcpx/mcpx\" # run\nargs = [ # list\n  \"wrap\", \"--name\", \"a-b\", \"--\", 'npx',\n  \"-y\", 'C:\\x',\n]\n[mcp_servers.\"a.b\".env]\nK = \"v\"\n\n[mcp_servers.c]\n  args = [\"wrap\", \"--name\", \"c\", \"c\"]\n  command = \"/opt/mcpx/mcpx\" # no args\n\n[mcp_servers]\nd.args = [\"wrap\", \"--name\", \"d\", \"d\"]\nd.command = \"/opt/mcpx/mcpx\"\ne = { command = \"/opt/mcpx/mcpx\", args = [\"wrap\", \"--name\", \"e\", \"--\", \"e\"] }\nf = { args = [\"wrap\", \"--name\", \"f\", \"f\"], command = \"/opt/mcpx/mcpx\" }\n",
	},
	{
		"a YAML map", "goose",
		"GOOSE_MODEL: x # model\nextensions:\n  developer: {enabled: true, type: builtin}\n  a:\n    type: stdio\n    cmd: npx   # run\n    args:\n    - -y\n    - \"x: y\"\n    envs: {}\n  b: {type: stdio, cmd: uvx, args: [b, 8080]}\n  c:\n    cmd: 'it''s'\n    args: []\n  d:\n    cmd: d\n",
		"GOOSE_MODEL: x # model\nextensions:\n  developer: {enabled: true, type: builtin}\n  a:\n    type: stdio\n    cmd: \"/opt/mcpx/mcpx\"   # run\n    args:\n    - \"wrap\"\n    - \"--name\"\n    - \"a\"\n    - \"--\"\n    - npx\n    - -y\n    - \"x: y\"\n    envs: {}\n  b: {type: stdio, cmd: \"/opt/mcpx/mcpx\", args: [\"wrap\", \"--name\", \"b\", \"--\", uvx, b, 8080]}\n  c:\n    cmd: \"/opt/mcpx/mcpx\"\n    args: [\"wrap\", \"--name\", \"c\", \"--\", 'it''s']\n  d:\n    args: [\"wrap\", \"--name\", \"d\", d]\n    cmd: \"/opt/mcpx/mcpx\"\n",
	},
	{
		"a YAML list", "continue",
		"name: My\r\nmcpServers:\r\n  - command: npx\r\n    name: ünï\r\n  -   name: b\r\n      command: b\r\n      args:\r\n        - x\r\n      env:\r\n        TOKEN: |\r\n          secret\r\n  - uses: block/x\r\n",
		"name: My\r\nmcpServers:\r\n  - args: [\"wrap\", \"--name\", \"n\", npx]\r\n    command: \"/opt/mcpx/mcpx\"\r\n    name: ünï\r\n  -   name: b\r\n      command: \"/opt/mcpx/mcpx\"\r\n      args:\r\n        - \"wrap\"\r\n        - \"--name\"\r\n        - \"b\"\r\n        - \"--\"\r\n        - b\r\n        - x\r\n      env:\r\n        TOKEN: |\r\n          secret\r\n  - uses: block/x\r\n",
	},
}

func TestWrapTouchesNothingButCommandAndArguments(t *testing.T) {
	for _, test := range wrapCases {
		t.Run(test.name, func(t *testing.T) {
			f := parse(t, test.client, "file", test.before)
			c := wrapped(t, &f, Wrapping{})
			if len(c.Skipped) > 0 {
				t.Errorf("skipped: %v", c.Skipped)
			}
			if diff := cmp.Diff(test.after, string(c.After)); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWrappedTwiceIsWrappedOnce(t *testing.T) {
	for _, test := range wrapCases {
		f := parse(t, test.client, "file", test.after)
		if c := wrapped(t, &f, Wrapping{MCPX: "/elsewhere/mcpx"}); !c.Empty() {
			t.Errorf("%s: wrapped again:\n%s", test.name, c.After)
		}
	}
}

func TestUnwrapRestoresEveryByte(t *testing.T) {
	for _, test := range wrapCases {
		f := parse(t, test.client, "file", test.after)
		c, err := f.Unwrap(nil)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.before, string(c.After)); diff != "" || len(c.Skipped) > 0 {
			t.Errorf("%s: skipped %v (-want +got):\n%s", test.name, c.Skipped, diff)
		}
	}
}

func TestWhatWrapsIsRecognized(t *testing.T) {
	for _, test := range []struct {
		name, entry string
		want        State
		inner       string
	}{
		{"by name", `"command": "mcpx", "args": ["wrap", "--", "npx", "x"]`, Wrapped, "npx x"},
		{"on Windows", `"command": "C:\\Tools\\MCPX.EXE", "args": ["wrap", "npx"]`, Wrapped, "npx"},
		{"with flags, no dashes", `"command": "/x/mcpx", "args": ["wrap", "--pty", "--config=c.yaml", "--hub", "none", "npx", "--", "y"]`, Wrapped, "npx -- y"},
		{"with flags before wrap", `"command": "mcpx", "args": ["-c", "wrap.yaml", "wrap", "npx"]`, Wrapped, "npx"},
		{"a release's name", `"command": "/opt/mcpx-linux-amd64", "args": ["wrap", "npx"]`, Wrapped, "npx"},
		{"our own path under another name", `"command": "` + self + `", "args": ["wrap", "npx"]`, Wrapped, "npx"},
		{"by its configuration", `"command": "mcpx", "args": ["wrap", "--name", "files"]`, Wrapped, ""},
		{"a URL", `"command": "mcpx", "args": ["wrap", "--url", "https://x/mcp"]`, Wrapped, ""},
		{"another subcommand", `"command": "mcpx", "args": ["hub"]`, Unwrapped, ""},
		{"an argument that looks like it", `"command": "npx", "args": ["mcpx", "wrap", "--", "x"]`, Unwrapped, ""},
		{"a program with a similar name", `"command": "mcpxy", "args": ["wrap", "x"]`, Unwrapped, ""},
		{"remote", `"url": "https://x/mcp"`, Remote, ""},
		{"neither", `"settings": {}`, Builtin, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := parse(t, "cursor", "file", `{"mcpServers": {"a": {`+test.entry+`}}}`)
			if f.Err != nil || len(f.Servers) != 1 {
				t.Fatalf("%+v", f)
			}
			if s := f.Servers[0]; s.State != test.want || strings.Join(s.Inner, " ") != test.inner {
				t.Errorf("got %s, inner %q", s.State, s.Inner)
			}
		})
	}
}

func TestOnlyAnMCPXThatIsGoneIsReplaced(t *testing.T) {
	f := parse(t, "cursor", "file", `{"mcpServers": {"a": {"command": "/gone/mcpx", "args": ["wrap", "x"]}, "b": {"command": "/there/mcpx", "args": ["wrap", "x"]}}}`)
	c := wrapped(t, &f, Wrapping{Gone: func(command string) bool { return command == "/gone/mcpx" }})
	want := `{"mcpServers": {"a": {"command": "/opt/mcpx/mcpx", "args": ["wrap", "x"]}, "b": {"command": "/there/mcpx", "args": ["wrap", "x"]}}}`
	if string(c.After) != want {
		t.Errorf("got %s", c.After)
	}
}

func TestWrapPassesTheConfigurationOn(t *testing.T) {
	f := parse(t, "cursor", "file", `{"mcpServers": {"a": {"command": "x", "args": ["y"]}}}`)
	c := wrapped(t, &f, Wrapping{MCPX: `C:\mcpx.exe`, Config: `C:\my files\mcpx.yaml`})
	want := `{"mcpServers": {"a": {"command": "C:\\mcpx.exe", "args": ["wrap", "--name", "a", "--config", "C:\\my files\\mcpx.yaml", "--", "x", "y"]}}}`
	if string(c.After) != want {
		t.Errorf("got %s", c.After)
	}
}

// TestWhatCannotBeEditedIsLeftAndNamed: one such server does not keep the others from being wrapped.
func TestWhatCannotBeEditedIsLeftAndNamed(t *testing.T) {
	for _, test := range []struct{ name, client, before, after string }{
		{
			"a folded string", "goose",
			"extensions:\n  a:\n    cmd: >-\n      npx\n    args: [x]\n  b: {cmd: b, args: [x]}\n",
			"extensions:\n  a:\n    cmd: >-\n      npx\n    args: [x]\n  b: {cmd: \"/opt/mcpx/mcpx\", args: [\"wrap\", \"--name\", \"b\", \"--\", b, x]}\n",
		},
		{
			"args that are no list", "cursor",
			`{"mcpServers": {"a": {"command": "x", "args": "y"}, "b": {"command": "b", "args": ["y"]}}}`,
			`{"mcpServers": {"a": {"command": "x", "args": "y"}, "b": {"command": "/opt/mcpx/mcpx", "args": ["wrap", "--name", "b", "--", "b", "y"]}}}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := parse(t, test.client, "file", test.before)
			c := wrapped(t, &f, Wrapping{})
			if string(c.After) != test.after || len(c.Skipped) != 1 || c.Skipped[0].Key != "a" {
				t.Errorf("skipped %v\n%s", c.Skipped, c.After)
			}
		})
	}
}

func TestBrokenFilesSayWhere(t *testing.T) {
	for _, test := range []struct{ name, client, source, want string }{
		{"cut off", "cursor", "{\"mcpServers\": {\n  \"a\": {\"command\": \"x\"", `2:23: not JSON: parsing object after value: unexpected EOF`},
		{"a secret is not shown", "cursor", "{\n \"t\": \"hunter2\nx\"}", "2:7: not JSON: invalid string, number or word"},
		{"twice", "cursor", `{"mcpServers": {}, "mcpServers": {}}`, `1:20: "mcpServers" is there twice`},
		{"a server twice", "cursor", `{"mcpServers": {"a": {}, "a": {}}}`, `1:26: "a" is there twice`},
		{"a member twice", "cursor", `{"mcpServers": {"a": {"command": "x", "command": "y"}}}`, `1:39: "command" is there twice`},
		{"no object", "cursor", `[]`, `1:1: an object is expected`},
		{"no map", "cursor", `{"mcpServers": [1]}`, `1:16: servers are expected here, by name`},
		{"too deep", "cursor", strings.Repeat("[", 100_000), "1:1001: more than 1000 levels deep"},
		{"TOML", "codex", "a = 1\n[mcp_servers.x]\ncommand = npx\n", "3:11: not TOML: expected keyword \"nan\""},
		{"TOML twice", "codex", "[mcp_servers.x]\n[mcp_servers.x]\n", "2:2: not TOML: table x already exists"},
		{"YAML", "goose", "extensions:\n  a: [\n", "2: not YAML: did not find expected node content"},
		{"YAML twice", "goose", "extensions:\n  a: {}\n  a: {}\n", `3:3: "a" is there twice`},
		{"no list", "continue", "mcpServers:\n  a: {}\n", "2:3: a list of servers is expected here"},
		{"two documents", "goose", "extensions: {}\n---\na: 1\n", "2:1: a second document: one is expected"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := parse(t, test.client, "file", test.source)
			if f.Err == nil || f.Err.Error() != test.want {
				t.Errorf("got %v, want %s", f.Err, test.want)
			}
		})
	}
}

func TestEmptyFilesHaveNoServers(t *testing.T) {
	for _, id := range []string{"cursor", "codex", "goose", "continue"} {
		for _, source := range []string{"", "\n", "\ufeff"} {
			if f := parse(t, id, "file", source); f.Err != nil || len(f.Servers) != 0 {
				t.Errorf("%s %q: %+v", id, source, f)
			}
		}
	}
}

// FuzzWrap: whatever a file looks like, wrapping changes only command and arguments, and unwrapping gives the file back.
func FuzzWrap(f *testing.F) {
	ids := []string{"cursor", "codex", "goose", "continue", "zed", "opencode", "claude-code"}
	for _, test := range wrapCases {
		for i, id := range ids {
			f.Add(i, test.before)
			if id == test.client {
				f.Add(i, test.after)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which int, source string) {
		file := parse(t, ids[uint(which)%uint(len(ids))], "file", source)
		if file.Err != nil {
			return
		}
		was := map[string]bool{}
		for i := range file.Servers {
			was[file.Servers[i].id()] = file.Servers[i].State == Wrapped
		}
		c, err := file.Wrap(Wrapping{MCPX: self})
		if err != nil {
			return // it says that it cannot
		}
		_ = c.Diff()
		if c.Empty() {
			if !bytes.Equal(c.After, []byte(source)) {
				t.Fatal("no edit, another file")
			}
			return
		}
		next := parse(t, file.Client.ID, "file", string(c.After))
		again, err := next.Wrap(Wrapping{MCPX: self})
		if err != nil || !again.Empty() {
			t.Fatalf("wrapped again: %v\n%s", err, again.After)
		}
		back, err := next.Unwrap(func(s *Server) bool { return !was[s.id()] })
		if err != nil {
			t.Fatalf("cannot be unwrapped: %v\n%s", err, c.After)
		}
		if !bytes.Equal(back.After, []byte(source)) {
			t.Fatalf("unwrap gives\n%q\nnot\n%q\nwrapped:\n%q", back.After, source, c.After)
		}
	})
}
