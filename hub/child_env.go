package hub

import (
	"os"
	"runtime"
	"slices"
	"strings"
)

// inherited are the variables that a child gets of ours: what programs need to find themselves, their user and their files.
// Whatever else is in our environment, such as secrets of the configuration, is not theirs.
var inherited = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR"}

// inheritedWindows are those that programs need there, most of them to start at all.
var inheritedWindows = []string{
	"PATH", "PATHEXT", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "TEMP", "TMP",
	"USERPROFILE", "USERNAME", "HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA",
	"PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432", "COMMONPROGRAMFILES",
	"PROCESSOR_ARCHITECTURE", "NUMBER_OF_PROCESSORS",
}

// childEnviron is the environment of a child: the few variables that every child gets, and the entry's.
func childEnviron(entry map[string]string) []string {
	names := inherited
	if runtime.GOOS == "windows" {
		names = inheritedWindows
	}
	env := pick(os.Environ(), names, runtime.GOOS == "windows")
	for name, value := range entry {
		env = append(env, name+"="+value) // the last one counts
	}
	slices.Sort(env[len(env)-len(entry):])
	return env
}

// pick returns the variables of those names; a star at the end stands for any rest.
func pick(env, names []string, fold bool) []string {
	picked := make([]string, 0, len(names)) // not nil: an empty environment is not ours
	for _, kv := range env {
		name, _, ok := strings.Cut(kv, "=")
		if fold {
			name = strings.ToUpper(name)
		}
		if ok && slices.ContainsFunc(names, func(n string) bool {
			prefix, open := strings.CutSuffix(n, "*")
			return n == name || open && strings.HasPrefix(name, prefix)
		}) {
			picked = append(picked, kv)
		}
	}
	return picked
}
