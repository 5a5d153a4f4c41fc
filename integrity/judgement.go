package integrity

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A judgement is about one page. It may run twice, on two contents; the last run counts.
type judgement struct {
	*Pins
	kind          Kind
	defs          []definition
	earlier, seen tally // of the walk, before and after this page
	exact         bool  // seen is the whole list

	found  []Finding
	listed map[string]string // skeleton to a pinned name that may still be listed; nil until it is needed
}

func (j *judgement) run(c *content, e *edit) {
	j.listed = nil
	j.found = make([]Finding, 0, len(j.defs))
	baseline := !c.server(j.name).sets[j.kind].complete
	for i := range j.defs {
		f := j.item(c, e, &j.defs[i], baseline)
		f.Index = i
		j.found = append(j.found, f)
	}
	j.lateTwins(e)
	if j.exact {
		j.finish(e)
	}
}

func (j *judgement) item(c *content, e *edit, d *definition, baseline bool) Finding {
	f := Finding{Kind: j.kind, Name: d.name}
	set := &e.current().sets[j.kind]
	pin := set.pins[d.name]
	if f.Detail = j.twinOf(set, d); f.Detail != "" {
		e.suspend(j.kind, d.name, &entry{problem: twin})
		return j.judged(f, Twin)
	}
	if d.problem != "" {
		if pin != nil {
			e.suspend(j.kind, d.name, &entry{problem: malformed})
		}
		f.Detail = d.problem
		return j.judged(f, Malformed)
	}
	now := &entry{digest: d.digest, definition: d.canonical}
	approved, ruled := j.approved[Target{j.kind, d.name}]
	switch {
	case ruled && approved != d.digest:
		e.overrule(j.kind, d.name, now)
		f.Detail = overruledDetail(pin, approved, now)
		return j.judged(f, Changed)
	case !ruled && pin != nil && pin.digest != d.digest:
		e.suspend(j.kind, d.name, now)
		f.Detail = summary(Diff(pin.definition, d.canonical))
		return j.judged(f, Changed)
	case j.shadowed(c, j.kind, d.name, pin):
		if pin == nil || pin.digest != d.digest {
			e.suspend(j.kind, d.name, now)
		}
		f.Detail = shadowDetail(c.shadowing(j.name, d.skeleton))
		return j.judged(f, Shadowed)
	case ruled:
		e.adopt(j.kind, d.name, now)
		return j.judged(f, Same)
	case pin != nil:
		e.clear(j.kind, d.name)
		return j.judged(f, Same)
	case baseline:
		e.pin(j.kind, d.name, now)
		return j.judged(f, Baseline)
	case j.cfg.quarantine():
		e.suspend(j.kind, d.name, now)
		f.Detail = "new since the first complete list, not approved"
		return j.judged(f, Added)
	default:
		e.pin(j.kind, d.name, now)
		f.Detail = "new since the first complete list, pinned"
		return j.judged(f, Added)
	}
}

// twinOf says what an item's name cannot be told from, "" if it can. While more pages may follow, a twin
// stays one that was one before, and a new name is compared with the pins that may still be listed.
func (j *judgement) twinOf(set *pinSet, d *definition) string {
	if d.name == "" || d.skeleton == "" {
		return ""
	}
	if t := j.seen.twin(d.name, d.skeleton); t != "" || j.exact {
		return t
	}
	stored := set.pending[d.name] // from before a restart, or found by this walk
	if j.observed[j.kind][d.name].problem == twin || j.walked[j.kind] == nil && stored != nil && stored.problem == twin {
		return "had a twin when the list was seen last"
	}
	if set.pins[d.name] != nil {
		return ""
	}
	if name, ok := j.alikePin(set, d.skeleton); ok {
		return "names that look alike: " + spelled(d.name) + ", and pinned " + spelled(name)
	}
	return ""
}

// alikePin returns a pinned name of that skeleton that may still be listed. What this page pins is not
// among them and need not be: the tally has it.
func (j *judgement) alikePin(set *pinSet, skel string) (string, bool) {
	if j.listed == nil {
		j.listed = make(map[string]string, len(set.pins))
		for name := range set.pins {
			if j.walked[j.kind] == nil || j.walked[j.kind][name] {
				j.listed[skeleton(name)] = name
			}
		}
	}
	name, ok := j.listed[skel]
	return name, ok
}

