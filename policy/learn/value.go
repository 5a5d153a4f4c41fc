package learn

import (
	"cmp"
	"math/big"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	maxDistinct = 64 // values of an argument that are told apart
	maxChoices  = 6  // values that are still a choice and not free text
	perChoice   = 3  // how often each has to have been seen, on average
	maxChoice   = 64 // bytes of a value that is a choice
	maxFolders  = 4  // roots of paths
	maxHosts    = 20
	minPrefix   = 4 // bytes of a prefix that says something
)

// An argument is what was seen of one argument of a tool.
type argument struct {
	seen     int // calls that had it
	redacted int
	nulls    int
	nested   int // objects and arrays
	texts    int
	numbers  int
	flags    int

	values  map[string]int // JSON of scalars; nil: too many
	prefix  string         // of all texts
	longest int            // characters
	folders map[string]int // of absolute paths; nil: not all are, or too many
	hosts   map[string]int // of URLs; nil: not all are, or too many
	low     *big.Rat
	high    *big.Rat
	lowest  string // as it was written
	highest string
}

func newArgument() *argument {
	return &argument{values: map[string]int{}, folders: map[string]int{}, hosts: map[string]int{}}
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
			a.nested++
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
	if a.values[string(value)]++; len(a.values) > maxDistinct {
		a.values = nil
	}
}

func (a *argument) text(text string) {
	if a.texts++; a.texts == 1 {
		a.prefix = text
	}
	a.prefix = a.prefix[:common(a.prefix, text)]
	a.longest = max(a.longest, utf8.RuneCountInString(text))
	if a.folders != nil {
		if folder, ok := folderOf(text); ok && len(a.folders) < maxDistinct*16 {
			a.folders[folder]++
		} else {
			a.folders = nil
		}
	}
	if a.hosts != nil {
		if host, ok := hostOf(text); ok && len(a.hosts) <= maxHosts {
			a.hosts[host]++
		} else {
			a.hosts = nil
		}
	}
}

func (a *argument) number(text string) {
	a.numbers++
	if len(text) > 40 || strings.ContainsAny(text, "eE") {
		a.nested++ // a bound that YAML and people read as it is meant cannot be told
		return
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok {
		a.nested++
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

// folderOf returns the folder of an absolute path that `within` can judge.
func folderOf(text string) (folder string, ok bool) {
	if !strings.HasPrefix(text, "/") || strings.ContainsAny(text, "%\\~\x00") || len(text) > 4096 {
		return "", false
	}
	for part := range strings.SplitSeq(text, "/") {
		if part == ".." {
			return "", false
		}
	}
	return path.Dir(path.Clean(text)), true
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

// constraint says what all that was seen has in common, and how that is told to people. calls is how often the tool was called.
func (a *argument) constraint(calls int) (c policy.Constraint, note string) {
	c.Required = a.seen == calls
	switch scalars := a.texts + a.numbers + a.flags; {
	case a.nested > 0 || scalars == 0 && a.redacted == 0:
		c.Required = c.Required && a.nulls == 0
		return c, "objects, arrays or nothing: their content is not judged"
	case a.nulls > 0:
		return policy.Constraint{}, "was null, which no rule lets pass"
	case a.redacted > 0:
		return c, "its values are not in the log (redacted)"
	case a.flags == scalars:
		return a.choice(c), ""
	case a.numbers == scalars:
		c.Min, c.Max = policy.Scalar(a.lowest), policy.Scalar(a.highest)
		return c, ""
	case a.texts == scalars:
		return a.textRule(c)
	case a.isChoice():
		return a.choice(c), ""
	default:
		return c, "texts and numbers: not judged"
	}
}

func (a *argument) textRule(c policy.Constraint) (policy.Constraint, string) {
	if a.folders != nil {
		if roots := rootsOf(a.folders); roots != nil {
			c.Within = roots
			c.Optional = !c.Required
			c.Required = false
			return c, ""
		}
		return c, "paths all over the file system: no folder holds them"
	}
	if a.hosts != nil && len(a.hosts) <= maxHosts {
		c.HostIn = sorted(a.hosts)
		return c, ""
	}
	if a.isChoice() {
		return a.choice(c), ""
	}
	if prefix := meaningful(a.prefix); prefix != "" {
		c.Prefix = &prefix
	}
	most := 16
	for most < a.longest {
		most *= 2
	}
	c.MaxLen = &most
	return c, ""
}

// isChoice reports whether the values look like a choice of a few words.
func (a *argument) isChoice() bool {
	if a.values == nil || len(a.values) > maxChoices {
		return false
	}
	count := 0
	for value, n := range a.values {
		if count += n; len(value) > maxChoice {
			return false
		}
	}
	return count >= perChoice*len(a.values)
}

func (a *argument) choice(c policy.Constraint) policy.Constraint {
	for _, value := range sorted(a.values) {
		c.OneOf = append(c.OneOf, policy.Scalar(value))
	}
	return c
}

func sorted(values map[string]int) []string {
	var all []string
	for value := range values {
		all = append(all, value)
	}
	slices.Sort(all)
	return all
}

// meaningful is a prefix cut behind its last separator, "" where little is left.
func meaningful(prefix string) string {
	prefix = prefix[:strings.LastIndexAny(prefix, "/:. _-")+1]
	if len(prefix) < minPrefix || strings.TrimSpace(prefix) == "" {
		return ""
	}
	return prefix
}

// rootsOf returns the deepest folders that hold all of these, a few at most; nil where only / would.
func rootsOf(folders map[string]int) policy.Strings {
	roots := sorted(folders)
	roots = covering(roots)
	for len(roots) > maxFolders {
		// The two next to each other that have most in common become one.
		best, depth := 0, -1
		for i := range len(roots) - 1 {
			if d := len(shared(roots[i], roots[i+1])); d > depth {
				best, depth = i, d
			}
		}
		roots[best] = shared(roots[best], roots[best+1])
		roots = covering(slices.Delete(roots, best+1, best+2))
	}
	if one := sharedBy(roots); len(roots) > 1 && strings.Count(one, "/") > 1 { // /home/ann rather than each folder in it
		roots = []string{one}
	}
	if slices.Contains(roots, "/") {
		return nil
	}
	return roots
}

// covering leaves out folders that lie in others. all is sorted.
func covering(all []string) []string {
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(a+"/", b+"/") })
	kept := all[:0]
	for _, folder := range all {
		if len(kept) > 0 {
			if last := kept[len(kept)-1]; last == "/" || folder == last || strings.HasPrefix(folder, last+"/") {
				continue
			}
		}
		kept = append(kept, folder)
	}
	return kept
}

func sharedBy(all []string) string {
	one := all[0]
	for _, folder := range all[1:] {
		one = shared(one, folder)
	}
	return one
}

// shared is the deepest folder that holds both.
func shared(a, b string) string {
	for a != "/" && a != b && !strings.HasPrefix(b, a+"/") {
		a = path.Dir(a)
	}
	return a
}
