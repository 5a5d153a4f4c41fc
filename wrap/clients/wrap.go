package clients

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Wrapping says what is put before commands.
type Wrapping struct {
	MCPX   string                        // what the client is to start
	Config string                        // for --config; "": none
	Only   func(s *Server) (bool, error) // which servers; an error says why one cannot be wrapped. nil: all
	Gone   func(command string) bool     // whether the mcpx that a wrapped server names is not there any more; nil: no matter
}

// Wrap puts mcpx before the command of each server that is not wrapped, and replaces an mcpx that is gone. Applied to its own result
// it changes nothing.
func (f *File) Wrap(w Wrapping) (*Change, error) {
	c := f.change()
	for i := range f.Servers {
		s := &f.Servers[i]
		stale := s.State == Wrapped && w.Gone != nil && w.Gone(s.Command)
		if s.State != Unwrapped && !stale {
			continue
		}
		if w.Only != nil {
			if ok, err := w.Only(s); err != nil {
				c.skip(s, err)
				continue
			} else if !ok {
				continue
			}
		}
		edits, err := f.wrap(s, w, stale)
		if err != nil {
			c.skip(s, err)
			continue
		}
		want := *s
		want.State, want.Command = Wrapped, w.MCPX
		if !stale {
			want.Inner, want.Name = append([]string{s.Command}, s.Args...), SafeName(s.Key)
		}
		c.do(&want, edits)
	}
	return c, c.finish(f, sameWrapped)
}

// Unwrap takes mcpx out again: the bytes of command and arguments are those that they were before Wrap.
func (f *File) Unwrap(only func(s *Server) bool) (*Change, error) {
	c := f.change()
	for i := range f.Servers {
		s := &f.Servers[i]
		if s.State != Wrapped || only != nil && !only(s) || len(s.Inner) == 0 && s.URL != "" {
			continue
		}
		if len(s.Inner) == 0 {
			c.skip(s, errors.New("its command is in mcpx's configuration, not here: write it here by hand"))
			continue
		}
		edits, err := f.unwrap(s)
		if err != nil {
			c.skip(s, err)
			continue
		}
		want := *s
		want.State, want.Command, want.Args, want.Inner, want.Name = Unwrapped, s.Inner[0], s.Inner[1:], nil, ""
		c.do(&want, edits)
	}
	return c, c.finish(f, sameCommand)
}

func sameWrapped(got, want *Server) bool {
	return got.State == want.State && got.Name == want.Name && got.Command == want.Command && slices.Equal(got.Inner, want.Inner)
}

func sameCommand(got, want *Server) bool {
	// What was wrapped twice, by hand, is wrapped still.
	return got.Command == want.Command && slices.Equal(got.Args, want.Args)
}

// errShape is the reason for which a file is not edited though it can be read.
var errShape = errors.New("it is written in a way that cannot be edited in place: write command and arguments as plain strings, each on one line")

func (f *File) wrap(s *Server, w Wrapping, stale bool) ([]edit, error) {
	sh, command := s.shape, s.shape.command.value
	if stale {
		if command.kind == array {
			command = command.elems[0]
		}
		if !command.raw {
			return nil, errShape
		}
		return []edit{{command.start, command.end, quote(w.MCPX)}}, nil
	}
	words := []string{"wrap", "--name", SafeName(s.Key)}
	if w.Config != "" {
		words = append(words, "--config", w.Config)
	}
	if command.kind == array {
		return f.prepend(command, append(append([]string{w.MCPX}, words...), "--"), "")
	}
	if !command.raw {
		return nil, errShape
	}
	own := string(f.source[command.start:command.end])
	replace := edit{command.start, command.end, quote(w.MCPX)}
	if sh.args == nil {
		return append(f.insertArgs(sh, words, own), replace), nil
	}
	if sh.args.value.kind != array {
		return nil, placeError(f.source, sh.args.value.start, "its args are no list")
	}
	edits, err := f.prepend(sh.args.value, append(words, "--"), own)
	return append(edits, replace), err
}

// prepend puts words, and a value as it is written, before the first item of a list.
func (f *File) prepend(list *node, words []string, written string) ([]edit, error) {
	items := make([]string, 0, len(words)+1)
	for _, w := range words {
		items = append(items, quote(w))
	}
	if written != "" {
		items = append(items, written)
	}
	switch {
	case !list.inline && len(list.elems) > 0:
		at := dash(f.source, list.elems[0])
		if at < 0 {
			return nil, errShape
		}
		gap := newline(f.source) + strings.Repeat(" ", columnOf(f.source, at))
		var b strings.Builder
		for _, item := range items {
			b.WriteString("- " + item + gap)
		}
		return []edit{{at, at, b.String()}}, nil
	case len(list.elems) == 0:
		return []edit{{list.start + 1, list.start + 1, strings.Join(items, ", ")}}, nil
	default:
		first := list.elems[0].start
		gap := " "
		if before := string(f.source[list.start:first]); strings.Contains(before, "\n") {
			gap = newline(f.source) + indent(f.source, first)
		}
		return []edit{{first, first, strings.Join(items, ", ") + "," + gap}}, nil
	}
}

