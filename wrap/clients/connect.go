package clients

import (
	"bytes"
	"errors"
	"slices"
	"strings"
)

// A HubServer is a server of a hub, as a client reaches it.
type HubServer struct{ Name, URL string }

// Connect adds servers of a hub, in the client's own way to write a server at a URL, or as a command of mcpx where it has none.
// What has that URL already is left alone, and so is a server of the same name.
func (f *File) Connect(list []HubServer, mcpx string) (*Change, error) {
	c := f.change()
	var add []branch
	for _, h := range list {
		if slices.ContainsFunc(f.Servers, func(s Server) bool { return s.URL == h.URL }) {
			continue
		}
		if i := slices.IndexFunc(f.Servers, func(s Server) bool { return s.Key == h.Name && s.Project == "" }); i >= 0 {
			c.skip(&f.Servers[i], errors.New("the client has another server of that name: rename or remove it first"))
			continue
		}
		want := Server{Key: h.Name, State: Remote, URL: h.URL}
		entry := branch{key: h.Name}
		if f.Client.remote == nil {
			want.State = Wrapped
			args := []string{quote("wrap"), quote("--name"), quote(SafeName(h.Name)), quote("--url"), quote(h.URL)}
			entry.kids = []branch{{key: "command", raw: quote(mcpx)}, {key: "args", raw: "[" + strings.Join(args, ", ") + "]"}}
		}
		fill := strings.NewReplacer("{url}", quote(h.URL), "{name}", quote(h.Name))
		for _, p := range f.Client.remote {
			entry.kids = append(entry.kids, branch{key: p.name, raw: fill.Replace(p.value)})
		}
		add = append(add, entry)
		c.Done = append(c.Done, want)
	}
	if len(add) == 0 {
		return c, nil
	}
	var err error
	switch f.format {
	case formatTOML:
		c.edits = f.addTOML(add)
	case formatYAML:
		c.edits, err = f.addYAML(add)
	default:
		c.edits, err = f.addJSON(add)
	}
	if err != nil {
		return f.change(), err
	}
	return c, c.finish(f, func(got, want *Server) bool { return got.State == want.State && got.URL == want.URL })
}

// container finds the deepest existing object on the way to where servers are to be added, and the names that are missing below it.
func (f *File) container() (n *node, missing []string) {
	chosen := f.maps[0]
	for _, m := range slices.Backward(f.maps) {
		if !slices.Contains(m.path, "*") && f.at(m.path) != nil {
			chosen = m
		}
	}
	n, missing = f.root, chosen.path
	for len(missing) > 0 {
		next := n.value(missing[0])
		if next == nil {
			break
		}
		n, missing = next, missing[1:]
	}
	return n, missing
}

func (f *File) at(path []string) *node {
	n := f.root
	for _, name := range path {
		n = n.value(name)
	}
	return n
}

// A branch is a member that is to be written: a value as it is written, or members below.
type branch struct {
	key, raw string
	kids     []branch
}

func below(missing []string, kids []branch) []branch {
	for _, name := range slices.Backward(missing) {
		kids = []branch{{key: name, kids: kids}}
	}
	return kids
}

// json writes a member as JSON. An empty unit keeps it in one line.
func (b branch) json(ind, unit, nl string) string {
	if b.kids == nil {
		return quote(b.key) + ": " + b.raw
	}
	open, between, end := nl+ind+unit, ","+nl+ind+unit, nl+ind
	if unit == "" {
		open, between, end = "", ", ", ""
	}
	kids := make([]string, len(b.kids))
	for i, kid := range b.kids {
		kids[i] = kid.json(ind+unit, unit, nl)
	}
	return quote(b.key) + ": {" + open + strings.Join(kids, between) + end + "}"
}

