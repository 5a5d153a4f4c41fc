package integrity

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// decode reads mcpx.lock strictly: an unknown member may be a rule that this version would not follow.
func decode(data []byte) (*content, error) {
	r := lockReader{jsontext.NewDecoder(bytes.NewBuffer(data))}
	c, err := r.content()
	if err == nil {
		if _, end := r.d.ReadToken(); !errors.Is(end, io.EOF) {
			err = errors.New("something follows the end of the file's object")
		}
	}
	if err != nil {
		return nil, r.locate(data, err)
	}
	return c, nil
}

// A lockReader reads the file in one pass. Its decoder refuses invalid UTF-8 and names that occur twice.
type lockReader struct{ d *jsontext.Decoder }

// locate says where in the file an error is: line, column, and the path to the member.
func (r lockReader) locate(data []byte, err error) error {
	offset, path := r.d.InputOffset(), r.d.StackPointer()
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		offset, path, err = syntax.ByteOffset, syntax.JSONPointer, syntax.Err
	}
	before := data[:min(int64(len(data)), max(0, offset))]
	line, column := 1+bytes.Count(before, []byte("\n")), len(before)-bytes.LastIndexByte(before, '\n')
	if path == "" {
		return fmt.Errorf("line %d, column %d: %w", line, column, err)
	}
	return fmt.Errorf("line %d, column %d: %s: %w", line, column, Visible(string(path)), err)
}

// object reads an object; member reads the value of each member.
func (r lockReader) object(member func(name string) error) error {
	switch t, err := r.d.ReadToken(); {
	case err != nil:
		return err
	case t.Kind() != '{':
		return errors.New("not an object")
	}
	for {
		name, err := r.d.ReadToken()
		if err != nil || name.Kind() == '}' {
			return err
		}
		if err := member(name.String()); err != nil {
			return err
		}
	}
}

func (r lockReader) text() (string, error) {
	t, err := r.d.ReadToken()
	if err == nil && t.Kind() != '"' {
		err = errors.New("not a string")
	}
	if err != nil {
		return "", err
	}
	return t.String(), nil
}

var errUnknownMember = errors.New("unknown member")

func (r lockReader) content() (*content, error) {
	c := &content{servers: make(map[string]*server)}
	versioned := false
	err := r.object(func(name string) error {
		switch name {
		case "version":
			versioned = true
			return r.version()
		case "servers":
			return r.object(func(name string) (err error) {
				c.servers[name], err = r.server()
				return err
			})
		default:
			return errUnknownMember
		}
	})
	if err == nil && !versioned {
		err = errors.New("no version: this is no lock file of mcpx")
	}
	return c, err
}

func (r lockReader) version() error {
	value, err := r.d.ReadValue()
	if err == nil && string(value) != strconv.Itoa(lockVersion) {
		err = fmt.Errorf("version %s: this mcpx knows version %d; use a newer one", Visible(string(value)), lockVersion)
	}
	return err
}

func (r lockReader) server() (*server, error) {
	s := new(server)
	err := r.object(func(name string) error {
		switch name {
		case "complete":
			return r.complete(s)
		case "pending":
			return r.object(func(name string) error { return r.section(s, name, true) })
		default:
			return r.section(s, name, false)
		}
	})
	return s, err
}

func sectionKind(name string) (Kind, bool) {
	for _, section := range sections {
		if section.name == name {
			return section.kind, true
		}
	}
	return 0, false
}

// complete reads the list of kinds of which a whole list was seen.
func (r lockReader) complete(s *server) error {
	switch t, err := r.d.ReadToken(); {
	case err != nil:
		return err
	case t.Kind() != '[':
		return errors.New("not a list")
	}
	for r.d.PeekKind() != ']' {
		name, err := r.text()
		if err != nil {
			return err
		}
		kind, ok := sectionKind(name)
		if !ok {
			return fmt.Errorf("unknown kind %q", name)
		}
		s.sets[kind].complete = true
	}
	_, err := r.d.ReadToken()
	return err
}

// section reads the pins, or what is pending, of one kind.
func (r lockReader) section(s *server, name string, pending bool) error {
	kind, ok := sectionKind(name)
	if !ok {
		return errUnknownMember
	}
	entries := make(map[string]*entry)
	read := func(name string) (err error) {
		entries[name], err = r.entry(pending)
		return err
	}
	var err error
	if kind == Instructions {
		err = read("")
	} else {
		err = r.object(read)
	}
	if pending {
		s.sets[kind].pending = entries
	} else {
		s.sets[kind].pins = entries
	}
	return err
}

func (r lockReader) entry(pending bool) (*entry, error) {
	e := new(entry)
	err := r.object(func(name string) (err error) {
		switch {
		case name == "digest":
			e.digest, err = r.text()
		case name == "definition":
			var raw jsontext.Value
			raw, err = r.d.ReadValue()
			e.definition = compact(raw)
		case name == "approved":
			var t jsontext.Token
			if t, err = r.d.ReadToken(); err == nil && t.Kind() != 't' {
				err = errors.New("not true")
			}
			e.approved = true
		case name == "problem" && pending:
			var text string
			text, err = r.text()
			e.problem = problem(text)
		default:
			err = errUnknownMember
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return e, e.check()
}

// check refuses an entry whose digest is not that of its definition: what a reviewer reads in the file is
// what is enforced.
func (e *entry) check() error {
	switch e.problem {
	case none:
	case gone, twin, malformed:
		if e.digest != "" || e.definition != nil || e.approved {
			return errors.New("a problem together with a definition")
		}
		return nil
	default:
		return fmt.Errorf("unknown problem %q", string(e.problem))
	}
	if e.digest == "" || e.definition == nil {
		return errors.New("digest or definition missing")
	}
	if version, _, _ := strings.Cut(e.digest, ":"); version != digestVersion {
		return fmt.Errorf("digest %s: version %q is unknown to this mcpx, which knows %q; use a newer one", Visible(e.digest), version, digestVersion)
	}
	if e.digest == digestOf(e.definition) {
		return nil // as encode wrote it, nearly always
	}
	canonical, err := canonicalize(e.definition)
	if err != nil {
		return err
	}
	if want := digestOf(canonical); e.digest != want {
		return fmt.Errorf("digest %s is not that of the definition beside it, %s", Visible(e.digest), want)
	}
	e.definition = canonical
	return nil
}

// compact returns a copy of valid JSON without the white space between its tokens.
func compact(value []byte) []byte {
	out := make([]byte, 0, len(value))
	for i := 0; i < len(value); {
		switch value[i] {
		case ' ', '\t', '\r', '\n':
			i++
		case '"':
			end := stringEnd(value, i)
			out = append(out, value[i:end]...)
			i = end
		default:
			out = append(out, value[i])
			i++
		}
	}
	return out
}
