// Command mcpx stands between MCP clients and MCP servers: it decides on every message by a policy,
// pins what servers say about themselves, and records every decision. See README.md.
package main

import "os"

// On Linux the same program guards each server that it starts; then it does not get here: see transport/stdio/guard.
func main() {
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	os.Exit(a.run(os.Args[1:]))
}
