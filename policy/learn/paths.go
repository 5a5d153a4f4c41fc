package learn

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/rohitgs28/mcpx/policy"
)

const (
	maxFolders = 4   // roots of paths
	maxPaths   = 256 // that are told apart before they are put together
	maxPath    = 1024

	// Folders above this depth hold what belongs to others, such as /etc, /home and /home/ann: they are a root only where
	// there would be too many.
	ownDepth = 3
)

// absolute returns a path in the form in which `within` can judge it.
func absolute(text string) (clean string, ok bool) {
	if !strings.HasPrefix(text, "/") || strings.ContainsAny(text, "%\\\x00") || len(text) > maxPath {
		return "", false
	}
	for part := range strings.SplitSeq(text, "/") {
		if part == ".." {
			return "", false
		}
	}
	return path.Clean(text), true
}

// rootsOf returns what holds all of these paths, a few at most: folders, or a file itself where its folder would be too wide. It is
// nil where only / would do.
func rootsOf(paths map[string]bool) policy.Strings {
	roots := slices.Collect(maps.Keys(paths))
	for i, p := range roots {
		if folder := path.Dir(p); isFile(p) && depth(folder) >= ownDepth {
			roots[i] = folder
		}
	}
	roots = covering(roots)
	for len(roots) > 1 {
		// The two next to each other that have most in common become one.
		best, most := 0, -1
		for i := range len(roots) - 1 {
			if d := depth(shared(roots[i], roots[i+1])); d > most {
				best, most = i, d
			}
		}
		if most < ownDepth && len(roots) <= maxFolders {
			break
		}
		roots[best] = shared(roots[best], roots[best+1])
		roots = covering(slices.Delete(roots, best+1, best+2))
	}
	if slices.Contains(roots, "/") {
		return nil
	}
	slices.Sort(roots)
	return roots
}

// isFile guesses: .git and src are folders, a.txt is a file. A folder that is taken for a file costs width, a file that is taken for
// a folder nothing.
func isFile(p string) bool {
	return strings.LastIndexByte(path.Base(p), '.') > 0
}

func depth(p string) int {
	if p == "/" {
		return 0
	}
	return strings.Count(p, "/")
}

// covering leaves out what lies in others.
func covering(all []string) []string {
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(a+"/", b+"/") })
	kept := all[:0]
	for _, folder := range all {
		if len(kept) > 0 {
			if last := kept[len(kept)-1]; last == "/" || folder == last || strings.HasPrefix(folder, last+"/") {
				continue
			}
		}
		kept = append(kept, folder)
	}
	return kept
}

// shared is the deepest folder that holds both.
func shared(a, b string) string {
	for a != "/" && a != b && !strings.HasPrefix(b, a+"/") {
		a = path.Dir(a)
	}
	return a
}
