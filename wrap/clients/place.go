package clients

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// An Env is the machine that clients are looked for on.
type Env struct {
	OS      string                   // as runtime.GOOS
	Home    string                   // the user's folder
	Project string                   // the folder of a project; "": none
	Lookup  func(name string) string // gives an environment variable, "" for none
	Self    string                   // path of mcpx in use, which is known as such whatever it is called; "": none
}

// ThisMachine returns the machine that we run on.
func ThisMachine(project, self string) (Env, error) {
	home, err := os.UserHomeDir()
	return Env{runtime.GOOS, home, project, os.Getenv, self}, err
}

// expand gives the path of a place in the table of clients, "" where this machine has no such place.
//
//	~/x            in the user's folder
//	{app}/x        where programs with windows keep their settings
//	{config}/x     where others do: $XDG_CONFIG_HOME or ~/.config, but %APPDATA% on Windows
//	{VAR:x}/y      in the folder that the variable names, else in x; where x is empty: else nowhere
//	x              in the project's folder
func (e Env) expand(place string) string {
	path := e.resolve(place)
	if path == "" {
		return ""
	}
	return filepath.FromSlash(path)
}

func (e Env) resolve(place string) string {
	if rest, ok := strings.CutPrefix(place, "{"); ok {
		name, rest, _ := strings.Cut(rest, "}")
		base := e.folder(name)
		if base == "" {
			return ""
		}
		return strings.TrimSuffix(filepath.ToSlash(base), "/") + rest
	}
	if rest, ok := strings.CutPrefix(place, "~"); ok {
		if e.Home == "" {
			return ""
		}
		return filepath.ToSlash(e.Home) + rest
	}
	if place == "" || e.Project == "" {
		return ""
	}
	return filepath.ToSlash(e.Project) + "/" + place
}

func (e Env) folder(name string) string {
	windows := e.OS == "windows"
	switch {
	case name == "app" && e.OS == "darwin":
		return e.resolve("~/Library/Application Support")
	case windows && (name == "app" || name == "config"):
		name = "APPDATA:~/AppData/Roaming"
	case name == "app" || name == "config":
		name = "XDG_CONFIG_HOME:~/.config"
	}
	variable, otherwise, _ := strings.Cut(name, ":")
	value := e.Lookup(variable)
	// The XDG specification has programs ignore a relative path.
	if value == "" || strings.HasPrefix(variable, "XDG_") && !windows && !strings.HasPrefix(value, "/") {
		return e.resolve(otherwise)
	}
	return value
}
