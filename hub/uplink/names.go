package uplink

import (
	"fmt"
	"path"
	"slices"
)

const (
	maxChain  = 128
	maxServer = 128
	maxScope  = 256
)

// ValidChain reports whether a text can be a HeaderChain.
func ValidChain(name string) bool {
	return name != "" && len(name) <= maxChain && !slices.ContainsFunc([]byte(name), func(c byte) bool {
		return !alphanumeric(c) && c != '.' && c != '_' && c != '-'
	})
}

// ValidServer reports whether a text can name a server: 1 to 128 of [A-Za-z0-9._@-], the first a letter or digit. It covers the
// names of entries and those that wrappers without a configuration give, name@hash.
func ValidServer(name string) bool {
	return name != "" && len(name) <= maxServer && alphanumeric(name[0]) && !slices.ContainsFunc([]byte(name), func(c byte) bool {
		return !alphanumeric(c) && c != '.' && c != '_' && c != '-' && c != '@'
	})
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// ValidScope reports what is wrong with a name or glob of servers that a token is limited to.
func ValidScope(pattern string) error {
	if !printable(pattern, maxScope) {
		return fmt.Errorf("%q is not a name or pattern of servers", pattern)
	}
	if _, err := path.Match(pattern, "x"); err != nil {
		return fmt.Errorf("%q is not a name or pattern of servers: * stands for anything, ? for one character, [a-z] for one of a set", pattern)
	}
	return nil
}

// Covers reports whether a token that is limited to the scopes may speak about a server. No scopes: about all. A scope that is
// no pattern covers nothing.
func Covers(scopes []string, server string) bool {
	if len(scopes) == 0 {
		return true
	}
	return slices.ContainsFunc(scopes, func(scope string) bool {
		ok, err := path.Match(scope, server)
		return ok && err == nil
	})
}
