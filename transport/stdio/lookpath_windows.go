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

// envKey is equal for names of the same variable: Path is PATH.
func envKey(name string) string { return strings.ToUpper(name) }
