package clients

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"
)

const (
	diffContext = 3   // lines before and after a change
	diffLine    = 400 // bytes that are shown of a line
)

// Diff shows the change as a unified diff. Values of environment variables and headers, which are often secret, are not in it.
func (c *Change) Diff() string {
	if c.Empty() {
		return ""
	}
	after := *c.File
	after.load(c.After)
	old := diffSide{c.File.source, lineStarts(c.File.source), secrets(c.File.source, c.File.root)}
	fresh := diffSide{c.After, lineStarts(c.After), secrets(c.After, after.root)}
	var b strings.Builder
	from := c.File.Path
	if c.File.new {
		from = "/dev/null"
	}
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", from, c.File.Path)
	for _, h := range c.hunks(old, fresh) {
		h.write(&b, old, fresh)
	}
	return b.String()
}

type diffSide struct {
	text   []byte
	starts []int // of lines
	masked []edit
}

func lineStarts(text []byte) []int {
	starts := []int{0}
	for i, c := range text {
		if c == '\n' && i+1 < len(text) {
			starts = append(starts, i+1)
		}
	}
	if len(text) == 0 {
		return nil
	}
	return starts
}

// line is the index of the line that an offset is in; behind the last one there is another.
func (d diffSide) line(offset int) int {
	if offset == len(d.text) && bytes.HasSuffix(d.text, []byte("\n")) {
		return len(d.starts)
	}
	return max(0, sort.SearchInts(d.starts, offset+1)-1)
}

// show gives a line without its end, and with what is secret left out.
func (d diffSide) show(i int) string {
	start, end := d.starts[i], len(d.text)
	if i+1 < len(d.starts) {
		end = d.starts[i+1]
	}
	var b strings.Builder
	at := start
	for _, m := range d.masked {
		if m.end <= at || m.start >= end {
			continue
		}
		b.Write(d.text[at:max(at, m.start)])
		b.WriteString("…")
		at = min(m.end, end)
	}
	b.Write(d.text[at:end])
	line := strings.TrimRight(b.String(), "\r\n")
	if len(line) > diffLine {
		line = strings.ToValidUTF8(line[:diffLine], "") + "…"
	}
	return line
}

// A region is lines that are replaced: [oldFrom, oldTo) by [newFrom, newTo).
type region struct{ oldFrom, oldTo, newFrom, newTo int }

type hunk []region

// hunks finds the lines that edits touch, and puts those together whose context would meet.
func (c *Change) hunks(old, fresh diffSide) []hunk {
	edits := slices.Clone(c.edits)
	sort.SliceStable(edits, func(i, j int) bool { return edits[i].start < edits[j].start })
	var regions []region
	shift := 0
	for _, e := range edits {
		r := region{
			oldFrom: old.line(e.start), oldTo: min(len(old.starts), old.line(e.end)+1),
			newFrom: fresh.line(e.start + shift), newTo: min(len(fresh.starts), fresh.line(e.start+shift+len(e.text))+1),
		}
		shift += len(e.text) - (e.end - e.start)
		if last := len(regions) - 1; last >= 0 && r.oldFrom <= regions[last].oldTo {
			regions[last].oldTo, regions[last].newTo = max(r.oldTo, regions[last].oldTo), max(r.newTo, regions[last].newTo)
			continue
		}
		regions = append(regions, r)
	}
	var hunks []hunk
	for _, r := range regions {
		r = trimRegion(r, old, fresh)
		if last := len(hunks) - 1; last >= 0 && r.oldFrom-hunks[last][len(hunks[last])-1].oldTo <= 2*diffContext {
			hunks[last] = append(hunks[last], r)
			continue
		}
		hunks = append(hunks, hunk{r})
	}
	return hunks
}

// trimRegion leaves out lines at both ends that are the same.
func trimRegion(r region, old, fresh diffSide) region {
	same := func(i, j int) bool { return bytes.Equal(old.bytes(i), fresh.bytes(j)) }
	for r.oldFrom < r.oldTo && r.newFrom < r.newTo && same(r.oldFrom, r.newFrom) {
		r.oldFrom, r.newFrom = r.oldFrom+1, r.newFrom+1
	}
	for r.oldFrom < r.oldTo && r.newFrom < r.newTo && same(r.oldTo-1, r.newTo-1) {
		r.oldTo, r.newTo = r.oldTo-1, r.newTo-1
	}
	return r
}

func (d diffSide) bytes(i int) []byte {
	if i+1 < len(d.starts) {
		return d.text[d.starts[i]:d.starts[i+1]]
	}
	return d.text[d.starts[i]:]
}

