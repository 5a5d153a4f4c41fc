package main

import (
	"testing"
	"time"
)

func TestExpand(t *testing.T) {
	env := map[string]string{"A": "one", "EMPTY": "", "TRICK": "${A}$$"}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for _, test := range []struct{ in, want, err string }{
		{in: "plain", want: "plain"},
		{in: "${A}", want: "one"},
		{in: "<${A}/${env:A}>", want: "<one/one>"},
		{in: "${NO:-fallback}", want: "fallback"},
		{in: "${EMPTY:-fallback}", want: "fallback"},
		{in: "${NO:-}", want: ""},
		{in: "${EMPTY}", want: ""},
		{in: "^SELECT .*$", want: "^SELECT .*$"},
		{in: "a$b", want: "a$b"},
		{in: "$", want: "$"},
		{in: "$$", want: "$"},
		{in: "$${A}", want: "${A}"},
		{in: "${TRICK}", want: "${A}$$"},
		{in: "${NO}", err: "environment variable NO is not set: set it, or write ${NO:-default}"},
		{in: "${}", err: "${} names no environment variable: write ${NAME}, ${NAME:-default} or ${env:NAME}"},
		{in: "${A", err: `"${A" has no closing brace: write ${NAME}, or $${ for the text itself`},
	} {
		got, _, err := expand(test.in, lookup)
		if err != nil && err.Error() != test.err || err == nil && test.err != "" || got != test.want {
			t.Errorf("expand(%q) = %q, %v; want %q, %q", test.in, got, err, test.want, test.err)
		}
	}
}

func TestUnits(t *testing.T) {
	for in, want := range map[string]int64{
		"1": 1, "64MB": 64e6, "4MiB": 4 << 20, "1.5 KB": 1500, "2g": 2e9, "1kib": 1024,
		"": 0, "0": 0, "0.1": 0, "-1": 0, "MB": 0, "1 parsec": 0, "1e9": 0, "99999999999GB": 0, "1MBB": 0,
	} {
		if got, err := parseSize(in); got != want || (err != nil) != (want == 0) {
			t.Errorf("parseSize(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for in, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "10m": 10 * time.Minute, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour,
		"1.5h": 90 * time.Minute, "2w": 336 * time.Hour, "5ms": 5 * time.Millisecond,
		"": 0, "30": 0, "0s": 0, "-1s": 0, "s": 0, "1s2": 0, "1 s": 0, "99999999w": 0, "forever": 0,
	} {
		if got, err := parseDuration(in); got != want || (err != nil) != (want == 0) {
			t.Errorf("parseDuration(%q) = %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"allow_tools", "deny_tools", "tool_rules", "on_deny", "url"}
	for got, want := range map[string]string{
		"deny_tool": "deny_tools", "denyTools": "deny_tools", "alow_tools": "allow_tools", "toolrules": "tool_rules",
		"colour": "", "x": "", "": "",
	} {
		if guess := nearest(got, words); guess != want {
			t.Errorf("nearest(%q) = %q, want %q", got, guess, want)
		}
	}
}
