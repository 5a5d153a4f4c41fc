package clients

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/rohitgs28/mcpx/policy"
)

// wrapWords is what the arguments of mcpx wrap say.
type wrapWords struct {
	inner     int  // index among the arguments of the command that is wrapped; len(args): none
	dash      bool // "--" stands before it
	name, url string
}

// judge finds out whether a server's command is mcpx.
func (s *Server) judge(self string) {
	if !isMCPX(s.Command, self) {
		return
	}
	inner, ok := readWrap(s.Args)
	if !ok {
		return
	}
	s.State, s.inner, s.Name, s.URL = Wrapped, inner, inner.name, inner.url
	s.Inner = slices.Clone(s.Args[inner.inner:])
}

// isMCPX reports whether a command is mcpx: by its name, which may have a version or platform behind it, or by its path.
func isMCPX(command, self string) bool {
	if command == self && self != "" {
		return true
	}
	name := strings.ToLower(path.Base(strings.ReplaceAll(command, `\`, "/")))
	name = strings.TrimSuffix(name, ".exe")
	return name == "mcpx" || strings.HasPrefix(name, "mcpx-") || strings.HasPrefix(name, "mcpx_")
}

// withValue are the flags of mcpx wrap that take the next word, if they do not hold a value themselves.
var withValue = []string{"--name", "--config", "-c", "--hub", "--url", "--header", "--transport", "--log-level"}

// readWrap reads arguments as mcpx does: flags end at -- or at the first word behind wrap that is none.
func readWrap(args []string) (w wrapWords, ok bool) {
	for i := 0; i < len(args); i++ {
		word := args[i]
		switch {
		case word == "--" && ok:
			w.inner, w.dash = i+1, true
			return w, true
		case !strings.HasPrefix(word, "-") || word == "-":
			if !ok && word != "wrap" {
				return w, false
			}
			if ok {
				w.inner = i
				return w, true
			}
			ok = true
			continue
		}
		flag, value, given := strings.Cut(word, "=")
		if !given && slices.Contains(withValue, flag) && i+1 < len(args) {
			i++
			value = args[i]
		}
		switch flag {
		case "--name":
			w.name = value
		case "--url":
			w.url = value
		}
	}
	w.inner = len(args)
	return w, ok
}

// SafeName makes of a client's key the name that policy and pins know the server by.
func SafeName(key string) string { return cmp.Or(policy.ServerName(key), "server") }