func (f *File) addJSON(add []branch) ([]edit, error) {
	obj, missing := f.container()
	add = below(missing, add)
	nl := newline(f.source)
	if !f.root.inline { // nothing is there yet
		whole := branch{kids: add}
		written, _ := strings.CutPrefix(whole.json("", "  ", nl), `"": `)
		return []edit{{f.root.start, f.root.end, written + nl}}, nil
	}
	if obj.kind != object {
		return nil, placeError(f.source, obj.start, "an object is expected")
	}
	unit := f.unit()
	write := func(ind string) []string {
		texts := make([]string, len(add))
		for i, b := range add {
			texts[i] = b.json(ind, unit, nl)
		}
		return texts
	}
	if len(obj.members) == 0 {
		at := obj.start + 1
		ind := indent(f.source, obj.start)
		if unit == "" {
			return []edit{{at, at, strings.Join(write(""), ", ")}}, nil
		}
		written := nl + ind + unit + strings.Join(write(ind+unit), ","+nl+ind+unit)
		if !bytes.ContainsRune(f.source[at:obj.end], '\n') {
			written += nl + ind
		}
		return []edit{{at, at, written}}, nil
	}
	first, last := obj.members[0], obj.members[len(obj.members)-1]
	gap, ind := " ", ""
	if unit != "" && bytes.ContainsRune(f.source[obj.start:first.start], '\n') {
		ind = indent(f.source, first.start)
		gap = nl + ind
	} else {
		unit = ""
	}
	var b strings.Builder
	at := last.value.end
	for _, written := range write(ind) {
		if obj.comma > 0 {
			at = obj.comma
			b.WriteString(gap + written + ",")
		} else {
			b.WriteString("," + gap + written)
		}
	}
	return []edit{{at, at, b.String()}}, nil
}

// unit is what one level is indented by; "" in a file that is one line.
func (f *File) unit() string {
	if len(f.root.members) == 0 {
		return "  "
	}
	first := f.root.members[0].start
	if !bytes.ContainsRune(f.source[f.root.start:first], '\n') {
		return ""
	}
	if ind := indent(f.source, first); ind != "" {
		return ind
	}
	return "  "
}

func (f *File) addTOML(add []branch) []edit {
	nl := newline(f.source)
	var b strings.Builder
	if len(f.source) > 0 && !bytes.HasSuffix(f.source, []byte("\n")) {
		b.WriteString(nl)
	}
	for _, server := range add {
		if len(f.source) > 0 || b.Len() > 0 {
			b.WriteString(nl)
		}
		b.WriteString("[" + strings.Join(f.maps[0].path, ".") + "." + tomlKey(server.key) + "]" + nl)
		for _, kid := range server.kids {
			b.WriteString(kid.key + " = " + kid.raw + nl)
		}
	}
	end := len(f.source)
	return []edit{{end, end, b.String()}}
}

func tomlKey(key string) string {
	const bare = "abcdefghijklmnopqrstuvwxyz0123456789_-" // TOML lets capitals stand without quotes too
	if key != "" && strings.Trim(key, bare) == "" {
		return key
	}
	return quote(key)
}

func (f *File) addYAML(add []branch) ([]edit, error) {
	m := f.maps[0]
	at, missing := f.container()
	nl := newline(f.source)
	switch {
	case len(missing) > 0 && f.root.inline:
		return nil, errShape
	case len(missing) > 0:
		end := len(f.source)
		written := missing[0] + ":" + nl + yamlBlock(add, "  ", nl, m.list)
		if end > 0 && f.source[end-1] != '\n' {
			written = nl + written
		}
		return []edit{{end, end, written}}, nil
	case len(at.members)+len(at.elems) == 0:
		value := string(f.source[at.start:min(at.start+2, len(f.source))])
		if value != "{}" && value != "[]" {
			return nil, placeError(f.source, at.start, "write [] or {} here, or remove the line")
		}
		written := strings.TrimSuffix(nl+yamlBlock(add, "  ", nl, m.list), nl)
		return []edit{{at.start, at.start + 2, written}}, nil
	case at.inline:
		return nil, errShape
	}
	// Where the last one ends is hard to say in YAML; where the first one begins is not.
	first := 0
	if m.list {
		first = dash(f.source, at.elems[0])
	} else {
		first = at.members[0].start
	}
	if first < 0 {
		return nil, errShape
	}
	ind := indent(f.source, first)
	start := first - len(ind)
	return []edit{{start, start, yamlBlock(add, ind, nl, m.list)}}, nil
}

func yamlBlock(add []branch, ind, nl string, list bool) string {
	var b strings.Builder
	for _, server := range add {
		head := ind + tomlKey(server.key) + ":" + nl
		if list {
			head = ind + "- name: " + quote(server.key) + nl
		}
		b.WriteString(head)
		for _, kid := range server.kids {
			b.WriteString(ind + "  " + kid.key + ": " + kid.raw + nl)
		}
	}
	return b.String()
}
