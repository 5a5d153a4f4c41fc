package clients

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A file that somebody else made cannot have us read one command while its client reads another.
func TestTwinsInsideACommandAreRefused(t *testing.T) {
	client, ok := Lookup("zed")
	if !ok {
		t.Fatal("no such client")
	}
	path := filepath.Join(t.TempDir(), "settings.json")
	text := `{"context_servers": {"a": {"command": {"path": "mcpx", "args": ["wrap", "x"], "path": "evil"}}}}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := Open(Env{OS: runtime.GOOS}, client, path)
	if f.Err == nil || !strings.Contains(f.Err.Error(), `"path" is there twice`) || len(f.Servers) > 0 {
		t.Errorf("%v, servers %+v", f.Err, f.Servers)
	}
}

func TestSecretsInArguments(t *testing.T) {
	for _, test := range []struct {
		args   string // by |
		hidden string // what of it is not shown
	}{
		{"--token|abc", "abc"},
		{"--api-key=abc", "--api-key=abc"},
		{"mcp-remote|https://x/mcp|--header|Authorization: Bearer abc", "Authorization: Bearer abc"},
		{"--header=X-API-Key:abc", "--header=X-API-Key:abc"},
		{"--header|Cookie: id=1", "Cookie: id=1"},
		{"-e|GITHUB_PAT=ghp_0123456789abcdef", "GITHUB_PAT=ghp_0123456789abcdef"},
		{"sk-0123456789abcdef", "sk-0123456789abcdef"},
		{"mcpx_0123456789abcdef", "mcpx_0123456789abcdef"},
		{"-v|/data/key:/app|task-runner-0123456789|localhost:8080|https://x/mcp|--header|Accept: text/plain", ""},
		{"run|ghcr.io/x/token-server:latest", ""},
	} {
		args := strings.Split(test.args, "|")
		var hidden []string
		for i := range args {
			if SecretArg(args, i) {
				hidden = append(hidden, args[i])
			}
		}
		if got := strings.Join(hidden, "|"); got != test.hidden {
			t.Errorf("%s: hides %q, want %q", test.args, got, test.hidden)
		}
	}
}
