package wrap

import (
	"cmp"
	"net/url"
	"path"
	"strings"

	"github.com/rohitgs28/mcpx/policy"
)

// Name returns a name for the server that a command starts: that of the package for the usual package runners, that of
// the script for an interpreter, else that of the program. It holds only a-z, 0-9, _ and -, and is never empty.
func Name(argv []string) string {
	if len(argv) == 0 {
		return "server"
	}
	program := base(argv[0])
	words := plainWords(argv[1:])
	switch program {
	case "npx", "bunx", "pnpx", "uvx", "pipx", "npm", "pnpm", "yarn", "bun", "uv":
		for len(words) > 1 && subcommands[words[0]] {
			words = words[1:]
		}
		if len(words) > 0 {
			return clean(packageName(words[0]))
		}
	case "node", "deno", "python", "python3", "ruby", "perl", "sh", "bash", "java", "php", "tsx":
		for len(words) > 1 && subcommands[words[0]] {
			words = words[1:]
		}
		if len(words) > 0 {
			return clean(script(words[0]))
		}
	case "docker", "podman":
		for _, w := range words {
			if strings.Contains(w, "/") && !strings.HasPrefix(w, "/") {
				return clean(packageName(w))
			}
		}
	}
	return clean(program)
}

// RemoteName returns a name like Name's for the server at a URL: that of its host and path.
func RemoteName(u *url.URL) string { return clean(u.Host + u.Path) }

// subcommands of package runners and interpreters that stand before the name.
var subcommands = map[string]bool{"exec": true, "x": true, "dlx": true, "run": true, "tool": true}

// plainWords leaves out options. An option's value may stay; what is looked for is mostly the first word.
func plainWords(args []string) []string {
	var words []string
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-m" && i+1 < len(args): // python -m package
			return args[i+1:]
		case a == "-p" || a == "--package" || a == "--from":
			i++
		case strings.HasPrefix(a, "-"):
		default:
			words = append(words, a)
		}
	}
	return words
}

// packageName turns @scope/name@1.2 or registry/name:tag into name.
func packageName(word string) string {
	name := word[strings.LastIndex(word, "/")+1:]
	if i := strings.IndexAny(name, "@:=["); i > 0 {
		name = name[:i]
	}
	return name
}

// script names a file, or its folder where the file's name says nothing.
func script(file string) string {
	file = strings.ReplaceAll(file, `\`, "/")
	name := base(file)
	for generic[name] {
		file = path.Dir(file)
		if name = base(file); name == "." || name == "/" || name == ".." {
			return "server"
		}
	}
	return name
}

var generic = map[string]bool{"index": true, "main": true, "server": true, "dist": true, "build": true, "src": true, "lib": true, "bin": true, "__main__": true, "cli": true}

func base(file string) string {
	name := strings.ToLower(path.Base(strings.ReplaceAll(file, `\`, "/")))
	if ext := path.Ext(name); ext != "" && ext != name {
		name = strings.TrimSuffix(name, ext)
	}
	return name
}

func clean(name string) string { return cmp.Or(policy.ServerName(name), "server") }
