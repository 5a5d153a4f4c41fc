package integrity

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"
)

// Pins compares what one server says with what is pinned for it. It is safe for concurrent use. What it saw
// of its own server counts for Judge before what other processes wrote about theirs of the same name.
type Pins struct {
	file *File
	name string
	cfg  Config

	tables [Instructions]atomic.Pointer[table] // what Judge answers, by Kind; Tools and Prompts are used

	mu       sync.Mutex
	approved map[Target]string                        // digests: what the hub has approved; replaced, never changed; guarded by mu
	sighted  func()                                   // nil: nobody; guarded by mu
	observed [Instructions + 1]map[string]observation // by name, as seen last; guarded by mu
	walked   [Instructions + 1]map[string]bool        // names in the last complete walk, nil before one; guarded by mu
}

// An observation is what this process saw last under a name.
type observation struct {
	digest     string
	definition []byte  // canonical; nil where it is malformed
	problem    problem // twin, malformed or none
	gone       bool    // the last complete list was without it
}

// same reports whether two observations are of the same. None is the same as the zero one: everything that is seen has
// a digest or a problem.
func (o observation) same(other observation) bool {
	return o.digest == other.digest && o.problem == other.problem && o.gone == other.gone
}

// A table is made for one content; it is never changed.
type table struct {
	content  *content
	verdicts map[string]Verdict
}

// Server returns the pins of one server. cfg must be valid.
func (f *File) Server(name string, cfg Config) *Pins {
	p := &Pins{file: f, name: name, cfg: cfg}
	for _, kind := range kinds {
		p.observed[kind] = make(map[string]observation)
	}
	p.tabulate()
	return p
}

// Judge says whether a tool may be called or a prompt be asked for by that name. It answers from the pins,
// so a name that was never listed is refused, and does not allocate unless it refuses: then it looks
// whether another process has approved something meanwhile.
func (p *Pins) Judge(kind Kind, name []byte) Verdict {
	if p.cfg.off() {
		return Verdict{Allowed: true}
	}
	if kind != Tools && kind != Prompts {
		return Verdict{Status: Unknown}
	}
	if v, ok := p.tables[kind-1].Load().verdicts[string(name)]; ok && v.Status == Same {
		return v
	}
	p.catchUp()
	if v, ok := p.tables[kind-1].Load().verdicts[string(name)]; ok {
		return v
	}
	return p.verdict(kind, Unknown)
}

func (p *Pins) verdict(kind Kind, s Status) Verdict {
	return Verdict{Allowed: s == Same || !p.cfg.enforce(), Status: s, Reason: reason(kind, s)}
}

// catchUp makes the tables anew if the file has changed. While a page is being judged it leaves that to
// the page. A file that cannot be read leaves the tables, and so the refusal, as they are.
func (p *Pins) catchUp() {
	if !p.mu.TryLock() {
		return
	}
	defer p.mu.Unlock()
	if err := p.file.refresh(); err == nil && p.tables[0].Load().content != p.file.content.Load() {
		p.tabulate()
	}
}

// tabulate makes the tables of verdicts. p.mu is held, or p is new.
func (p *Pins) tabulate() {
	c := p.file.content.Load()
	for _, kind := range [...]Kind{Tools, Prompts} {
		set := &c.server(p.name).sets[kind]
		t := &table{content: c, verdicts: make(map[string]Verdict, len(set.pins))}
		tabulate := func(name string) {
			v := p.verdict(kind, p.status(c, kind, name))
			_, ruled := p.approved[Target{kind, name}]
			v.Overruled = ruled && v.Status == Changed
			t.verdicts[name] = v
		}
		for name := range set.pins {
			tabulate(name)
		}
		for name := range set.pending {
			tabulate(name)
		}
		for name := range p.observed[kind] {
			tabulate(name)
		}
		p.tables[kind-1].Store(t)
	}
}

// status says what is known of a name that is pinned, pending or observed.
func (p *Pins) status(c *content, kind Kind, name string) Status {
	set := &c.server(p.name).sets[kind]
	pin, pending := set.pins[name], set.pending[name]
	now, seen := p.observed[kind][name]
	switch {
	case seen:
	case pending != nil && pending.problem != gone:
		now = observation{digest: pending.digest, problem: pending.problem}
	case pin != nil: // as far as is known the server still says it
		now.digest = pin.digest
	}
	approved, ruled := p.approved[Target{kind, name}]
	switch {
	case now.problem == twin:
		return Twin
	case now.problem == malformed:
		return Malformed
	case ruled && now.digest != approved:
		return Changed
	case pin == nil && p.shadowed(c, kind, name, pin):
		return Shadowed
	case pin == nil && !ruled:
		return Added
	case !ruled && now.digest != pin.digest:
		return Changed
	case p.shadowed(c, kind, name, pin):
		return Shadowed
	default:
		return Same
	}
}

