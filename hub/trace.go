package hub

import (
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport"
)

// A traced upstream tells the guard of its link when that is closed: the client of a session may be gone for good while answers are
// open, and a server's own questions may never be answered.
type traced struct {
	transport.Upstream
	guard *policy.Guard
}

func newTraced(up transport.Upstream, guard *policy.Guard, on bool) transport.Upstream {
	if !on {
		return up
	}
	return &traced{up, guard}
}

// Close implements [transport.Upstream].
func (t *traced) Close() error {
	err := t.Upstream.Close()
	t.guard.Closed()
	return err
}
