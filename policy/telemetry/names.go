package telemetry

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// Lengths in bytes of what came from outside and goes into an attribute.
const (
	maxText = 256
	maxURI  = 2048
)

// other stands for what has no place of its own (OpenTelemetry's word for it).
const other = "_OTHER"

// names bounds how many different names become attributes of metrics: each is a series that somebody has to keep. Names that a
// server has answered for have places of their own, so that a client which tries names cannot take them. It is safe for
// concurrent use.
type names struct {
	mu      sync.Mutex
	known   map[string]bool // true: answered for; guarded by mu
	doubted int             // how many of them are not; guarded by mu
	most    int             // answered for, at most; a quarter as many are not
}

func newNames(most int) *names { return &names{known: make(map[string]bool), most: most} }

// label returns the name if it has, or gets, a place. answered: the server knows it.
func (n *names) label(name string, answered bool) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	before, is := n.known[name]
	switch {
	case is && (before || !answered):
		return name
	case answered && len(n.known)-n.doubted < n.most:
		if is {
			n.doubted--
		}
		n.known[name] = true
		return name
	case is:
		return name
	case !answered && n.doubted < n.most/4:
		n.known[name] = false
		n.doubted++
		return name
	default:
		return other
	}
}

// shorten gives text of at most so many bytes, valid as the wire wants it.
func shorten(s string, most int) string {
	if len(s) > most {
		s = s[:most]
		for i := 1; i < utf8.UTFMax && i <= len(s); i++ { // no half of a character
			if c := s[len(s)-i]; utf8.RuneStart(c) {
				if !utf8.FullRuneInString(s[len(s)-i:]) {
					s = s[:len(s)-i]
				}
				break
			}
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