// columnOf is how many characters stand before an offset in its line.
func columnOf(file []byte, offset int) int {
	_, column := position(file, offset)
	return len([]rune(string(file[offset-column+1 : offset])))
}

// insertArgs writes arguments where there are none. They get no "--" before the command: that is how unwrap knows that there were
// none, and takes them out whole.
func (f *File) insertArgs(sh shape, words []string, own string) []edit {
	items := make([]string, 0, len(words)+1)
	for _, w := range words {
		items = append(items, quote(w))
	}
	list := "[" + strings.Join(append(items, own), ", ") + "]"
	key, value := sh.command.start, sh.command.value
	switch {
	case f.format == formatJSON:
		gap := " "
		if i := strings.LastIndexByte(string(f.source[sh.holder.start:key]), '\n'); i >= 0 && onlySpace(f.source[sh.holder.start+i:key]) {
			gap = newline(f.source) + indent(f.source, key)
		}
		return []edit{{value.end, value.end, "," + gap + `"args": ` + list}}
	// In the others a comment may follow in the line of the command, so the arguments go before it.
	case f.format == formatTOML && !sh.holder.inline:
		return []edit{{key, key, f.dotted(sh) + "args = " + list + newline(f.source) + indent(f.source, key)}}
	case f.format == formatTOML:
		return []edit{{key, key, "args = " + list + ", "}}
	case sh.holder.inline:
		return []edit{{key, key, "args: " + list + ", "}}
	default:
		return []edit{{key, key, "args: " + list + newline(f.source) + strings.Repeat(" ", columnOf(f.source, key))}}
	}
}

// dotted is what stands before the last part of the command's key: servers.x.command has its args at servers.x.args.
func (f *File) dotted(sh shape) string {
	key := string(f.source[sh.command.start:sh.command.value.start])
	key = strings.TrimRight(key, " \t=")
	if i := strings.LastIndexByte(key, '.'); i >= 0 && strings.HasSuffix(strings.Trim(key[i+1:], ` "'`), "command") {
		return key[:i+1]
	}
	return ""
}

func onlySpace(b []byte) bool { return strings.TrimSpace(string(b)) == "" }

func (f *File) unwrap(s *Server) ([]edit, error) {
	sh, k := s.shape, s.inner.inner
	list := sh.command.value
	if list.kind == array { // mcpx is the first item, before its arguments
		return f.cut(list, list.elems[0], k+1)
	}
	args := sh.args.value
	own := args.elems[k]
	if !own.raw || !list.raw {
		return nil, errShape
	}
	replace := edit{list.start, list.end, string(f.source[own.start:own.end])}
	if !s.inner.dash && k == len(args.elems)-1 {
		if remove, ok := f.insertedArgs(sh); ok {
			return []edit{remove, replace}, nil
		}
	}
	edits, err := f.cut(args, args.elems[0], k+1)
	return append(edits, replace), err
}

// insertedArgs is the range that insertArgs has put there, if it stands there still.
func (f *File) insertedArgs(sh shape) (edit, bool) {
	command, args := sh.command, sh.args
	if f.format == formatJSON {
		between := string(f.source[command.value.end:max(args.start, command.value.end)])
		return edit{start: command.value.end, end: args.value.end}, strings.TrimSpace(between) == ","
	}
	if args.start > command.start || !args.value.inline {
		return edit{}, false
	}
	last := args.value.elems[len(args.value.elems)-1]
	between, ok := strings.CutPrefix(strings.TrimSpace(string(f.source[last.end:command.start])), "]")
	return edit{start: args.start, end: command.start}, ok && strings.Trim(between, " \t,") == ""
}

// cut removes the items from the first one to before the k-th.
func (f *File) cut(list, first *node, k int) ([]edit, error) {
	start, end := first.start, 0
	switch {
	case list.inline && k < len(list.elems):
		end = list.elems[k].start
	case list.inline:
		end = list.elems[len(list.elems)-1].end
	case k < len(list.elems):
		start, end = dash(f.source, first), dash(f.source, list.elems[k])
	default:
		last := list.elems[len(list.elems)-1]
		if !last.raw || dash(f.source, first) < 0 {
			return nil, errShape
		}
		return []edit{{dash(f.source, first), last.end, "[]"}}, nil
	}
	if start < 0 || end < start {
		return nil, errShape
	}
	return []edit{{start: start, end: end}}, nil
}

// A Skip is a server that was to be changed and was not.
type Skip struct {
	Server
	Reason error
}

func (s Skip) Error() string { return fmt.Sprintf("%d: server %q: %v", s.Line, s.Key, s.Reason) }
