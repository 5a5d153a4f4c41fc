package integrity

import "maps"

// An Approved is one definition that a hub has approved for all who use the server.
type Approved struct {
	Target
	Digest string
}

// overlay makes the digests by target. Two digests for one target approve neither.
func overlay(list []Approved) map[Target]string {
	digests := make(map[Target]string, len(list))
	for _, a := range list {
		if a.Kind < Tools || a.Kind > Instructions {
			continue // nothing of that kind is ever judged
		}
		if known, ok := digests[a.Target]; ok && known != a.Digest {
			a.Digest = ""
		}
		digests[a.Target] = a.Digest
	}
	return digests
}

// SetApproved replaces what the hub has approved for this server, nil for nothing, and reports whether that is a change.
// It counts for more than the lock file: a definition of which the hub has approved one is judged by that digest alone.
// It is in effect for Judge before the lock file is touched, in which only those are pinned that waited for review and are
// approved by it. Twins, malformed definitions and enforced shadowing are judged as without it.
func (p *Pins) SetApproved(list []Approved) (changed bool) {
	next := overlay(list)
	p.mu.Lock()
	defer p.mu.Unlock()
	if maps.Equal(next, p.approved) {
		return false
	}
	p.approved = next
	if p.cfg.off() {
		return true
	}
	p.tabulate()
	if err := p.change(p.adoptPending); err == nil { // else the next page tries again
		p.tabulate()
	}
	return true
}

// adoptPending pins what waits for review in the lock file and is what the hub has approved, unless this process has seen
// something else since. p.mu is held.
func (p *Pins) adoptPending(c *content, e *edit) {
	for t, digest := range p.approved {
		set := &e.current().sets[t.Kind]
		waits := set.pending[t.Name]
		if waits == nil || waits.problem != none || waits.digest != digest || p.shadowed(c, t.Kind, t.Name, set.pins[t.Name]) {
			continue
		}
		if now, seen := p.observed[t.Kind][t.Name]; !seen || now.problem == none && now.digest == digest {
			e.adopt(t.Kind, t.Name, waits)
		}
	}
}

// adopt pins what the hub has approved, so that people are not asked about it and it holds when the hub's word is not at
// hand. A judgement does not depend on its being written, so the edit does not count as one that pinned.
func (e *edit) adopt(kind Kind, name string, seen *entry) {
	if pin := e.current().sets[kind].pins[name]; pin != nil && pin.digest == seen.digest {
		e.clear(kind, name)
		return
	}
	set := e.own(kind)
	set.pins[name] = &entry{digest: seen.digest, definition: seen.definition, approved: true}
	delete(set.pending, name)
	if kind == Instructions {
		set.complete = true
	}
}

// overrule is for what the hub has not approved: it waits for review, unless it is what is pinned here.
func (e *edit) overrule(kind Kind, name string, seen *entry) {
	if pin := e.current().sets[kind].pins[name]; pin != nil && pin.digest == seen.digest {
		e.clear(kind, name)
		return
	}
	e.suspend(kind, name, seen)
}

// overruledDetail names the parts that differ where what was approved is known here.
func overruledDetail(pin *entry, approved string, seen *entry) string {
	const detail = "not what the hub approved"
	if pin != nil && pin.digest == approved {
		return detail + ": " + summary(Diff(pin.definition, seen.definition))
	}
	return detail
}
