package integrity

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// A content is one state of mcpx.lock. It is never changed once it is published; see edit.
type content struct {
	servers map[string]*server

	shadowsOnce sync.Once
	shadows     map[string][]string // skeleton of a pinned tool's name to the servers, sorted, that pinned one
}

// A server is what is known of one server, a pinSet for each Kind.
type server struct {
	sets [Instructions + 1]pinSet
}

// A pinSet holds the pins of one kind. Those of Instructions have the empty name.
type pinSet struct {
	pins     map[string]*entry
	pending  map[string]*entry // what was seen and is not as pinned, for people to review
	complete bool              // a whole list has been seen, or whether there are instructions
}

// definition returns the definition of that digest as the content has it, so that it is kept once, or else.
func (s *pinSet) definition(name, digest string, or []byte) []byte {
	for _, e := range [...]*entry{s.pins[name], s.pending[name]} {
		if e != nil && e.digest == digest && e.definition != nil {
			return e.definition
		}
	}
	return or
}

// maxServerSize bounds what one server has in mcpx.lock, in bytes as they stand there: others share the file, and none can fill it
// for them.
const maxServerSize = maxLockSize / 8

// check refuses a server of which too much would be kept: it invents new names all the time, or writes books.
func (s *server) check() error {
	for _, kind := range kinds {
		if n := max(len(s.sets[kind].pins), len(s.sets[kind].pending)); n > maxItems {
			return fmt.Errorf("%d definitions of kind %s, more than %d: see `mcpx pins list`", n, kind, maxItems)
		}
	}
	text, err := encode(&content{servers: map[string]*server{"": s}})
	if err != nil {
		return err
	}
	if len(text) > maxServerSize {
		return fmt.Errorf("its definitions are %d bytes in the lock file, more than %d", len(text), maxServerSize)
	}
	return nil
}

// An entry is a pin or what waits to become one. It is never changed.
type entry struct {
	digest     string
	definition []byte  // canonical
	approved   bool    // by a person, not by first use
	problem    problem // only of a pending one; all but digest and definition of it are empty then
}

// A problem says why a pending entry has no definition that could be approved.
type problem string

const (
	none      problem = ""
	gone      problem = "removed"
	twin      problem = "twin"
	malformed problem = "malformed"
)

var noServer = &server{}

// server returns what is known of a server; never nil.
func (c *content) server(name string) *server {
	if s := c.servers[name]; s != nil {
		return s
	}
	return noServer
}

// with returns the content with one server replaced, or removed where it is nil.
func (c *content) with(name string, s *server) *content {
	next := &content{servers: maps.Clone(c.servers)}
	if next.servers == nil {
		next.servers = make(map[string]*server, 1)
	}
	if next.servers[name] = s; s == nil {
		delete(next.servers, name)
	}
	return next
}

// shadowing returns another server that has pinned a tool of that name or one that looks like it, or "".
func (c *content) shadowing(name, toolSkeleton string) string {
	if len(c.servers) < 2 && c.servers[name] != nil {
		return ""
	}
	c.shadowsOnce.Do(c.indexShadows)
	for _, other := range c.shadows[toolSkeleton] {
		if other != name {
			return other
		}
	}
	return ""
}

func (c *content) indexShadows() {
	c.shadows = make(map[string][]string)
	for _, name := range slices.Sorted(maps.Keys(c.servers)) {
		for tool := range c.servers[name].sets[Tools].pins {
			s := skeleton(tool)
			if list := c.shadows[s]; len(list) == 0 || list[len(list)-1] != name {
				c.shadows[s] = append(list, name)
			}
		}
	}
}

// An edit changes a copy of a server, made at the first change that is one.
type edit struct {
	base, next *server // next is nil until then
	pinned     bool    // a pin was set, or the baseline completed: not only what waits for review changed
}

func (e *edit) current() *server {
	if e.next != nil {
		return e.next
	}
	return e.base
}

// own returns the set of that kind for writing.
func (e *edit) own(kind Kind) *pinSet {
	if e.next == nil {
		e.next = new(server)
		for k, set := range e.base.sets {
			e.next.sets[k] = pinSet{pins: maps.Clone(set.pins), pending: maps.Clone(set.pending), complete: set.complete}
		}
	}
	set := &e.next.sets[kind]
	if set.pins == nil {
		set.pins = make(map[string]*entry)
	}
	if set.pending == nil {
		set.pending = make(map[string]*entry)
	}
	return set
}

func (e *edit) pin(kind Kind, name string, pin *entry) {
	set := e.own(kind)
	set.pins[name] = pin
	delete(set.pending, name)
	e.pinned = true
}

func (e *edit) unpin(kind Kind, name string) {
	set := e.own(kind)
	delete(set.pins, name)
	delete(set.pending, name)
	e.pinned = true
}

// suspend remembers what was seen under a name instead of its pin.
func (e *edit) suspend(kind Kind, name string, seen *entry) {
	old := e.current().sets[kind].pending[name]
	if old == nil || old.digest != seen.digest || old.problem != seen.problem {
		e.own(kind).pending[name] = seen
	}
}

// clear forgets what waited for review under a name.
func (e *edit) clear(kind Kind, name string) {
	if _, ok := e.current().sets[kind].pending[name]; ok {
		delete(e.own(kind).pending, name)
	}
}

func (e *edit) complete(kind Kind) {
	if !e.current().sets[kind].complete {
		e.own(kind).complete = true
		e.pinned = true
	}
}