// shadowed reports whether a tool is withheld since another server has pinned its name. A person who
// approved it has decided that.
func (p *Pins) shadowed(c *content, kind Kind, name string, pin *entry) bool {
	return kind == Tools && p.cfg.enforceShadows() &&
		(pin == nil || !pin.approved) && c.shadowing(p.name, skeleton(name)) != ""
}

// Instructions compares what the server says of itself: the text, without JSON quotes and escapes, and
// whether there is one. No text and an empty one are the same. The first is pinned; an error means that it
// could not be, or that the lock file cannot be read.
func (p *Pins) Instructions(text []byte, present bool) (Finding, error) {
	found := Finding{Kind: Instructions, Index: -1}
	if p.cfg.off() {
		return found, nil
	}
	found, sighted, err := p.instructions(text, present)
	if sighted {
		p.tellSighting()
	}
	return found, err
}

func (p *Pins) instructions(text []byte, present bool) (found Finding, sighted bool, err error) {
	found = Finding{Kind: Instructions, Index: -1}
	p.mu.Lock()
	defer p.mu.Unlock()
	seen, err := readInstructions(text, present)
	if err != nil {
		found.Detail = Visible(err.Error())
		return p.judged(found, Malformed), p.noteInstructions(observation{problem: malformed}), nil
	}
	err = p.change(func(c *content, e *edit) {
		found.Detail = ""
		pin := c.server(p.name).sets[Instructions].pins[""]
		approved, ruled := p.approved[Target{Kind: Instructions}]
		switch {
		case ruled && approved == seen.digest:
			e.adopt(Instructions, "", seen)
			found = p.judged(found, Same)
		case ruled:
			e.overrule(Instructions, "", seen)
			found.Detail = overruledDetail(nil, approved, seen)
			found = p.judged(found, Changed)
		case pin == nil:
			e.pin(Instructions, "", seen)
			e.complete(Instructions)
			found = p.judged(found, Baseline)
		case pin.digest == seen.digest:
			e.clear(Instructions, "")
			found = p.judged(found, Same)
		default:
			e.suspend(Instructions, "", seen)
			found.Detail = "not the instructions that were pinned"
			found = p.judged(found, Changed)
		}
	})
	if err != nil {
		return found, false, err
	}
	set := &p.file.content.Load().server(p.name).sets[Instructions]
	kept := set.definition("", seen.digest, seen.definition)
	return found, p.noteInstructions(observation{digest: seen.digest, definition: kept}), nil
}

// noteInstructions keeps what was seen and reports whether that is news. p.mu is held.
func (p *Pins) noteInstructions(o observation) (news bool) {
	news = !p.observed[Instructions][""].same(o)
	p.observed[Instructions][""] = o
	return news
}

func (p *Pins) judged(f Finding, s Status) Finding {
	f.Status = s
	f.Reason = reason(f.Kind, s)
	switch s {
	case Same, Baseline, Removed:
		f.Withhold = false
	case Added:
		f.Withhold = p.cfg.enforce() && p.cfg.quarantine()
	default:
		f.Withhold = p.cfg.enforce()
	}
	return f
}

// change runs a judgement, which may ask for changes to the server's pins. It runs on the file as it is
// known, and once more on what it then is if there is something to write. An error that kept nothing but
// notes for review from being written is no error: the judgement holds without them. p.mu is held.
func (p *Pins) change(judge func(*content, *edit)) error {
	if err := p.file.refresh(); err != nil {
		return err
	}
	run := func(c *content) *edit {
		e := &edit{base: c.server(p.name)}
		judge(c, e)
		return e
	}
	e := run(p.file.content.Load())
	if e.next == nil {
		return nil
	}
	err := p.file.update(func(c *content) (*content, error) {
		if e = run(c); e.next == nil {
			return c, nil
		}
		if err := e.next.check(); err != nil {
			return nil, fmt.Errorf("pin server %q: %w", p.name, err)
		}
		return c.with(p.name, e.next), nil
	})
	if !e.pinned && isSaveError(err) {
		return nil
	}
	return err
}

func isSaveError(err error) bool { return errors.Is(err, errSave) }

// readInstructions makes an entry of a server's instructions: a JSON string, or null for none.
func readInstructions(text []byte, present bool) (*entry, error) {
	canonical := []byte("null")
	if present && len(text) > 0 {
		quoted, err := jsontext.AppendQuote(nil, text)
		if err != nil {
			return nil, fmt.Errorf("read instructions: %w", err)
		}
		if canonical, err = canonicalize(quoted); err != nil {
			return nil, err
		}
	}
	return &entry{digest: digestOf(canonical), definition: canonical}, nil
}
