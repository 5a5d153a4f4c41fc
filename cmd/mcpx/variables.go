package main

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

var variableName = lazyRegexp(`^[A-Za-z_][A-Za-z0-9_]*$`)

// lazyRegexp compiles an expression when it is first used: a wrapper starts with every client, and uses few of ours.
func lazyRegexp(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// expand resolves ${VAR}, ${VAR:-default} and ${env:VAR} in one value; $$ is a dollar sign, and a
// dollar sign before anything else stands for itself, so that regular expressions need no care.
// As in a shell, the default also serves a variable that is set but empty. A value that comes in
// this way is not looked at again.
func expand(s string, lookup func(string) (string, bool)) (expanded string, changed bool, err error) {
	if !strings.Contains(s, "$") {
		return s, false, nil
	}
	var b strings.Builder
	for {
		dollar := strings.IndexByte(s, '$')
		if dollar < 0 || dollar == len(s)-1 {
			b.WriteString(s)
			return b.String(), changed, nil
		}
		b.WriteString(s[:dollar])
		switch s[dollar+1] {
		case '$':
			b.WriteByte('$')
			s = s[dollar+2:]
		case '{':
			body, rest, closed := strings.Cut(s[dollar+2:], "}")
			if !closed {
				return "", false, fmt.Errorf("%q has no closing brace: write ${NAME}, or $${ for the text itself", s[dollar:])
			}
			value, err := variable(body, lookup)
			if err != nil {
				return "", false, err
			}
			b.WriteString(value)
			s, changed = rest, true
		default:
			b.WriteByte('$')
			s = s[dollar+1:]
		}
	}
}

func variable(body string, lookup func(string) (string, bool)) (string, error) {
	name, fallback, hasFallback := strings.Cut(strings.TrimPrefix(body, "env:"), ":-")
	if !variableName().MatchString(name) {
		return "", fmt.Errorf("${%s} names no environment variable: write ${NAME}, ${NAME:-default} or ${env:NAME}", body)
	}
	value, set := lookup(name)
	switch {
	case hasFallback && value == "":
		return fallback, nil
	case set:
		return value, nil
	default:
		return "", fmt.Errorf("environment variable %s is not set: set it, or write ${%s:-default}", name, name)
	}
}
