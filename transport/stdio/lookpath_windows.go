package stdio

import (
	"os"
	"strings"
)

func newSearch(dir string, env []string) search {
	path, _ := envValue(env, "PATH")
	pathext, _ := envValue(env, "PATHEXT")
	return search{windows: true, path: path, pathext: pathext, dir: dir, probe: probeFile, list: namesIn}
}

func probeFile(path string) fileUse {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return noFile
	case st.IsDir():
		return noProgram
	default:
		return program
	}
}

// sameEnvName compares as Windows does: Path is PATH.
func sameEnvName(a, b string) bool { return strings.EqualFold(a, b) }
