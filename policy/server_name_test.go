package policy

import "testing"

func TestServerName(t *testing.T) {
	for text, want := range map[string]string{
		"files":                "files",
		"My Files (work)":      "my-files-work",
		"@scope/server.files":  "scope-server-files",
		"127.0.0.1:8080/mcp":   "127-0-0-1-8080-mcp",
		"a-.b":                 "a--b",
		"_-a_-":                "a",
		"\xff\xfea\x00b\u202e": "a-b",
		"Größe":                "gr-e",
		"\u212a":               "k", // the Kelvin sign, whose lower case is ASCII
		"…":                    "",
		"-_-":                  "",
		"":                     "",
	} {
		got := ServerName(text)
		if got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
		if got != "" && !IsServerName(got) {
			t.Errorf("%q gives %q, which is no server name", text, got)
		}
	}
}

func TestIsServerName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "0": true, "a-b_c-": true, "9lives": true,
		"": false, "-a": false, "_a": false, "A": false, "a.b": false, "a b": false, "a\n": false, "ä": false, "a\xff": false,
	} {
		if got := IsServerName(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
