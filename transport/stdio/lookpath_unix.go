//go:build unix

package stdio

import (
	"os"

	"golang.org/x/sys/unix"
)

func newSearch(dir string, env []string) search {
	path, _ := envValue(env, "PATH")
	home, _ := envValue(env, "HOME")
	return search{path: path, dir: dir, home: home, probe: probeFile, list: namesIn}
}

func probeFile(path string) fileUse {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return noFile
	case st.IsDir() || unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS) != nil:
		return noProgram
	default:
		return program
	}
}

// envKey is equal for names of the same variable.
func envKey(name string) string { return name }
