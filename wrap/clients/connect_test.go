package clients

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var connectCases = []struct{ name, client, before, after string }{
	{
		"an empty file", "cursor", "",
		"{\n  \"mcpServers\": {\n    \"a\": {\n      \"url\": \"http://h/mcp/a\"\n    },\n    \"b\": {\n      \"url\": \"http://h/mcp/b\"\n    }\n  }\n}\n",
	},
	{
		"after others, with a comment", "vscode",
		"{\n\t\"servers\": {\n\t\t\"x\": {} // mine\n\t},\n\t\"inputs\": []\n}",
		"{\n\t\"servers\": {\n\t\t\"x\": {},\n\t\t\"a\": {\n\t\t\t\"type\": \"http\",\n\t\t\t\"url\": \"http://h/mcp/a\"\n\t\t},\n\t\t\"b\": {\n\t\t\t\"type\": \"http\",\n\t\t\t\"url\": \"http://h/mcp/b\"\n\t\t} // mine\n\t},\n\t\"inputs\": []\n}",
	},
	{
		"a trailing comma and CRLF", "zed",
		"{\r\n  \"context_servers\": {\r\n    \"x\": {},\r\n  },\r\n}\r\n",
		"{\r\n  \"context_servers\": {\r\n    \"x\": {},\r\n    \"a\": {\r\n      \"url\": \"http://h/mcp/a\"\r\n    },\r\n    \"b\": {\r\n      \"url\": \"http://h/mcp/b\"\r\n    },\r\n  },\r\n}\r\n",
	},
	{
		"no map yet", "gemini-cli",
		"{\n  \"theme\": \"x\"\n}\n",
		"{\n  \"theme\": \"x\",\n  \"mcpServers\": {\n    \"a\": {\n      \"httpUrl\": \"http://h/mcp/a\"\n    },\n    \"b\": {\n      \"httpUrl\": \"http://h/mcp/b\"\n    }\n  }\n}\n",
	},
	{
		"one line", "windsurf",
		`{"mcpServers":{"x":{}}}`,
		`{"mcpServers":{"x":{}, "a": {"serverUrl": "http://h/mcp/a"}, "b": {"serverUrl": "http://h/mcp/b"}}}`,
	},
	{
		"a client without URLs", "claude-desktop",
		"{}",
		"{\n  \"mcpServers\": {\n    \"a\": {\n      \"command\": \"/opt/mcpx/mcpx\",\n      \"args\": [\"wrap\", \"--name\", \"a\", \"--url\", \"http://h/mcp/a\"]\n    },\n    \"b\": {\n      \"command\": \"/opt/mcpx/mcpx\",\n      \"args\": [\"wrap\", \"--name\", \"b\", \"--url\", \"http://h/mcp/b\"]\n    }\n  }\n}",
	},
	{
		"OpenCode, version 1", "opencode",
		"{\n  \"mcp\": {\n    \"x\": {\"type\": \"local\", \"command\": [\"x\"]}\n  }\n}\n",
		"{\n  \"mcp\": {\n    \"x\": {\"type\": \"local\", \"command\": [\"x\"]},\n    \"a\": {\n      \"type\": \"remote\",\n      \"url\": \"http://h/mcp/a\"\n    },\n    \"b\": {\n      \"type\": \"remote\",\n      \"url\": \"http://h/mcp/b\"\n    }\n  }\n}\n",
	},
	{
		"TOML", "codex",
		"model = \"o\"\n[mcp_servers.x]\ncommand = \"x\"\n",
		"model = \"o\"\n[mcp_servers.x]\ncommand = \"x\"\n\n[mcp_servers.a]\nurl = \"http://h/mcp/a\"\n\n[mcp_servers.b]\nurl = \"http://h/mcp/b\"\n",
	},
	{
		"a YAML map", "goose",
		"extensions:\n    x:\n        type: builtin\nGOOSE: 1\n",
		"extensions:\n    a:\n      enabled: true\n      type: \"streamable_http\"\n      name: \"a\"\n      description: \"through mcpx\"\n      uri: \"http://h/mcp/a\"\n      timeout: 300\n    b:\n      enabled: true\n      type: \"streamable_http\"\n      name: \"b\"\n      description: \"through mcpx\"\n      uri: \"http://h/mcp/b\"\n      timeout: 300\n    x:\n        type: builtin\nGOOSE: 1\n",
	},
	{
		"no YAML list yet", "continue",
		"name: x\n",
		"name: x\nmcpServers:\n  - name: \"a\"\n    type: \"streamable-http\"\n    url: \"http://h/mcp/a\"\n  - name: \"b\"\n    type: \"streamable-http\"\n    url: \"http://h/mcp/b\"\n",
	},
	{
		"a YAML list", "continue",
		"mcpServers:\n- name: x\n  command: x\nname: x\n",
		"mcpServers:\n- name: \"a\"\n  type: \"streamable-http\"\n  url: \"http://h/mcp/a\"\n- name: \"b\"\n  type: \"streamable-http\"\n  url: \"http://h/mcp/b\"\n- name: x\n  command: x\nname: x\n",
	},
}

