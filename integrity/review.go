package integrity

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A Target names one thing that is pinned or pending. That of Instructions has no name.
type Target struct {
	Kind Kind
	Name string
}

// String returns the target for people: tool "read_file".
func (t Target) String() string {
	if t.Kind == Instructions {
		return t.Kind.String()
	}
	return fmt.Sprintf("%s %+q", t.Kind, t.Name)
}

// An Entry is one thing of a server as the lock file has it, for people to review.
type Entry struct {
	Target
	Server   string
	Status   Status // Same, Added, Changed, Removed, Twin or Malformed
	Approved bool   // by a person, not by first use
	// The definitions, canonical JSON, and their digests: what is pinned, and what waits for review. Nil
	// and empty where there is none.
	Pinned, Pending             []byte
	PinnedDigest, PendingDigest string
}

// Servers returns the names of the servers in the file, sorted.
func (f *File) Servers() []string {
	return slices.Sorted(maps.Keys(f.content.Load().servers))
}

// Entries returns what the file says of a server: instructions, tools, prompts, each sorted by name.
func (f *File) Entries(server string) []Entry {
	return entries(f.content.Load(), server)
}

func entries(c *content, server string) []Entry {
	s := c.server(server)
	var list []Entry
	for _, kind := range kinds {
		set := &s.sets[kind]
		names := slices.AppendSeq(slices.Collect(maps.Keys(set.pins)), maps.Keys(set.pending))
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			list = append(list, newEntry(server, Target{kind, name}, set.pins[name], set.pending[name]))
		}
	}
	return list
}

func newEntry(server string, t Target, pin, pending *entry) Entry {
	e := Entry{Target: t, Server: server, Status: Same}
	if pin != nil {
		e.Approved, e.Pinned, e.PinnedDigest = pin.approved, pin.definition, pin.digest
	}
	if pending == nil {
		return e
	}
	e.Pending, e.PendingDigest = pending.definition, pending.digest
	switch {
	case pending.problem == gone:
		e.Status = Removed
	case pending.problem == twin:
		e.Status = Twin
	case pending.problem != none:
		e.Status = Malformed
	case pin == nil:
		e.Status = Added
	default:
		e.Status = Changed
	}
	return e
}

// Approve makes what waits for review the pin: a changed or new definition is pinned, a removed one
// forgotten. A target that is as pinned is marked as approved. Without targets it approves everything of
// the server that waits. It returns what it approved, as it was before. Twins and malformed definitions
// cannot be approved, and if one target cannot be then none is.
func (f *File) Approve(server string, targets ...Target) ([]Entry, error) {
	all := len(targets) == 0
	return f.review(server, targets, func(e *edit, before Entry) (bool, error) {
		set := &e.current().sets[before.Kind]
		switch before.Status {
		case Twin, Malformed:
			return false, fmt.Errorf("approve %s of %q: %s; the server must change it", before.Target, server, problems[before.Status])
		case Removed:
			e.unpin(before.Kind, before.Name)
		case Added, Changed:
			pin := *set.pending[before.Name]
			pin.approved = true
			e.pin(before.Kind, before.Name, &pin)
		default:
			if all || before.Approved {
				return !all, nil
			}
			pin := *set.pins[before.Name]
			pin.approved = true
			e.pin(before.Kind, before.Name, &pin)
		}
		return true, nil
	})
}

var problems = map[Status]string{
	Twin:      "its name is listed twice, or beside a look-alike",
	Malformed: "its definition reads differently to different clients",
}

// Reset forgets targets, pins and what waits for review, so that they are new when they are seen next.
// Without targets it forgets the whole server, so that its next complete list is its baseline.
func (f *File) Reset(server string, targets ...Target) ([]Entry, error) {
	if len(targets) == 0 {
		return f.forget(server)
	}
	return f.review(server, targets, func(e *edit, before Entry) (bool, error) {
		e.unpin(before.Kind, before.Name)
		if before.Kind == Instructions {
			e.own(Instructions).complete = false
		}
		return true, nil
	})
}

func (f *File) forget(server string) (done []Entry, err error) {
	err = f.update(func(c *content) (*content, error) {
		if c.servers[server] == nil {
			return nil, f.noServer(server)
		}
		done = entries(c, server)
		return c.with(server, nil), nil
	})
	return done, err
}

func (f *File) noServer(server string) error {
	return fmt.Errorf("server %q is not in %q", server, f.path)
}

// find returns the entries of the targets, in the targets' order, or all.
func find(list []Entry, targets []Target) ([]Entry, error) {
	if len(targets) == 0 {
		return list, nil
	}
	var found []Entry
	var errs []error
	for _, t := range targets {
		i := slices.IndexFunc(list, func(e Entry) bool { return e.Target == t })
		if i < 0 {
			errs = append(errs, fmt.Errorf("no %s", t))
			continue
		}
		found = append(found, list[i])
	}
	return found, errors.Join(errs...)
}

// review runs act on the entries of the targets, of all where there are none, and saves. act says whether
// it did something.
func (f *File) review(server string, targets []Target, act func(*edit, Entry) (bool, error)) ([]Entry, error) {
	var done []Entry
	err := f.update(func(c *content) (*content, error) {
		done = nil
		if c.servers[server] == nil {
			return nil, f.noServer(server)
		}
		e := &edit{base: c.server(server)}
		list, err := find(entries(c, server), targets)
		if err != nil {
			return nil, fmt.Errorf("server %q in %q: %w", server, f.path, err)
		}
		var errs []error
		for _, before := range list {
			did, err := act(e, before)
			errs = append(errs, err)
			if did {
				done = append(done, before)
			}
		}
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		if e.next == nil {
			return c, nil
		}
		return c.with(server, e.next), nil
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}
