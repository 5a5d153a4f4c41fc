package clients

import (
	"errors"
	"slices"
)

// A Change is what would become of a file.
type Change struct {
	File    *File
	After   []byte
	Done    []Server // as they will be
	Skipped []Skip

	edits []edit
	gone  map[string]bool // servers that will not be there any more
}

func (f *File) change() *Change { return &Change{File: f, gone: map[string]bool{}} }

// Empty reports whether the file stays as it is.
func (c *Change) Empty() bool { return len(c.edits) == 0 }

// Before is what the file holds now.
func (c *Change) Before() []byte { return c.File.source }

func (c *Change) skip(s *Server, reason error) { c.Skipped = append(c.Skipped, Skip{*s, reason}) }

func (c *Change) do(want *Server, edits []edit) {
	c.Done = append(c.Done, *want)
	c.edits = append(c.edits, edits...)
}

// id names a server within its file.
func (s *Server) id() string { return s.Project + "\x00" + s.Key }

// finish makes the edits and reads the result: what was meant must be there, and all other servers as they were.
func (c *Change) finish(f *File, same func(got, want *Server) bool) error {
	c.After = splice(f.source, c.edits)
	if c.Empty() {
		return nil
	}
	after := *f
	after.load(c.After)
	if after.Err != nil {
		return c.failed()
	}
	want := map[string]*Server{}
	for i := range c.Done {
		want[c.Done[i].id()] = &c.Done[i]
	}
	left := 0
	for i := range f.Servers {
		before := &f.Servers[i]
		if c.gone[before.id()] {
			continue
		}
		if want[before.id()] == nil {
			want[before.id()] = before
		}
	}
	for i := range after.Servers {
		got := &after.Servers[i]
		meant := want[got.id()]
		if meant == nil {
			return c.failed()
		}
		if ok := same(got, meant); !ok && !equal(got, meant) {
			return c.failed()
		}
		left++
	}
	if left != len(want) {
		return c.failed()
	}
	return nil
}

func (c *Change) failed() error {
	c.edits, c.Done, c.After = nil, nil, c.File.source
	return errors.New("it cannot be edited in place: do it by hand")
}

func equal(a, b *Server) bool {
	return a.State == b.State && a.Command == b.Command && slices.Equal(a.Args, b.Args) && a.URL == b.URL &&
		a.Disabled == b.Disabled && slices.Equal(a.Env, b.Env)
}
