// Package play is the client's side of `mcpx demo`: it starts `mcpx wrap` around the mock server, as any client would
// start a server, drives it with the official Go SDK's client, and tells what the client sees.
//
// It knows mcpx by its command line alone. Every step fails when the client does not see what it should: a demo that
// cannot go wrong shows nothing.
package play

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/rohitgs28/mcpx/examples/mock-mcp/mock"
)

// timeout bounds the whole demo, which takes well under a second.
const timeout = time.Minute

// Programs are the files that play together.
type Programs struct {
	MCPX string
	Mock string // mock-mcp; with the argument stdio it is the server
}

// Run plays the demo in a folder of its own, which it removes, and tells the story on out. What mcpx said goes to
// stderr when something goes wrong.
func Run(ctx context.Context, programs Programs, out, stderr io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s, err := newStage()
	if s != nil {
		defer s.remove()
	}
	if err != nil {
		return fmt.Errorf("prepare the demo: %w", err)
	}
	var log tailWriter // of mcpx
	n := &narrator{out: out}
	n.intro(s)
	p := &player{
		stage: s, programs: programs, log: &log,
		env: []string{mock.ControlVariable + "=" + s.control, "MCPX_STATE_DIR=" + s.state},
	}
	if err := p.play(ctx, n); err != nil {
		if text := log.String(); text != "" {
			fmt.Fprintf(stderr, "mcpx said:\n%s\n", text)
		}
		return fmt.Errorf("the demo went wrong: %w", err)
	}
	n.outro()
	return nil
}
