// Command mcpx stands between MCP clients and MCP servers: it decides on every message by a policy,
// pins what servers say about themselves, and records every decision. See README.md.
package main

import (
	"os"

	"github.com/rohitgs28/mcpx/transport/stdio"
)

func main() {
	if stdio.GuardMain() { // this process guards a server: see there
		return
	}
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	os.Exit(a.run(os.Args[1:]))
}
