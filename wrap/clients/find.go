package clients

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A File is one file of a client as it was read.
type File struct {
	Client  Client
	Path    string
	Scope   Scope
	Servers []Server
	Err     error // why it cannot be used; then there are no servers
	Many    bool  // one of any number of files that the client reads beside its main one

	new    bool // there is no such file yet
	format format
	maps   []servers
	self   string // see Env.Self
	source []byte
	root   *node
}

// A State says what stands between the client and a server.
type State string

// The states of a server.
const (
	Unwrapped State = "unwrapped" // its command is started as it is
	Wrapped   State = "wrapped"   // by mcpx, whatever its path
	Remote    State = "remote"    // it is at a URL: connect puts a hub before it
	Builtin   State = "builtin"   // part of the client, or of an extension of it: nothing can be put before it
)

// A Server is one entry of a file.
type Server struct {
	Key      string // as the client calls it
	Project  string // the folder that the entry is for, where a file has entries for several
	State    State
	Disabled bool // the client does not start it
	Command  string
	Args     []string
	URL      string   // of a Remote one, or what mcpx wraps in place of a command
	Inner    []string // the command that mcpx wraps; none: it is in mcpx's own configuration, or there is a URL
	Name     string   // that mcpx gives it: --name
	Env      []string // names of variables; their values are nobody's business
	Line     int

	entry *node
	shape shape
	inner wrapWords
}

// A shape is where in an entry its command is.
type shape struct {
	holder  *node   // the object with both
	command *member // text, or an array with the arguments
	args    *member // nil: none, or the command is an array
}

// Find reads all files of all clients that exist on a machine.
func Find(env Env) []File {
	var files []File
	seen := map[string]bool{}
	for _, client := range table {
		for _, p := range client.files {
			for _, path := range env.paths(p) {
				if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || seen[path] {
					continue
				}
				seen[path] = true // the same file in two places of the table, or home is the project
				files = append(files, read(client, p, path, env.Self))
				files[len(files)-1].Many = strings.Contains(p.path, "*")
			}
		}
	}
	return files
}

// paths gives where a place is on this machine.
func (e Env) paths(p place) []string {
	if p.os != "" && !slices.Contains(strings.Fields(p.os), e.OS) {
		return nil
	}
	path := e.expand(p.path)
	switch {
	case path == "":
		return nil
	case !strings.Contains(p.path, "*"):
		return []string{path}
	}
	// Only the last part of the pattern is one: what stands before it may hold brackets of its own.
	base, pattern, _ := strings.Cut(filepath.ToSlash(path), "*")
	folder := base[:strings.LastIndex(base, "/")+1]
	entries, err := os.ReadDir(filepath.FromSlash(folder))
	if err != nil {
		return nil
	}
	var found []string
	for _, entry := range entries {
		name := entry.Name()
		if strings.Contains(pattern, "/") {
			found = append(found, filepath.FromSlash(folder+name+pattern))
		} else if strings.HasSuffix(name, pattern) && !entry.IsDir() {
			found = append(found, filepath.FromSlash(folder+name))
		}
	}
	return found
}

// Open reads a file that is none of those in the table, as one of a client.
func Open(env Env, client Client, path string) File {
	want := formatJSON
	switch strings.ToLower(filepath.Ext(path)) {
	case ".toml":
		want = formatTOML
	case ".yaml", ".yml":
		want = formatYAML
	}
	chosen := client.files[0]
	for _, p := range client.files {
		if p.format == want {
			chosen = p
			break
		}
	}
	return read(client, chosen, path, env.Self)
}

// New returns the file that a client that has none yet would read, if its folder shows that the client is there.
func New(env Env, client Client, scope Scope) (File, bool) {
	for _, p := range client.files {
		if p.scope != scope || strings.Contains(p.path, "*") {
			continue
		}
		for _, path := range env.paths(p) {
			if info, err := os.Stat(filepath.Dir(path)); err == nil && info.IsDir() {
				f := read(client, p, path, env.Self)
				return f, f.new && f.Err == nil
			}
		}
	}
	return File{}, false
}

func read(client Client, p place, path, self string) File {
	f := File{Client: client, Path: path, Scope: p.scope, format: p.format, maps: p.maps, self: self}
	source, err := readLimited(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.new = true
	case err != nil:
		f.Err = fmt.Errorf("read it: %w", err)
		return f
	}
	f.load(source)
	return f
}