// lateTwins reports what earlier pages held without its twin, which this page holds.
func (j *judgement) lateTwins(e *edit) {
	done := make(map[string]bool)
	pending := e.base.sets[j.kind].pending
	for _, d := range j.defs {
		if done[d.skeleton] {
			continue
		}
		done[d.skeleton] = true
		for _, name := range j.seen.alike[d.skeleton] {
			detail := j.seen.twin(name, d.skeleton)
			if detail == "" || j.earlier.count[name] == 0 || j.earlier.twin(name, d.skeleton) != "" {
				continue
			}
			if before := pending[name]; before != nil && before.problem == twin {
				continue // it was withheld already
			}
			e.suspend(j.kind, name, &entry{problem: twin})
			f := Finding{Kind: j.kind, Index: -1, Name: name, Detail: detail}
			j.found = append(j.found, j.judged(f, Twin))
		}
	}
}

// finish takes the list for complete: what is pinned and was not seen is reported as removed.
func (j *judgement) finish(e *edit) {
	set := e.current().sets[j.kind] // its maps may be replaced below
	for _, name := range slices.Sorted(maps.Keys(set.pending)) {
		forgotten := j.seen.count[name] == 0 && set.pins[name] == nil
		if forgotten || set.pending[name].problem == twin && j.seen.twin(name, skeleton(name)) == "" {
			e.clear(j.kind, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(set.pins)) {
		if j.seen.count[name] == 0 {
			e.suspend(j.kind, name, &entry{problem: gone})
			f := Finding{Kind: j.kind, Index: -1, Name: name, Detail: "no longer listed"}
			j.found = append(j.found, j.judged(f, Removed))
		}
	}
	e.complete(j.kind)
}

// observe keeps what the page showed, for Judge and for Sightings, and reports whether that is news. The owner's mu is held.
func (j *judgement) observe() (news bool) {
	set := &j.file.content.Load().server(j.name).sets[j.kind]
	seen := j.observed[j.kind]
	note := func(name string, o observation) {
		news = news || !seen[name].same(o)
		seen[name] = o
	}
	for i, d := range j.defs {
		o := observation{digest: d.digest, definition: set.definition(d.name, d.digest, d.canonical)}
		switch {
		case d.name == "":
			continue
		case j.found[i].Status == Twin:
			o.problem = twin
		case d.problem != "":
			o.problem = malformed
		}
		note(d.name, o)
	}
	for _, f := range j.found[len(j.defs):] {
		if f.Status == Twin {
			o := seen[f.Name]
			o.problem = twin
			note(f.Name, o)
		}
	}
	if !j.exact {
		return news
	}
	j.walked[j.kind] = make(map[string]bool, len(j.seen.count))
	for name := range j.seen.count {
		j.walked[j.kind][name] = true
		if o := seen[name]; o.problem == twin && j.seen.twin(name, skeleton(name)) == "" {
			o.problem = none // its twin has gone
			note(name, o)
		}
	}
	for name, o := range seen {
		if j.seen.count[name] == 0 {
			o.gone = true
			note(name, o)
		}
	}
	maps.DeleteFunc(seen, func(name string, o observation) bool { return o.gone && set.pins[name] == nil })
	return news
}

// summary names the parts that differ.
func summary(changes []Change) string {
	const most = 6
	parts := make([]string, 0, most+1)
	for i, c := range changes {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(changes)-most))
			break
		}
		parts = append(parts, Visible(c.Path))
	}
	return strings.Join(parts, ", ")
}

func shadowDetail(other string) string {
	return fmt.Sprintf("server %s has pinned a tool of that name", Visible(other))
}

// firstShadows returns a finding for each tool of a page that another server has pinned too, once per
// process. Where shadowing is enforced the items' own findings say it.
func (p *Pins) firstShadows(items []Finding) []Finding {
	if p.cfg.enforceShadows() {
		return nil
	}
	var found []Finding
	c := p.file.content.Load()
	for _, f := range items {
		if f.Kind != Tools || f.Index < 0 || f.Status == Malformed {
			continue
		}
		other := c.shadowing(p.name, skeleton(f.Name))
		if other == "" {
			continue
		}
		if _, again := p.file.said.LoadOrStore([2]string{p.name, f.Name}, true); !again {
			found = append(found, Finding{Kind: Tools, Index: -1, Name: f.Name, Status: Shadowed,
				Reason: reason(Tools, Shadowed), Detail: shadowDetail(other)})
		}
	}
	return found
}
