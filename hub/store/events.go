package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/integrity/audit"
)

// A Filter says which events are meant: those that agree with all that is set. Texts are compared exactly, their first 2 KiB;
// times to the millisecond.
type Filter struct {
	Server    string
	Target    string
	Decision  string // allow or deny
	Shadowed  bool   // allowed in shadow mode only
	Principal string // whose token it was sent with
	Kind      audit.Kind
	Outcome   string // one of the log's, or Failed
	Client    string
	Method    string
	Rule      string
	Host      string
	User      string
	TraceID   string    // 32 hex digits
	Since     time.Time // from it on
	Until     time.Time // before it
}

// Failed is a Filter's Outcome that stands for tool_error, error, timeout and dropped.
const Failed = "failed"

// An Event is an event as the hub has it.
type Event struct {
	*audit.Record
	Principal string
	Chain     string
	Flaw      string // ReasonGap or ReasonEdited, of its place in the chain, or ReasonForeign; empty: none
}

const maxEvents = 1000 // of one page

// An effort bounds what is done for a page. A search goes along one index and holds what else is asked for against each entry: after
// so many entries it looks at the clock, and after so long it gives up. How long an entry takes depends on what is in memory, a
// hundredfold, and a turn that was short tells nothing of the next: entries are so few that they are no late answer where none is.
type effort struct {
	entries  int
	patience time.Duration
}

var usualEffort = effort{500, 100 * time.Millisecond}

// A Page is some of the events that a filter means, newest first.
type Page struct {
	Events []Event
	Next   string // where the next page begins; "": this is the last

	// Searched is how far the search has looked back where its time was over before the page was full; zero: it was not.
	Searched time.Time
}

// Events returns a page. before is where it begins: "" or the Next of the page before. A page may be short, or empty, before the last:
// a search that finds little takes several.
func (s *Store) Events(ctx context.Context, f Filter, limit int, before string) (Page, error) {
	return s.search(ctx, f, limit, before, usualEffort)
}

func (s *Store) search(ctx context.Context, f Filter, limit int, before string, effort effort) (page Page, err error) {
	from := place{at: math.MaxInt64, id: math.MaxInt64}
	if before != "" {
		if from, err = parseCursor(before); err != nil {
			return Page{}, err
		}
	}
	q, err := s.plan(ctx, f)
	if err != nil || q == nil {
		return Page{}, err
	}
	limit = min(max(limit, 1), maxEvents)
	began := time.Now()
	for {
		end, err := s.slice(ctx, q, from, effort.entries)
		if err != nil {
			return Page{}, fmt.Errorf("search events: %w", err)
		}
		if err := s.hits(ctx, q, from, end, limit-len(page.Events), &page); err != nil {
			return Page{}, fmt.Errorf("search events: %w", err)
		}
		switch {
		case page.Next != "" || end == (place{}):
			return page, nil
		case len(page.Events) == limit:
			page.Next = end.String()
			return page, nil
		case time.Since(began) >= effort.patience:
			page.Next, page.Searched = end.String(), milli(end.at)
			return page, nil
		}
		from = end
	}
}

// A place is that of an event in the order of a search. The zero place is behind all.
type place struct{ at, id int64 }

func (p place) String() string {
	return strconv.FormatInt(p.at, 10) + "." + strconv.FormatInt(p.id, 10)
}

// slice returns where the next entries of the index end that are looked at together, the zero place where there are no more than these.
func (s *Store) slice(ctx context.Context, q *query, from place, entries int) (end place, err error) {
	err = s.readers.QueryRowContext(ctx, `SELECT e.at, e.id FROM events e INDEXED BY `+q.index+` WHERE `+q.along()+` AND (e.at, e.id) < (?, ?)
		ORDER BY e.at DESC, e.id DESC LIMIT 1 OFFSET ?`, q.argsAlong(from.at, from.id, entries-1)...).Scan(&end.at, &end.id)
	if isNone(err) {
		return place{}, nil
	}
	return end, err
}

// hits adds to a page what a filter means of the events before from and not before end. More than limit: Next says where they go on.
func (s *Store) hits(ctx context.Context, q *query, from, end place, limit int, page *Page) error {
	//nolint:gosec // it is made of our own words; what is searched for is bound
	find := `SELECT ` + foundColumns + ` FROM events e INDEXED BY ` + q.index + `
		CROSS JOIN lines l ON l.id = e.id CROSS JOIN chains c ON c.id = e.chain CROSS JOIN principals p ON p.id = e.principal
		WHERE ` + q.along() + ` AND (e.at, e.id) < (?, ?) AND (e.at, e.id) >= (?, ?) AND ` + q.beside() + ` ORDER BY e.at DESC, e.id DESC LIMIT ?`
	args := append(q.argsAlong(from.at, from.id, end.at, end.id), q.besideArgs...)
	rows, err := s.readers.QueryContext(ctx, find, append(args, limit+1)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var last place
	for n := 0; rows.Next(); n++ {
		if n == limit {
			page.Next = last.String()
			break
		}
		var e Event
		if e, err = scanEvent(rows, &last.id, &last.at); err != nil {
			return err
		}
		page.Events = append(page.Events, e)
	}
	return rows.Err()
}

// foundColumns are what scanEvent reads.
const foundColumns = `e.id, e.at, e.flaw, p.name, c.name, l.line`

func scanEvent(rows *sql.Rows, id, at *int64) (e Event, err error) {
	var flaw int64
	var raw []byte
	if err := rows.Scan(id, at, &flaw, &e.Principal, &e.Chain, &raw); err != nil {
		return e, err
	}
	e.Flaw = flaws[flaw]
	e.Record, err = audit.Parse(raw)
	return e, err
}

func parseCursor(text string) (place, error) {
	first, second, ok := strings.Cut(text, ".")
	at, err1 := strconv.ParseInt(first, 10, 64)
	id, err2 := strconv.ParseInt(second, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return place{}, fmt.Errorf("cursor %q: %w: take it from the page before", clip(text), ErrInvalid)
	}
	return place{at, id}, nil
}

// Count returns how many events there are.
func (s *Store) Count(ctx context.Context) (n int64, err error) {
	err = s.readers.QueryRowContext(ctx, `SELECT coalesce(sum(events), 0) FROM chains`).Scan(&n)
	return n, err
}