func readLimited(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil { // before it is opened: that would wait for who writes to a pipe
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	source, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(source) > maxFile {
		err = fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return source, err
}

// load reads what a file holds.
func (f *File) load(source []byte) {
	f.source, f.Servers, f.Err = source, nil, nil
	switch f.format {
	case formatTOML:
		f.root, f.Err = parseTOML(source)
	case formatYAML:
		f.root, f.Err = parseYAML(source)
	default:
		f.root, f.Err = parseJSON(source)
	}
	if f.Err == nil && f.root.kind != object {
		f.Err = placeError(source, f.root.start, "an object is expected")
	}
	for _, m := range f.maps {
		if f.Err == nil {
			f.Err = f.collect(f.root, m, m.path, "")
		}
	}
	if f.Err != nil {
		f.Servers = nil
	}
}

// collect follows the path to a map of servers and reads them. A name that stands twice on the way is an error: which of the two the
// client takes is its secret.
func (f *File) collect(n *node, m servers, path []string, project string) error {
	if n.twice != "" && (len(path) == 0 || n.twice == path[0]) {
		return placeError(f.source, n.twiceAt, "%q is there twice", n.twice)
	}
	if len(path) == 0 {
		return f.readServers(n, m, project)
	}
	if n.kind != object {
		return nil // a client's own business, until somebody writes servers there
	}
	if path[0] == "*" {
		for _, each := range n.members {
			if err := f.collect(each.value, m, path[1:], each.key); err != nil {
				return err
			}
		}
		return nil
	}
	if next := n.value(path[0]); next != nil {
		return f.collect(next, m, path[1:], project)
	}
	return nil
}

func (f *File) readServers(n *node, m servers, project string) error {
	if m.list && n.kind != array && n.kind != other {
		return placeError(f.source, n.start, "a list of servers is expected here")
	}
	if m.list {
		seen := map[string]bool{}
		for i, item := range n.elems {
			key := ""
			if name := item.value("name"); name.is(text) {
				key = name.text
			}
			if key == "" || seen[key] {
				key = fmt.Sprintf("%s#%d", key, i+1)
			}
			seen[key] = true
			if err := f.readServer(key, item, item.start, project); err != nil {
				return err
			}
		}
		return nil
	}
	if n.kind == other || n.kind == object {
		for _, each := range n.members {
			if slices.Contains(m.skip, each.key) {
				continue
			}
			if err := f.readServer(each.key, each.value, each.start, project); err != nil {
				return err
			}
		}
		return nil
	}
	return placeError(f.source, n.start, "servers are expected here, by name")
}

func (f *File) readServer(key string, entry *node, at int, project string) error {
	if entry.kind != object {
		return nil
	}
	if entry.twice != "" {
		return placeError(f.source, entry.twiceAt, "%q is there twice", entry.twice)
	}
	s := Server{Key: key, Project: project, State: Builtin, entry: entry}
	s.Line, _ = position(f.source, at)
	disabled, enabled := entry.value("disabled"), entry.value("enabled")
	s.Disabled = disabled.is(boolean) && disabled.text == "true" || enabled.is(boolean) && enabled.text == "false"
	for _, name := range []string{"env", "environment", "envs"} {
		if values := entry.value(name); values.is(object) {
			for _, v := range values.members {
				s.Env = append(s.Env, v.key)
			}
		}
	}
	for _, name := range []string{"url", "serverUrl", "httpUrl", "uri"} {
		if url := entry.value(name); url.is(text) {
			s.State, s.URL = Remote, url.text
		}
	}
	s.findShape(f.Client.command)
	if sh := s.shape; sh.command != nil && sh.holder.twice != "" {
		return placeError(f.source, sh.holder.twiceAt, "%q is there twice", sh.holder.twice)
	}
	if s.shape.command != nil {
		s.State, s.URL = Unwrapped, ""
		s.judge(f.self)
	}
	f.Servers = append(f.Servers, s)
	return nil
}

// findShape finds the command of an entry in one of the ways in which clients write it.
func (s *Server) findShape(name string) {
	if name == "" {
		name = "command"
	}
	command := s.entry.member(name)
	switch {
	case command == nil:
		return
	case command.value.kind == object && command.value.value("path").is(text): // Zed used to
		s.shape = shape{command.value, command.value.member("path"), command.value.member("args")}
	case command.value.kind == text:
		s.shape = shape{s.entry, command, s.entry.member("args")}
	case command.value.kind == array && len(command.value.elems) > 0: // OpenCode
		s.shape = shape{s.entry, command, nil}
	default:
		return
	}
	words := s.shape.words()
	s.Command, s.Args = words[0], words[1:]
}

// words gives the command line.
func (sh shape) words() []string {
	var words []string
	if sh.command.value.kind == text {
		words = append(words, sh.command.value.text)
	} else {
		words = append(words, texts(sh.command.value)...)
	}
	if sh.args != nil {
		words = append(words, texts(sh.args.value)...)
	}
	return words
}

func texts(list *node) []string {
	var words []string
	for _, elem := range list.elems {
		words = append(words, elem.text)
	}
	return words
}
