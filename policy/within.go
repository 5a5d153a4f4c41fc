package policy

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

const onWindows = runtime.GOOS == "windows"

// A pathFS is what `within` asks of the file system. It is the one thing outside that the engine looks at.
// Paths are slash-separated and absolute.
type pathFS interface {
	// Lstat reports whether there is something at path, without following a link there.
	Lstat(path string) error
	// Resolve follows all links.
	Resolve(path string) (string, error)
}

type osPaths struct{}

func (osPaths) Lstat(path string) error {
	_, err := os.Lstat(filepath.FromSlash(path))
	return err
}

func (osPaths) Resolve(path string) (string, error) {
	real, err := filepath.EvalSymlinks(filepath.FromSlash(path))
	return filepath.ToSlash(real), err
}

// A place is a clean absolute path: on Windows a drive such as "C:" and a path, elsewhere a path alone.
type place struct {
	volume string
	path   string // begins with a slash, has no trailing slash, "." or ".."
}

func (p place) String() string { return p.volume + p.path }

// inside reports whether p is dir or lies below it. Components compare byte by byte: what a file system that
// folds case would also accept is refused, which is the safe side.
func (p place) inside(dir place) bool {
	if p.volume != dir.volume {
		return false
	}
	rest, ok := strings.CutPrefix(p.path, dir.path)
	return ok && (rest == "" || rest[0] == '/' || dir.path == "/")
}

// parsePlace reads a path and refuses whatever some server could read differently. The second result says what
// is wrong with it, "" if nothing.
//
// On Windows a path begins with a drive and a slash ("C:/data"). Backslashes are refused there too: one rule
// for all systems, and every Windows program takes slashes. Network and device paths, streams, names of devices
// and names that Windows would trim are refused.
func parsePlace(text string, windows bool) (place, string) {
	if !clean([]byte(text)) {
		return place{}, "holds a control, bidi or zero-width character"
	}
	if i := strings.IndexAny(text, `\%`); i >= 0 {
		return place{}, "holds a " + text[i:i+1]
	}
	var p place
	if windows && len(text) >= 2 && text[1] == ':' && asciiLetter(text[0]) {
		p.volume, text = strings.ToUpper(text[:2]), text[2:]
	}
	if windows != (p.volume != "") || !strings.HasPrefix(text, "/") {
		return place{}, "is not an absolute path"
	}
	for segment := range strings.SplitSeq(text, "/") {
		if segment == ".." {
			return place{}, "holds a .. segment"
		}
		if windows && !plainWindowsName(segment) {
			return place{}, "holds a name that Windows reads differently"
		}
	}
	p.path = path.Clean(text)
	return p, ""
}

func asciiLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func plainWindowsName(segment string) bool {
	if segment == "" || segment == "." {
		return true
	}
	if strings.ContainsAny(segment, `:<>"|?*`) || strings.HasSuffix(segment, ".") || strings.HasSuffix(segment, " ") {
		return false
	}
	stem, _, _ := strings.Cut(strings.ToUpper(segment), ".")
	stem = strings.TrimRight(stem, " ")
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return false
	}
	port, isPort := strings.CutPrefix(stem, "COM")
	if !isPort {
		port, isPort = strings.CutPrefix(stem, "LPT")
	}
	return !isPort || !strings.Contains("0123456789¹²³", port) || port == ""
}

// parseRoot reads a directory of the configuration. On Windows it may be written with backslashes.
func parseRoot(text string, windows bool) (place, error) {
	if windows {
		text = strings.ReplaceAll(text, `\`, "/")
	}
	if text == "" {
		return place{}, errors.New("is empty; name a directory")
	}
	p, problem := parsePlace(text, windows)
	if problem != "" {
		return place{}, errors.New(problem + "; name a directory such as /data")
	}
	return p, nil
}

// checkRoot takes the directories of either kind of system: a hub has one policy for wrappers on both. A path is inside none of
// those of the other kind.
func checkRoot(text string) error {
	_, err := parseRoot(text, onWindows)
	if err != nil {
		if _, other := parseRoot(text, !onWindows); other == nil {
			return nil
		}
	}
	return err
}

// judgeWithin returns what is wrong with a path, "" if it stays inside one of the roots: as it is written, and
// once the links on the way are followed.
func judgeWithin(s scalar, roots []place, files pathFS, windows bool) string {
	if !s.quoted {
		return "is not a path"
	}
	p, problem := parsePlace(string(s.text), windows)
	if problem != "" {
		return problem
	}
	problem = "is outside the allowed directories"
	for _, root := range roots {
		if !p.inside(root) {
			continue
		}
		realRoot, rootOK := resolve(root, files)
		realPath, ok := resolve(p, files)
		if ok && rootOK && realPath.inside(realRoot) {
			return ""
		}
		problem = "leads out of the allowed directories, or cannot be resolved"
	}
	return problem
}

// resolve follows the links in the deepest existing ancestor of p and puts the rest behind it. It fails where
// something exists but cannot be followed: a dangling link would be created through, a loop or a closed
// directory hides what is there.
func resolve(p place, files pathFS) (place, bool) {
	for ancestor := p; ; ancestor.path = path.Dir(ancestor.path) {
		switch err := files.Lstat(ancestor.String()); {
		case err == nil:
			real, err := files.Resolve(ancestor.String())
			if err != nil {
				return place{}, false
			}
			// Both sides of the comparison come from here, so that a volume is a part of the path.
			return place{path: path.Join(real, strings.TrimPrefix(p.path, ancestor.path))}, true
		case !errors.Is(err, fs.ErrNotExist) || ancestor.path == "/":
			return place{}, false
		}
	}
}
