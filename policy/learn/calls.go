package learn

import (
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

const shadowPrefix = policy.ShadowPrefix

// maxOpen bounds the requests whose outcome is waited for.
const maxOpen = 20_000

// A request is named by who made it: ids are unique within a session only.
type requestKey struct{ instance, session, server, client, id, method string }

func keyOf(r *audit.Record) requestKey {
	return requestKey{r.Instance, r.Session, r.Server, r.Client, r.RequestID, r.Method}
}

// pairs joins what was decided about requests with how they ended.
type pairs struct {
	open  map[requestKey]*audit.Record
	order []requestKey // of open, the oldest first; some may have ended
}

// add takes an event, and returns a decision that allowed a request once its outcome is known. lost: one that is not waited for
// any more.
func (p *pairs) add(r *audit.Record) (decision *audit.Record, outcome string, lost *audit.Record) {
	key := keyOf(r)
	if r.Kind == audit.Outcome {
		decision = p.open[key]
		delete(p.open, key)
		return decision, r.Outcome, nil
	}
	if p.open == nil {
		p.open = map[requestKey]*audit.Record{}
	}
	if len(p.order) >= maxOpen {
		oldest := p.order[0]
		p.order = p.order[1:]
		lost = p.open[oldest]
		delete(p.open, oldest)
	}
	p.open[key] = r
	p.order = append(p.order, key)
	return nil, "", lost
}

// passed reports whether a request that ended so has done what it was to do, as far as the record tells.
func passed(outcome string) bool {
	switch outcome {
	case "ok", "cancelled", "timeout":
		return true
	default:
		return false
	}
}
