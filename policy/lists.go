package policy

import (
	"bytes"
	"fmt"
)

// patterns is one compiled list of the configuration.
type patterns struct {
	exact map[string]int // text → index
	globs []indexedGlob
	all   []*glob  // index → entry
	rules []string // index → path of the entry
}

type indexedGlob struct {
	*glob
	index int
}

func compilePatterns(path string, list []string, compile func(string) (*glob, error)) (patterns, error) {
	p := patterns{exact: map[string]int{}}
	for i, text := range list {
		g, err := compile(text)
		if err != nil {
			return patterns{}, fmt.Errorf("%s[%d]: %q %w", path, i, text, err)
		}
		p.all = append(p.all, g)
		p.rules = append(p.rules, fmt.Sprintf("%s[%d]", path, i))
		if !g.exact() {
			p.globs = append(p.globs, indexedGlob{g, i})
		} else if _, ok := p.exact[g.parts[0]]; !ok {
			p.exact[g.parts[0]] = i
		}
	}
	return p, nil
}

func (p *patterns) empty() bool { return len(p.rules) == 0 }

// match returns the rule of the first entry that matches, "" if none does.
func (p *patterns) match(name []byte) string {
	first, found := p.exact[string(name)]
	for _, g := range p.globs {
		if found && g.index > first {
			break
		}
		if g.match(name) {
			return p.rules[g.index]
		}
	}
	if !found {
		return ""
	}
	return p.rules[first]
}

func nameGlob(pattern string) (*glob, error) { return compileGlob(pattern, nameSyntax) }

// targets is an allow list and a deny list for one kind of target.
type targets struct {
	path        string // "policy.allow_tools", for names that no entry allows
	allow, deny patterns
	twins       *twins
}

func compileTargets(allowPath, denyPath string, allowed, denied []string, s syntax) (targets, error) {
	compile := nameGlob
	if s == uriSyntax {
		compile = compileURIGlob
	}
	allow, err := compilePatterns(allowPath, allowed, compile)
	if err != nil {
		return targets{}, err
	}
	deny, err := compilePatterns(denyPath, denied, compile)
	if err != nil {
		return targets{}, err
	}
	t := targets{path: allowPath, allow: allow, deny: deny, twins: newTwins(s)}
	t.addTwins()
	return t, nil
}

// addTwins makes the names of both lists known to the twins, those of the deny list first.
func (t *targets) addTwins() {
	for i, g := range t.deny.all {
		t.twins.add(g, t.deny.rules[i], true)
	}
	for i, g := range t.allow.all {
		if t.twins.syntax == uriSyntax { // other files are other files, as long as none of them is denied
			t.twins.spell(g)
		} else {
			t.twins.add(g, t.allow.rules[i], false)
		}
	}
}

func (t *targets) empty() bool { return t.allow.empty() && t.deny.empty() }

// judge decides about one name. The kind ("tool") is for the reason.
func (t *targets) judge(kind string, name []byte, tr *Trace) Decision {
	if rule := t.deny.match(name); rule != "" {
		return tr.note(denied(rule, "%s %s is denied by %s", kind, quoted(name), rule))
	}
	if rule := t.twins.of(name); rule != "" {
		return tr.note(denied(rule, "%s %s is denied: only case or look-alike characters tell it from a name in %s",
			kind, quoted(name), rule))
	}
	if t.allow.empty() {
		return allowed(DefaultRule)
	}
	rule := t.allow.match(name)
	if rule == "" {
		return tr.note(denied(t.path, "%s %s is not in %s", kind, quoted(name), t.path))
	}
	return tr.note(allowed(rule))
}

// twins finds names that fold to a ruled one without being it. A server that compares names loosely would take
// them for the ruled name. Of URIs those of files have some: what a server opens may be on a file system that does not tell case
// apart (macOS, Windows), and all other schemes are the server's own business.
type twins struct {
	syntax syntax              // of globs
	named  map[string]struct{} // names that the layer spells out; each is judged as itself
	keys   map[string]string   // fold of a name → rule
	globs  []foldedGlob        // of deny lists and tool rules
}

type foldedGlob struct {
	spelled, folded *glob
	rule            string
}

func newTwins(s syntax) *twins {
	return &twins{syntax: s, named: map[string]struct{}{}, keys: map[string]string{}}
}

// add makes the twins of a pattern known. Globs of allow lists have none: what they do not match is denied
// anyway, and what another entry matches is meant. A glob with a set such as [A-Z] is about case; it has none.
func (t *twins) add(g *glob, rule string, globs bool) {
	if g.exact() {
		t.spell(g)
		if key := foldString(g.parts[0]); t.keys[key] == "" {
			t.keys[key] = rule
		}
		return
	}
	if !globs || g.classes {
		return
	}
	folded, err := compileGlob(foldString(g.text), t.syntax)
	if err == nil {
		t.globs = append(t.globs, foldedGlob{g, folded, rule})
	}
}

// spell makes a name known that is judged as itself, whatever it is a twin of.
func (t *twins) spell(g *glob) {
	if g.exact() {
		t.named[g.parts[0]] = struct{}{}
	}
}

// of returns the rule whose name or pattern a name is a twin of, "" if there is none.
func (t *twins) of(name []byte) string {
	if len(t.keys)+len(t.globs) == 0 || t.syntax == uriSyntax && !bytes.HasPrefix(name, []byte("file:")) {
		return ""
	}
	if _, ok := t.named[string(name)]; ok {
		return ""
	}
	if len(name) > maxFold && t.syntax == uriSyntax && len(t.globs) > 0 { // longer than nearly all systems take, and not compared
		return t.globs[0].rule
	}
	var buf [128]byte
	key := fold(buf[:0], name)
	if rule := t.keys[string(key)]; rule != "" {
		return rule
	}
	for _, g := range t.globs {
		if g.match(key) && !g.spelled.match(name) {
			return g.rule
		}
	}
	return ""
}

func (g foldedGlob) match(key []byte) bool {
	if g.folded.re == nil {
		return g.folded.matchParts(key)
	}
	return g.folded.re.Match(bytes.Clone(key)) // a copy, for the regexp package would move every key to the heap
}
