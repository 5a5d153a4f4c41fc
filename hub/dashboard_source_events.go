package hub

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/rohitgs28/mcpx/hub/dashboard"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// queryShadow is a decision that a page can ask for: allowed, but it would have been denied.
const queryShadow = "shadow"

// lookAround is how far from an event, in its chain, the other events of its request are looked for.
const lookAround = 100

// searchPatience bounds the search for a few events that a page shows beside others.
const searchPatience = time.Second

// events are the newest of some, as many as are found in a moment.
func (d *dashboardSource) events(ctx context.Context, f store.Filter, limit int) ([]dashboard.Event, error) {
	var found []store.Event
	began := time.Now()
	for next := ""; ; {
		page, err := d.store.Events(ctx, f, limit-len(found), next)
		if err != nil {
			return nil, pageError(err)
		}
		found, next = append(found, page.Events...), page.Next
		if len(found) >= limit || next == "" || time.Since(began) > searchPatience {
			return eventsOf(found), nil
		}
	}
}

// Search finds events, newest first.
func (d *dashboardSource) Search(ctx context.Context, q dashboard.Query) (dashboard.Found, error) {
	f := store.Filter{
		Server: q.Server, Target: q.Target, Decision: q.Decision, Principal: q.Principal, Kind: audit.Kind(q.Kind),
		Client: q.Client, Method: q.Method, Rule: q.Rule, Host: q.Host, Outcome: q.Outcome, TraceID: q.TraceID,
		Since: q.Since, Until: q.Until,
	}
	if q.Decision == queryShadow {
		f.Decision, f.Shadowed = "", true
	}
	limit := q.Limit
	if limit == 0 {
		limit = usualPage
	}
	page, err := d.store.Events(ctx, f, min(limit, maxPageFound), q.Before)
	if err != nil {
		return dashboard.Found{}, pageError(err)
	}
	return dashboard.Found{Events: eventsOf(page.Events), Next: page.Next, Searched: page.Searched}, nil
}

// Event is one event, and what belongs to it.
func (d *dashboardSource) Event(ctx context.Context, principal, chain string, seq uint64) (dashboard.Detail, error) {
	e, err := d.store.One(ctx, principal, chain, seq)
	if err != nil {
		return dashboard.Detail{}, pageError(err)
	}
	sum := audit.Sum(e.Raw)
	detail := dashboard.Detail{Event: eventOf(&e), Line: string(e.Raw), Hash: hex.EncodeToString(sum[:]), Prev: e.Prev}
	if seq > 1 {
		if detail.Previous, err = d.has(ctx, &e, seq-1); err != nil {
			return detail, err
		}
	}
	if detail.Next, err = d.has(ctx, &e, seq+1); err != nil {
		return detail, err
	}
	detail.Related, err = d.related(ctx, &e)
	return detail, err
}

func (d *dashboardSource) has(ctx context.Context, e *store.Event, seq uint64) (bool, error) {
	_, err := d.store.One(ctx, e.Principal, e.Chain, seq)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// related finds the other half of a request in the chain: the outcome of a decision after it, the decision of an outcome before.
func (d *dashboardSource) related(ctx context.Context, e *store.Event) ([]dashboard.Event, error) {
	if e.RequestID == "" || e.Kind != audit.Decision && e.Kind != audit.Outcome {
		return nil, nil
	}
	for i := uint64(1); i <= lookAround; i++ {
		seq := e.Seq + i
		if e.Kind == audit.Outcome {
			if i >= e.Seq {
				return nil, nil
			}
			seq = e.Seq - i
		}
		other, err := d.store.One(ctx, e.Principal, e.Chain, seq)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil, nil // the end of the chain, or of what is kept of it
		case err != nil:
			return nil, fmt.Errorf("look for the request of event %d: %w", e.Seq, err)
		case !sameRequest(e.Record, other.Record):
		case other.Kind == e.Kind: // the id is that of another request by now
			return nil, nil
		default:
			return []dashboard.Event{eventOf(&other)}, nil
		}
	}
	return nil, nil
}

// sameRequest reports whether two events near each other in a chain are of a request with the same id on the same link.
func sameRequest(a, b *audit.Record) bool {
	halves := a.Kind == audit.Decision || a.Kind == audit.Outcome
	return halves && (b.Kind == audit.Decision || b.Kind == audit.Outcome) && a.RequestID == b.RequestID &&
		a.Server == b.Server && a.Client == b.Client && a.Session == b.Session && a.Method == b.Method
}

func eventsOf(found []store.Event) []dashboard.Event {
	events := make([]dashboard.Event, len(found))
	for i := range found {
		events[i] = eventOf(&found[i])
	}
	return events
}

func eventOf(e *store.Event) dashboard.Event {
	client, _ := nameAndVersion(e.ClientInfo)
	return dashboard.Event{
		Principal: e.Principal, Chain: e.Chain, Seq: e.Seq, Time: e.Time, Source: e.Source, Host: e.Host, User: e.User,
		Server: e.Server, Client: e.Client, ClientName: client, Kind: string(e.Kind), Method: e.Method, Target: e.Target, Decision: e.Decision,
		Rule: e.Rule, Reason: e.Reason, Outcome: e.Outcome,
		Shadow:  policy.Shadowed(e.Decision, e.Reason),
		Latency: time.Duration(e.LatencyMS * float64(time.Millisecond)), HasLatency: e.Kind == audit.Outcome || e.LatencyMS != 0,
		RequestID: e.RequestID, Session: e.Session, TraceID: e.TraceID, Flaw: e.Flaw, BytesIn: e.BytesIn, BytesOut: e.BytesOut,
		ClientInfo: string(e.ClientInfo), ServerInfo: string(e.ServerInfo), Args: string(e.Args), Era: e.Era, EventID: e.ID,
	}
}
