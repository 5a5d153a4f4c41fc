package integrity

import (
	"fmt"
	"maps"
	"strings"
)

// maxItems bounds what one list may hold, and what is kept of one kind and server in the lock file.
const maxItems = 10_000

// A Walk judges the pages of one list in their order. It belongs to one goroutine; several walks of the same
// server may go on at once.
type Walk struct {
	pins  *Pins
	kind  Kind
	whole bool // all pages so far were seen, from the first on
	seen  tally
}

// Walk begins with the first page of a list.
func (p *Pins) Walk(kind Kind) *Walk {
	return &Walk{pins: p, kind: kind, whole: true, seen: newTally()}
}

// Resume begins with a page that is not the first one: what it holds is judged, but the list is never
// taken for complete.
func (p *Pins) Resume(kind Kind) *Walk {
	return &Walk{pins: p, kind: kind, seen: newTally()}
}

// Page judges one page: the raw definitions of its items, and whether no page follows. The findings begin
// with one per item, in their order; those that follow have the Index -1 and are about what is no longer
// listed, what earlier pages held, or names that other servers have pinned too. After an error nothing of the page may be
// delivered under enforce: the lock file cannot be read, or what is seen first could not be pinned.
func (w *Walk) Page(items [][]byte, last bool) ([]Finding, error) {
	p := w.pins
	if p.cfg.off() {
		return unchecked(w.kind, len(items)), nil
	}
	if w.kind != Tools && w.kind != Prompts {
		return nil, fmt.Errorf("walk list: %s are not listed", w.kind)
	}
	if len(w.seen.count)+len(items) > maxItems {
		w.whole = false
		return nil, fmt.Errorf("walk list: more than %d %ss", maxItems, w.kind)
	}
	defs := make([]definition, len(items))
	for i, raw := range items {
		defs[i] = readDefinition(raw)
	}
	found, sighted, err := w.judge(defs, last)
	if sighted {
		p.tellSighting()
	}
	return found, err
}

// judge judges a page that was read. sighted: it shows something that was not there before.
func (w *Walk) judge(defs []definition, last bool) (found []Finding, sighted bool, err error) {
	p := w.pins
	p.mu.Lock()
	defer p.mu.Unlock()
	j := judgement{Pins: p, kind: w.kind, defs: defs, earlier: w.seen, seen: w.seen.with(defs), exact: w.whole && last}
	if err := p.change(j.run); err != nil {
		w.whole = false
		return nil, false, err
	}
	w.seen = j.seen
	sighted = j.observe()
	p.tabulate()
	return append(j.found, p.firstShadows(j.found)...), sighted, nil
}

func unchecked(kind Kind, n int) []Finding {
	found := make([]Finding, n)
	for i := range found {
		found[i] = Finding{Kind: kind, Index: i}
	}
	return found
}

// A tally is the names that a walk has met.
type tally struct {
	count map[string]int      // how often, by name
	alike map[string][]string // the different names of one skeleton
}

func newTally() tally {
	return tally{make(map[string]int), make(map[string][]string)}
}

// with returns the tally after one more page. The one before it stays as it is; only one of its
// successors may be kept.
func (t tally) with(defs []definition) tally {
	next := tally{maps.Clone(t.count), maps.Clone(t.alike)}
	for _, d := range defs {
		if d.name == "" {
			continue
		}
		next.count[d.name]++
		if next.count[d.name] == 1 && d.skeleton != "" {
			// This may write behind the end of what t sees, never into it.
			next.alike[d.skeleton] = append(next.alike[d.skeleton], d.name)
		}
	}
	return next
}

// twin says what a name cannot be told from, "" if it can.
func (t tally) twin(name, skeleton string) string {
	if t.count[name] > 1 {
		return fmt.Sprintf("%s is listed %d times", Visible(name), t.count[name])
	}
	if names := t.alike[skeleton]; skeleton != "" && len(names) > 1 {
		const most = 4
		shown := make([]string, 0, most+1)
		for _, n := range names[:min(most, len(names))] {
			shown = append(shown, spelled(n))
		}
		if len(names) > most {
			shown = append(shown, fmt.Sprintf("and %d more", len(names)-most))
		}
		return "names that look alike: " + strings.Join(shown, ", ")
	}
	return ""
}

// spelled shows a name so that look-alikes differ: letters that are not ASCII as escapes.
func spelled(name string) string { return fmt.Sprintf("%+q", name) }
