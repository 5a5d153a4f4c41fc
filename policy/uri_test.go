package policy

import "testing"

func TestResource(t *testing.T) {
	c := Config{
		AllowResources: []string{"file:///data/**", "demo://notes/*", "https://h.example/a/?", "memo:*", "file:///C:/My%20Files/**", "db://t?q=*"},
		DenyResources:  []string{"file:///data/secret/**", "file:///data/a+b", "file:///data/key"},
	}
	for _, row := range []struct {
		name, uri, want string
	}{
		{"double star crosses slashes", "file:///data/a/b", "+policy.allow_resources[0]"},
		{"star does not", "demo://notes/a/b", "-policy.allow_resources"},
		{"star", "demo://notes/a", "+policy.allow_resources[1]"},
		{"question mark", "https://h.example/a/x", "+policy.allow_resources[2]"},
		{"question mark is one character", "https://h.example/a/xy", "-policy.allow_resources"},
		{"question mark is no slash", "https://h.example/a//", "-name"},
		{"no authority", "memo:x", "+policy.allow_resources[3]"},
		{"a pattern written encoded", "file:///C:/My%20Files/x", "+policy.allow_resources[4]"},
		{"lower-case drive", "file:///c:/My%20Files/x", "+policy.allow_resources[4]"},
		{"encoded colon of a drive", "file:///C%3A/My%20Files/x", "+policy.allow_resources[4]"},
		{"query", "db://t?q=%C3%A9", "+policy.allow_resources[5]"},
		{"a final slash", "file:///data/", "+policy.allow_resources[0]"},
		{"not listed", "file:///etc/passwd", "-policy.allow_resources"},
		{"deny wins", "file:///data/secret/x", "-policy.deny_resources[0]"},
		{"an encoded spelling of a denied name", "file:///data/a%2Bb", "-policy.deny_resources[1]"},

		{"dot-dot", "file:///data/../etc/passwd", "-name"},
		{"dot-dot at the end", "file:///data/..", "-name"},
		{"dot", "file:///data/./x", "-name"},
		{"encoded dots", "file:///data/%2E%2E/etc", "-name"},
		{"encoded dots in lower case", "file:///data/%2e%2e/etc", "-name"},
		{"half encoded dots", "file:///data/.%2E/etc", "-name"},
		{"encoded slash", "file:///data/x%2Fy", "-name"},
		{"encoded slash in lower case", "file:///data/x%2fy", "-name"},
		{"encoded backslash", "file:///data/..%5C..", "-name"},
		{"encoded twice", "file:///data/%252E%252E/etc", "-name"},
		{"encoded letter", "file:///data/%6Bey", "-name"},
		{"lower-case escape", "file:///data/%c3%a9", "-name"},
		{"overlong UTF-8", "file:///data/%C0%AF", "-name"},
		{"encoded NUL", "file:///data/x%00", "-name"},
		{"encoded zero-width space", "file:///data/%E2%80%8Bkey", "-name"},
		{"short escape", "file:///data/%4", "-name"},
		{"backslash", `file:///data\x`, "-name"},
		{"control", "file:///data/x\n", "-name"},
		{"space", "file:///data/a b", "-name"},
		{"raw Unicode", "file:///data/é", "-name"},
		{"capital scheme", "FILE:///data/x", "-name"},
		{"capital host", "demo://Notes/x", "-name"},
		{"four slashes", "file:////etc/passwd", "-name"},
		{"doubled slash", "file:///data//secret/x", "-name"},
		{"two slashes", "file://data/x", "-name"},
		{"one slash", "file:/data/x", "-name"},
		{"no slash", "file:data/x", "-name"},
		{"local host", "file://localhost/data/key", "-name"},
		{"fragment", "file:///data/key#x", "-name"},
		{"empty fragment", "file:///data/key#", "-name"},
		{"query on a file", "file:///data/key?x", "-name"},
		{"empty query on a file", "file:///data/key?", "-name"},
		{"user information", "https://u@h.example/a/x", "-name"},
		{"default port", "https://h.example:443/a/x", "-name"},
		{"empty port", "https://h.example:/a/x", "-name"},
		{"trailing dot of the host", "https://h.example./a/x", "-name"},
		{"web without slashes", "https:h.example/a/x", "-name"},
		{"template", "file:///data/{x}", "-name"},
		{"no scheme", "/data/x", "-name"},
		{"empty", "", "-name"},
	} {
		t.Run(row.name, func(t *testing.T) {
			wantDecision(t, mustCompile(t, c).Resource([]byte(row.uri)), row.want)
		})
	}
}

func TestResourcesWithoutRulesPassAsTheyAre(t *testing.T) {
	e := mustCompile(t, Config{DenyTools: []string{"x"}})
	for _, uri := range []string{"FILE:///a/../b", "anything at all", ""} {
		wantDecision(t, e.Resource([]byte(uri)), "+default")
		wantDecision(t, e.Template([]byte(uri)), "+default")
	}
}

func TestTemplate(t *testing.T) {
	e := mustCompile(t, Config{AllowResources: []string{"file:///data/**"}, DenyResources: []string{"file:///data/secret/**"}})
	for template, want := range map[string]string{
		"file:///data/{path}":        "+policy.allow_resources[0]",
		"file:///data/secret/{path}": "-policy.deny_resources[0]",
		"file:///{path}":             "-policy.allow_resources",
		"file:///data/../{x}":        "-name",
		`file:///data\{x}`:           "-name",
		"file:///data/x":             "+policy.allow_resources[0]",
		"file:///data/%2e%2e/etc":    "-name",
		"file:///data/%2E%2E/{x}":    "-name",
		"file:///data/%2F{x}":        "-name",
		"file:///data/{x}/..":        "-name",
		"file:///data/a%20b/{x}":     "+policy.allow_resources[0]",
		"file:///data/\u202e{x}":     "-name",
		"":                           "-name",
	} {
		t.Run(template, func(t *testing.T) { wantDecision(t, e.Template([]byte(template)), want) })
	}
}

func TestPrompt(t *testing.T) {
	e := mustCompile(t, Config{AllowPrompts: []string{"review", "p_*"}, DenyPrompts: []string{"p_x"}, DenyTools: []string{"review"}})
	for name, want := range map[string]string{
		"review": "+policy.allow_prompts[0]", "p_a": "+policy.allow_prompts[1]", "p_x": "-policy.deny_prompts[0]",
		"P_X": "-policy.deny_prompts[0]", "other": "-policy.allow_prompts", "a\u200b": "-name",
	} {
		t.Run(name, func(t *testing.T) { wantDecision(t, e.Prompt([]byte(name)), want) })
	}
}
