package uplink

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for _, row := range []struct {
		name          string
		chain, server bool
	}{
		{"files", true, true},
		{"fs@0a1b2c3d", false, true},
		{"A.b_c-9", true, true},
		{"_x", true, false},
		{"..", true, false},
		{"-x", true, false},
		{"@x", false, false},
		{"", false, false},
		{"a b", false, false},
		{"a/b", false, false},
		{"a%2fb", false, false},
		{"größe", false, false},
		{"a\n", false, false},
		{strings.Repeat("x", 128), true, true},
		{strings.Repeat("x", 129), false, false},
	} {
		if got := ValidChain(row.name); got != row.chain {
			t.Errorf("chain %q: %v", row.name, got)
		}
		if got := ValidServer(row.name); got != row.server {
			t.Errorf("server %q: %v", row.name, got)
		}
	}
}

func TestScopes(t *testing.T) {
	for _, row := range []struct {
		name   string
		scopes []string
		server string
		want   bool
	}{
		{"no scopes", nil, "x", true},
		{"name", []string{"files"}, "files", true},
		{"another name", []string{"files"}, "files2", false},
		{"the second", []string{"files", "db-*"}, "db-eu", true},
		{"one character", []string{"db-?"}, "db-eu", false},
		{"set", []string{"db-[a-c]"}, "db-b", true},
		{"case counts", []string{"files"}, "Files", false},
		{"a scope that is no pattern", []string{"["}, "[", false},
		{"an empty scope", []string{""}, "x", false},
		{"a name and its hash", []string{"fs@*"}, "fs@1a", true},
	} {
		if got := Covers(row.scopes, row.server); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
	for pattern, ok := range map[string]bool{"files": true, "db-*": true, "[a-c]?": true, "": false, "[": false, "a[": false, "x\n": false, "a\\": false} {
		if err := ValidScope(pattern); (err == nil) != ok {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}
