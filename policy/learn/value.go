package learn

import (
	"math/big"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	maxDistinct = 64  // values of an argument that are told apart
	maxHosts    = 20  // more are no list that anybody keeps
	maxPrefix   = 256 // bytes
	maxNumber   = 40  // characters of a number that people and YAML still read as it is meant
)

// An argument is what was seen of one argument of a tool.
type argument struct {
	seen     int // calls that had it
	redacted int
	nulls    int
	nested   int // objects and arrays
	odd      int // scalars that no rule can spell
	texts    int
	numbers  int
	flags    int

	values  map[string]int  // JSON of scalars; nil: too many, or too long ones
	prefix  string          // of all texts
	longest int             // characters
	paths   map[string]bool // absolute ones; nil: not all are
	hosts   map[string]bool // of URLs; nil: not all are, or too many
	low     *big.Rat
	high    *big.Rat
	lowest  string // as it was written
	highest string
}

func newArgument() *argument {
	return &argument{values: map[string]int{}, paths: map[string]bool{}, hosts: map[string]bool{}}
}

// add takes one value, raw JSON.
func (a *argument) add(value []byte) {
	a.seen++
	switch {
	case string(value) == redactedValue:
		a.redacted++
		return
	case string(value) == "null":
		a.nulls++
		return
	case value[0] == '{' || value[0] == '[':
		a.nested++
		return
	case value[0] == '"':
		text, ok := jsonrpc.Text(value)
		if !ok {
			a.odd++
			return
		}
		a.text(string(text))
	case value[0] == 't' || value[0] == 'f':
		a.flags++
	default:
		a.number(string(value))
	}
	if a.values == nil {
		return
	}
	if a.values[string(value)]++; len(value) > maxChoice || len(a.values) > maxDistinct {
		a.values = nil
	}
}

func (a *argument) text(text string) {
	if a.texts++; a.texts == 1 {
		a.prefix = strings.ToValidUTF8(text[:min(len(text), maxPrefix)], "")
	}
	a.prefix = a.prefix[:common(a.prefix, text)]
	a.longest = max(a.longest, utf8.RuneCountInString(text))
	a.path(text)
	a.host(text)
}

func (a *argument) path(text string) {
	if a.paths == nil {
		return
	}
	p, ok := absolute(text)
	if !ok {
		a.paths = nil
		return
	}
	if a.paths[p] = true; len(a.paths) <= maxPaths {
		return
	}
	roots := rootsOf(a.paths)
	a.paths = map[string]bool{}
	if roots == nil {
		a.paths["/"] = true
	}
	for _, root := range roots {
		a.paths[root] = true
	}
}

func (a *argument) host(text string) {
	if a.hosts == nil {
		return
	}
	host, ok := hostOf(text)
	if !ok {
		a.hosts = nil
		return
	}
	if a.hosts[host] = true; len(a.hosts) > maxHosts {
		a.hosts = nil
	}
}

func (a *argument) number(text string) {
	a.numbers++
	if len(text) > maxNumber || strings.ContainsAny(text, "eE") {
		a.odd++
		return
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok {
		a.odd++
		return
	}
	if a.low == nil || n.Cmp(a.low) < 0 {
		a.low, a.lowest = n, text
	}
	if a.high == nil || n.Cmp(a.high) > 0 {
		a.high, a.highest = n, text
	}
}

// common is how much two texts have in common at their beginning, in whole characters.
func common(a, b string) int {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	for i > 0 && i < len(a) && !utf8.RuneStart(a[i]) {
		i--
	}
	return i
}

// hostOf returns the host of a URL, with its port where it has one.
func hostOf(text string) (host string, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return "", false
	}
	switch u.Scheme {
	case "http", "https", "ws", "wss", "ftp":
		return strings.ToLower(u.Host), true
	default:
		return "", false
	}
}
