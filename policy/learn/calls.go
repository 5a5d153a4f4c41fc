package learn

import "github.com/rohitgs28/mcpx/integrity/audit"

// Bounds of the requests whose outcome is waited for.
const (
	maxOpen     = 20_000
	maxOpenArgs = 64 << 20 // bytes
)

// A request is named by who made it: ids are unique within a session only.
type requestKey struct{ instance, session, server, client, id, method string }

func keyOf(r *audit.Record) requestKey {
	return requestKey{r.Instance, r.Session, r.Server, r.Client, r.RequestID, r.Method}
}

// pairs joins what was decided about requests with how they ended.
type pairs struct {
	open  map[requestKey]waiting
	order []turn // of open, the oldest first; some may have ended
	taken int    // so far
	args  int    // bytes, of those that are open
}

type waiting struct {
	record *audit.Record
	number int // of those taken
}

type turn struct {
	key    requestKey
	number int
}

// add takes an event, and returns a decision that allowed a request once its outcome is known. lost are those that are not waited
// for any more.
func (p *pairs) add(r *audit.Record) (decision *audit.Record, outcome string, lost []*audit.Record) {
	key := keyOf(r)
	before := p.remove(key)
	if r.Kind == audit.Outcome {
		return before, r.Outcome, nil
	}
	if before != nil { // its id is used again, so it has ended somehow
		lost = append(lost, before)
	}
	if p.open == nil {
		p.open = map[requestKey]waiting{}
	}
	kept := *r
	kept.Raw = nil
	p.taken++
	p.open[key] = waiting{&kept, p.taken}
	p.order = append(p.order, turn{key, p.taken})
	p.args += len(kept.Args)
	for len(p.open) > maxOpen || p.args > maxOpenArgs {
		oldest := p.order[0]
		p.order = p.order[1:]
		if p.open[oldest.key].number == oldest.number {
			lost = append(lost, p.remove(oldest.key))
		}
	}
	if len(p.order) > 2*maxOpen {
		p.forget()
	}
	return nil, "", lost
}

func (p *pairs) remove(key requestKey) *audit.Record {
	w, ok := p.open[key]
	if !ok {
		return nil
	}
	delete(p.open, key)
	p.args -= len(w.record.Args)
	return w.record
}

// forget drops requests that have ended from the order.
func (p *pairs) forget() {
	kept := make([]turn, 0, len(p.open))
	for _, t := range p.order {
		if p.open[t.key].number == t.number {
			kept = append(kept, t)
		}
	}
	p.order = kept
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
