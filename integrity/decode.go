package integrity

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// decode reads mcpx.lock strictly: an unknown member may be a rule that this version would not follow.
func decode(data []byte) (*content, error) {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	value, err := d.ReadValue()
	if err != nil {
		return nil, position(data, err)
	}
	value = value.Clone()
	if _, err := d.ReadToken(); err != io.EOF {
		line, column := lineColumn(data, d.InputOffset())
		return nil, fmt.Errorf("line %d, column %d: something follows the end of the file's object", line, column)
	}
	return readContent(value)
}

// position turns a syntax error into one that says where in the file it is.
func position(data []byte, err error) error {
	syntax, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok {
		line, column := lineColumn(data, int64(len(data)))
		return fmt.Errorf("line %d, column %d: %w", line, column, err) // the end came too early
	}
	line, column := lineColumn(data, syntax.ByteOffset)
	return fmt.Errorf("line %d, column %d: %w", line, column, syntax.Err)
}

func lineColumn(data []byte, offset int64) (line, column int) {
	before := data[:min(int64(len(data)), max(0, offset))]
	return 1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')
}

func readContent(value []byte) (*content, error) {
	version := jsonrpc.Member(value, "version")
	switch {
	case version == nil:
		return nil, errors.New("no version: not a lock file of mcpx")
	case string(version) != fmt.Sprint(lockVersion):
		return nil, fmt.Errorf("version %s: this mcpx knows version %d", Visible(string(version)), lockVersion)
	}
	c := &content{servers: make(map[string]*server)}
	for name, member := range jsonrpc.Members(value) {
		switch string(name) {
		case "version":
		case "servers":
			if !isObject(member) {
				return nil, errors.New("servers: not an object")
			}
			for name, raw := range jsonrpc.Members(member) {
				s, err := readServer(raw)
				if err != nil {
					return nil, fmt.Errorf("servers.%s%w", Visible(string(name)), err)
				}
				c.servers[string(name)] = s
			}
		default:
			return nil, unknownMember("", name)
		}
	}
	return c, nil
}

// The errors of the functions below begin with what follows the path so far: ".tools.read_file: …".

func unknownMember(path string, name []byte) error {
	return fmt.Errorf("%s: unknown member %q", path, name)
}

func readServer(raw []byte) (*server, error) {
	if !isObject(raw) {
		return nil, errors.New(": not an object")
	}
	s := new(server)
	for name, value := range jsonrpc.Members(raw) {
		switch string(name) {
		case "complete":
			if err := readComplete(s, value); err != nil {
				return nil, err
			}
		case "pending":
			if !isObject(value) {
				return nil, errors.New(".pending: not an object")
			}
			for name, value := range jsonrpc.Members(value) {
				if err := readSection(s, name, value, true); err != nil {
					return nil, fmt.Errorf(".pending%w", err)
				}
			}
		default:
			if err := readSection(s, name, value, false); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

func sectionKind(name []byte) (Kind, bool) {
	for _, section := range sections {
		if section.name == string(name) {
			return section.kind, true
		}
	}
	return 0, false
}

func readComplete(s *server, list []byte) error {
	if len(list) == 0 || list[0] != '[' {
		return errors.New(".complete: not a list")
	}
	for element := range jsonrpc.Elements(list) {
		name, _ := jsonrpc.Text(element)
		kind, ok := sectionKind(name)
		if !ok {
			return fmt.Errorf(".complete: unknown kind %s", Visible(string(element)))
		}
		s.sets[kind].complete = true
	}
	return nil
}

func readSection(s *server, name, value []byte, pending bool) error {
	kind, ok := sectionKind(name)
	if !ok {
		return unknownMember("", name)
	}
	if !isObject(value) {
		return fmt.Errorf(".%s: not an object", name)
	}
	entries := make(map[string]*entry)
	if kind == Instructions {
		e, err := readEntry(value, pending)
		if err != nil {
			return fmt.Errorf(".%s%w", name, err)
		}
		entries[""] = e
	} else {
		for item, raw := range jsonrpc.Members(value) {
			e, err := readEntry(raw, pending)
			if err != nil {
				return fmt.Errorf(".%s.%s%w", name, Visible(string(item)), err)
			}
			entries[string(item)] = e
		}
	}
	if pending {
		s.sets[kind].pending = entries
	} else {
		s.sets[kind].pins = entries
	}
	return nil
}

func readEntry(raw []byte, pending bool) (*entry, error) {
	if !isObject(raw) {
		return nil, errors.New(": not an object")
	}
	e := new(entry)
	for name, value := range jsonrpc.Members(raw) {
		text, isText := jsonrpc.Text(value)
		switch {
		case string(name) == "digest" && isText:
			e.digest = string(text)
		case string(name) == "definition":
			e.definition = value
		case string(name) == "approved" && string(value) == "true":
			e.approved = true
		case string(name) == "problem" && pending && isText:
			e.problem = problem(text)
		default:
			return nil, fmt.Errorf(".%s: unknown member or value", Visible(string(name)))
		}
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
			return errors.New(": a problem together with a definition")
		}
		return nil
	default:
		return fmt.Errorf(": unknown problem %q", string(e.problem))
	}
	if e.digest == "" || e.definition == nil {
		return errors.New(": digest or definition missing")
	}
	if version, _, _ := strings.Cut(e.digest, ":"); version != digestVersion {
		return fmt.Errorf(": digest %s: version %q is unknown to this mcpx, which knows %q; use a newer mcpx", Visible(e.digest), version, digestVersion)
	}
	canonical, err := canonicalize(e.definition)
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	if want := digestOf(canonical); e.digest != want {
		return fmt.Errorf(": digest %s is not that of the definition beside it, %s", Visible(e.digest), want)
	}
	e.definition = canonical
	return nil
}

func isObject(raw []byte) bool { return len(raw) > 0 && raw[0] == '{' }
