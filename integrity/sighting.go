package integrity

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A Sighting is one definition as this process has seen it last.
type Sighting struct {
	Target
	Digest     string
	Definition []byte // canonical JSON; must not be changed
	Status     Status
}

// Sightings returns what this process has seen of the server and what the server still says, as far as is known:
// instructions, tools, prompts, each sorted by name. Twins and malformed definitions, which nobody could approve, are not
// among them.
func (p *Pins) Sightings() []Sighting {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.file.content.Load()
	var list []Sighting
	for _, kind := range kinds {
		for _, name := range slices.Sorted(maps.Keys(p.observed[kind])) {
			o := p.observed[kind][name]
			if o.problem != none || o.gone {
				continue
			}
			list = append(list, Sighting{Target{kind, name}, o.digest, o.definition, p.status(c, kind, name)})
		}
	}
	return list
}

// OnSighting has tell called whenever a page or instructions have changed what was seen; nil: nobody. It is called by who
// gave the page, without any lock, so it must return at once.
func (p *Pins) OnSighting(tell func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sighted = tell
}

func (p *Pins) tellSighting() {
	p.mu.Lock()
	tell := p.sighted
	p.mu.Unlock()
	if tell != nil {
		tell()
	}
}

// DigestOf returns the digest under which pins have a definition, and refuses one that is not of that target or that they
// would not take. Instructions are a JSON string, or null where there are none.
func DigestOf(t Target, definition []byte) (string, error) {
	switch t.Kind {
	case Tools, Prompts:
		d := readDefinition(definition)
		if d.problem != "" {
			return "", fmt.Errorf("%s: %s", t, d.problem)
		}
		if d.name != t.Name {
			return "", fmt.Errorf("%s: the definition is of %+q", t, d.name)
		}
		return d.digest, nil
	case Instructions:
		canonical, err := canonicalize(definition)
		switch {
		case err != nil:
			return "", err
		case t.Name != "":
			return "", fmt.Errorf("instructions have no name, but %+q is given", t.Name)
		case string(canonical) != "null" && first(canonical) != '"', string(canonical) == `""`:
			return "", errors.New("instructions are neither a text nor null")
		}
		return digestOf(canonical), nil
	default:
		return "", fmt.Errorf("kind %s has no definitions", t.Kind)
	}
}