func (h hunk) write(b *strings.Builder, old, fresh diffSide) {
	first, last := h[0], h[len(h)-1]
	from := max(0, first.oldFrom-diffContext)
	to := min(len(old.starts), last.oldTo+diffContext)
	newFrom := first.newFrom - (first.oldFrom - from)
	newTo := last.newTo + (to - last.oldTo)
	fmt.Fprintf(b, "@@ -%s +%s @@\n", hunkRange(from, to), hunkRange(newFrom, newTo))
	at := from
	for _, r := range h {
		for ; at < r.oldFrom; at++ {
			fmt.Fprintf(b, " %s\n", old.show(at))
		}
		for i := r.oldFrom; i < r.oldTo; i++ {
			fmt.Fprintf(b, "-%s\n", old.show(i))
		}
		for i := r.newFrom; i < r.newTo; i++ {
			fmt.Fprintf(b, "+%s\n", fresh.show(i))
		}
		at = r.oldTo
	}
	for ; at < to; at++ {
		fmt.Fprintf(b, " %s\n", old.show(at))
	}
}

func hunkRange(from, to int) string {
	if to == from {
		return fmt.Sprintf("%d,0", from)
	}
	return fmt.Sprintf("%d,%d", from+1, to-from)
}

// secretive are members whose values are not shown, whoever they belong to.
var secretive = []string{
	"env", "environment", "envs", "headers", "http_headers", "env_http_headers", "requestOptions", "inputs", "oauth", "auth", "authorization",
}

// secrets finds what is not to be shown, in the order of the file.
func secrets(source []byte, n *node) []edit {
	var found []edit
	starts := []int{len(source)} // of everything: what ends nobody knows where ends before the next
	var walk func(n *node, hide bool)
	walk = func(n *node, hide bool) {
		starts = append(starts, n.start)
		for _, m := range n.members {
			starts = append(starts, m.start)
			walk(m.value, hide || slices.ContainsFunc(secretive, func(s string) bool { return strings.EqualFold(s, m.key) }) || secretName(m.key))
		}
		for i, e := range n.elems {
			walk(e, hide || SecretArg(texts(n), i))
		}
		if (hide || secretURL(n.text)) && (n.kind == text || n.kind == other) {
			end := n.end
			if !n.raw {
				end = -1
			}
			found = append(found, edit{start: n.start, end: end})
		}
	}
	walk(n, false)
	sort.Ints(starts)
	for i := range found {
		if found[i].end < 0 {
			end := starts[min(sort.SearchInts(starts, found[i].start+1), len(starts)-1)]
			found[i].end = found[i].start + len(bytes.TrimRight(source[found[i].start:end], " \t-")) // what follows keeps its indentation
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].start < found[j].start })
	return found
}

// SecretArg reports whether the i-th of some arguments looks like a secret: --token=x, what follows --token, a header such as
// Authorization: x, or what is known by how it begins.
func SecretArg(args []string, i int) bool {
	if secretHeader(args[i]) || knownSecret(args[i]) {
		return true
	}
	if flag, _, ok := strings.Cut(args[i], "="); ok && secretName(flag) {
		return true
	}
	return i > 0 && strings.HasPrefix(args[i-1], "-") && !strings.Contains(args[i-1], "=") && secretName(args[i-1]) && !strings.HasPrefix(args[i], "--")
}

// issued is how tokens and keys begin that well-known services hand out, and JSON Web Tokens.
var issued = []string{"sk-", "sk_", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "AKIA", "mcpx_", "npm_", "eyJ"}

// knownSecret reports whether a word of a text begins like such a token.
func knownSecret(text string) bool {
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(" \t=:,;\"'", r) }) {
		if len(word) >= 16 && slices.ContainsFunc(issued, func(start string) bool { return strings.HasPrefix(word, start) }) {
			return true
		}
	}
	return false
}

// secretHeader reports whether a text is a header that proves who somebody is, also behind a flag: --header=Authorization: x.
func secretHeader(text string) bool {
	name, value, ok := strings.Cut(text, ":")
	if !ok || strings.HasPrefix(value, "//") {
		return false
	}
	name = strings.ToLower(strings.TrimSpace(name[strings.LastIndexByte(name, '=')+1:]))
	return !strings.Contains(name, "/") &&
		(secretName(name) || name == "cookie" || strings.HasSuffix(name, "authorization") || strings.HasPrefix(name, "x-auth") || strings.HasSuffix(name, "-key"))
}

// secretURL reports whether a text is a URL with a user or a query, where keys often are.
func secretURL(text string) bool {
	_, rest, ok := strings.Cut(text, "://")
	return ok && strings.ContainsAny(rest, "?@")
}

// secretName reports whether a name looks like that of a secret.
func secretName(name string) bool {
	name = strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
	return slices.ContainsFunc([]string{"token", "secret", "password", "passwd", "apikey", "accesskey", "privatekey", "credential", "bearer"},
		func(word string) bool { return strings.Contains(name, word) })
}
