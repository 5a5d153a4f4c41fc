package stdio

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// A search finds a program. It holds all that the answer depends on, so that it can be asked about
// any system on any other.
type search struct {
	windows bool
	path    string                    // the child's PATH
	pathext string                    // the child's PATHEXT; Windows only
	dir     string                    // the child's working directory; empty: ours
	home    string                    // the user's; empty: unknown
	probe   func(path string) fileUse // what is at path
	list    func(dir string) []string // names in dir
}

type fileUse int

const (
	noFile fileUse = iota
	noProgram
	program
)

// findCommand finds name as the child's environment would and returns the environment to start it
// with. Relative entries of PATH, the current directory among them, are passed over, as os/exec
// does; so a program lying about in a workspace is not taken for the server.
//
// Clients that were started by a desktop have a PATH of /usr/bin:/bin or so. What is not in PATH
// is looked for where installers put programs (see usualPlaces); when it is there, that folder
// goes in front of the child's PATH, so that npx finds its node.
func findCommand(name, dir string, env []string) (path string, childEnv []string, err error) {
	s := newSearch(dir, env)
	path, place, err := s.find(name)
	if err != nil {
		return "", nil, fmt.Errorf("find command %q: %w", name, err)
	}
	if place != "" {
		env = withEnv(env, "PATH", place+string(os.PathListSeparator)+s.path)
	}
	return path, env, nil
}

// find returns the program, and the usual place where it was if PATH did not have it.
func (s search) find(name string) (path, place string, err error) {
	if s.isPath(name) {
		path, err = s.at(s.absolute(name))
		return path, "", err
	}
	refused := ""
	try := func(folder string) bool {
		p, use := s.in(folder, name)
		switch use {
		case program:
			path = p
		case noProgram:
			refused = cmp.Or(refused, p)
		case noFile:
		}
		return path != ""
	}
	for folder := range strings.SplitSeq(s.path, s.listSeparator()) {
		if s.isAbsolute(folder) && try(folder) {
			return path, "", nil
		}
	}
	places := s.usualPlaces()
	for _, folder := range places {
		if try(folder) {
			return path, folder, nil
		}
	}
	if refused != "" {
		return "", "", fmt.Errorf("%q cannot be executed: %w", refused, fs.ErrPermission)
	}
	also := ""
	if len(places) > 0 {
		also = " and " + strings.Join(places, s.listSeparator())
	}
	return "", "", fmt.Errorf("%w: searched PATH %q%s; give its absolute path", exec.ErrNotFound, s.path, also)
}

// at is for a name that says where it is.
func (s search) at(path string) (string, error) {
	found, use := s.in("", path)
	switch use {
	case program:
		return found, nil
	case noProgram:
		return "", fmt.Errorf("%q cannot be executed: %w", found, fs.ErrPermission)
	default:
		return "", fmt.Errorf("%w: there is no file %q", exec.ErrNotFound, path)
	}
}

// in looks for name in folder, on Windows with the extensions of PATHEXT as cmd.exe does: a name
// that has an extension is tried as it is first.
func (s search) in(folder, name string) (string, fileUse) {
	path := name
	if folder != "" {
		path = strings.TrimRight(folder, s.separators()) + s.separators()[:1] + name
	}
	if !s.windows {
		return path, s.probe(path)
	}
	base := path[strings.LastIndexAny(path, s.separators())+1:]
	if strings.Contains(base, ".") {
		if use := s.probe(path); use != noFile {
			return path, use
		}
	}
	for ext := range strings.SplitSeq(cmp.Or(s.pathext, ".COM;.EXE;.BAT;.CMD"), ";") {
		if ext = strings.ToLower(strings.TrimSpace(ext)); ext == "" {
			continue
		}
		if use := s.probe(path + ext); use != noFile {
			return path + ext, use
		}
	}
	return path, noFile
}

// usualPlaces are where package managers and version managers put programs, without a shell's
// start-up files having to say so.
func (s search) usualPlaces() []string {
	if s.windows { // installers change the PATH of the whole desktop there
		return nil
	}
	places := []string{"/usr/local/bin", "/opt/homebrew/bin"}
	if s.home == "" {
		return places
	}
	for _, p := range []string{".local/bin", "bin", ".cargo/bin", ".bun/bin", ".deno/bin", ".volta/bin"} {
		places = append(places, s.home+"/"+p)
	}
	nvm := s.home + "/.nvm/versions/node"
	if v := newestVersion(s.list(nvm)); v != "" {
		places = append(places, nvm+"/"+v+"/bin")
	}
	for _, p := range []string{
		".asdf/shims", ".local/share/mise/shims", ".local/share/fnm/aliases/default/bin",
		"Library/Application Support/fnm/aliases/default/bin", ".fnm/aliases/default/bin",
	} {
		places = append(places, s.home+"/"+p)
	}
	return places
}

// newestVersion picks the highest of names such as v20.11.1; other names do not count.
func newestVersion(names []string) string {
	var newest string
	var highest []int
	for _, name := range names {
		var v []int
		for part := range strings.SplitSeq(strings.TrimPrefix(name, "v"), ".") {
			n, err := strconv.Atoi(part)
			if err != nil {
				v = nil
				break
			}
			v = append(v, n)
		}
		if v != nil && slices.Compare(v, highest) > 0 {
			newest, highest = name, v
		}
	}
	return newest
}

func (s search) separators() string {
	if s.windows {
		return `\/`
	}
	return "/"
}

func (s search) listSeparator() string {
	if s.windows {
		return ";"
	}
	return ":"
}

// isPath reports whether name says where the program is.
func (s search) isPath(name string) bool {
	return strings.ContainsAny(name, s.separators()) || s.windows && strings.Contains(name, ":")
}

func (s search) isAbsolute(path string) bool {
	if !s.windows {
		return strings.HasPrefix(path, "/")
	}
	return strings.HasPrefix(path, `\\`) || len(path) > 2 && path[1] == ':' && (path[2] == '\\' || path[2] == '/')
}

// absolute resolves a path as the child would, whose working directory need not be ours.
func (s search) absolute(path string) string {
	if s.isAbsolute(path) || s.dir == "" || s.windows && (strings.Contains(path, ":") || strings.HasPrefix(path, `\`)) {
		return path
	}
	return s.dir + s.separators()[:1] + path
}

func namesIn(dir string) []string {
	entries, _ := os.ReadDir(dir) // a folder that is not there has no names
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