var hubServers = []HubServer{{"a", "http://h/mcp/a"}, {"b", "http://h/mcp/b"}}

func TestConnectAddsServersInTheClientsWay(t *testing.T) {
	for _, test := range connectCases {
		t.Run(test.name, func(t *testing.T) {
			f := parse(t, test.client, "file", test.before)
			c, err := f.Connect(hubServers, self)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.after, string(c.After)); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			next := parse(t, test.client, "file", test.after)
			if c, err := next.Connect(hubServers, self); err != nil || !c.Empty() {
				t.Errorf("connected again: %v\n%s", err, c.After)
			}
		})
	}
}

func TestDisconnectRemovesWhatConnectAdded(t *testing.T) {
	for _, test := range connectCases {
		t.Run(test.name, func(t *testing.T) {
			want := test.before
			if want == "" {
				want = "{}\n"
			}
			f := parse(t, test.client, "file", test.after)
			c, err := f.Disconnect(func(s *Server) bool { return strings.HasPrefix(s.URL, "http://h/mcp/") })
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(c.After)); diff != "" || len(c.Done) != 2 {
				t.Errorf("done %d (-want +got):\n%s", len(c.Done), diff)
			}
		})
	}
}

func TestDisconnectLeavesTheOthers(t *testing.T) {
	for _, test := range connectCases {
		f := parse(t, test.client, "file", test.after)
		for _, gone := range []string{"a", "b"} {
			c, err := f.Disconnect(func(s *Server) bool { return s.URL == "http://h/mcp/"+gone })
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
				continue
			}
			after := parse(t, test.client, "file", string(c.After))
			if after.Err != nil || len(after.Servers) != len(f.Servers)-1 {
				t.Errorf("%s without %s:\n%s", test.name, gone, c.After)
			}
		}
	}
}

func TestConnectReplacesNothing(t *testing.T) {
	f := parse(t, "cursor", "file", `{"mcpServers": {"a": {"command": "x"}}}`)
	c, err := f.Connect(hubServers[:1], self)
	if err != nil || !c.Empty() || len(c.Skipped) != 1 {
		t.Errorf("%v, skipped %v\n%s", err, c.Skipped, c.After)
	}
}

// FuzzConnect: connecting makes a file that reads as meant, and disconnecting leaves the servers that were there.
func FuzzConnect(f *testing.F) {
	ids := []string{"cursor", "codex", "goose", "continue", "opencode", "claude-desktop"}
	for _, test := range connectCases {
		for i := range ids {
			f.Add(i, test.before)
		}
	}
	f.Fuzz(func(t *testing.T, which int, source string) {
		file := parse(t, ids[uint(which)%uint(len(ids))], "file", source)
		if file.Err != nil {
			return
		}
		c, err := file.Connect(hubServers, self)
		if err != nil || c.Empty() {
			return
		}
		_ = c.Diff()
		next := parse(t, file.Client.ID, "file", string(c.After))
		if len(next.Servers) != len(file.Servers)+len(c.Done) {
			t.Fatalf("got %+v\n%s", next.Servers, c.After)
		}
		back, err := next.Disconnect(func(s *Server) bool { return strings.HasPrefix(s.URL, "http://h/mcp/") })
		if err != nil {
			return
		}
		last := parse(t, file.Client.ID, "file", string(back.After))
		for _, s := range file.Servers {
			found := strings.HasPrefix(s.URL, "http://h/mcp/")
			for i := range last.Servers {
				found = found || last.Servers[i].id() == s.id() && equal(&last.Servers[i], &s)
			}
			if !found && !strings.Contains(s.Key, "#") { // an unnamed item is called by its number
				t.Fatalf("%q is gone:\n%s", s.Key, back.After)
			}
		}
	})
}
