package main

import "strings"

// compatible puts `hub` in front of a command line that is only flags of the hub, and gives long flags of one dash
// their second: `mcpx -c mcpx.yaml -watch` is what started the gateway before there were subcommands. Everything
// else stays as it is, also `mcpx -c mcpx.yaml check`.
func compatible(args []string) []string {
	if len(args) == 0 || !startsHub(args[0]) {
		return args
	}
	fixed := []string{"hub"}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" || !strings.HasPrefix(arg, "-") {
			return append(fixed[1:], args[i:]...) // a subcommand follows
		}
		name, value, given := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		takesValue, known := hubFlagNames[name]
		if known && len(name) > 1 {
			arg = "--" + name
			if given {
				arg += "=" + value
			}
		}
		fixed = append(fixed, arg)
		if takesValue && !given && i+1 < len(args) {
			i++
			fixed = append(fixed, args[i])
		}
	}
	return fixed
}

// hubFlagNames are the flags that may start the hub without its name, and whether they take a value.
var hubFlagNames = map[string]bool{"c": true, "config": true, "listen": true, "log-level": true, "watch": false}

// startsHub reports whether a command line that begins so was one of the gateway.
func startsHub(word string) bool {
	name, _, _ := strings.Cut(word, "=")
	switch name {
	case "-c", "-config", "--config", "-watch", "--watch":
		return true
	default:
		return false
	}
}
