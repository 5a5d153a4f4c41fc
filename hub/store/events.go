package store

import (
	"context"
	"database/sql"
	"fmt"
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
	Principal string // whose token it was sent with
	Kind      audit.Kind
	Since     time.Time // from it on
	Until     time.Time // before it
}

// An Event is an event as the hub has it.
type Event struct {
	*audit.Record
	Principal string
	Chain     string
	Flaw      string // ReasonGap or ReasonEdited, of its place in the chain; empty: none
}

const maxEvents = 1000 // of one page

// Events returns events, newest first, and where the next page begins: empty at the end. before is where this one does.
func (s *Store) Events(ctx context.Context, f Filter, limit int, before string) (events []Event, next string, err error) {
	q, err := s.plan(ctx, f)
	if err != nil || q == nil {
		return nil, "", err
	}
	if before != "" {
		at, id, err := parseCursor(before)
		if err != nil {
			return nil, "", err
		}
		q.where("(e.at, e.id) < (?, ?)", at, id)
	}
	limit = min(max(limit, 1), maxEvents)
	//nolint:gosec // it is made of our own words; what is searched for is bound
	page := `SELECT e.id, e.at, e.flaw, p.name, c.name, l.line FROM events e INDEXED BY ` + q.index + `
		CROSS JOIN lines l ON l.id = e.id CROSS JOIN chains c ON c.id = e.chain CROSS JOIN principals p ON p.id = e.principal
		WHERE ` + q.conditions() + ` ORDER BY e.at DESC, e.id DESC LIMIT ?`
	rows, err := s.readers.QueryContext(ctx, page, append(q.args, limit+1)...)
	if err != nil {
		return nil, "", fmt.Errorf("search events: %w", err)
	}
	defer rows.Close()
	var at, id int64
	for rows.Next() {
		if len(events) == limit {
			next = strconv.FormatInt(at, 10) + "." + strconv.FormatInt(id, 10)
			break
		}
		var e Event
		if e, err = scanEvent(rows, &id, &at); err != nil {
			return nil, "", fmt.Errorf("search events: %w", err)
		}
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		return nil, "", fmt.Errorf("search events: %w", err)
	}
	return events, next, nil
}

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

func parseCursor(text string) (at, id int64, err error) {
	first, second, ok := strings.Cut(text, ".")
	at, err1 := strconv.ParseInt(first, 10, 64)
	id, err2 := strconv.ParseInt(second, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return 0, 0, fmt.Errorf("cursor %q: %w: take it from the page before", clip(text), ErrInvalid)
	}
	return at, id, nil
}

// Count returns how many events a filter means.
func (s *Store) Count(ctx context.Context, f Filter) (n int64, err error) {
	if f == (Filter{}) {
		err = s.readers.QueryRowContext(ctx, `SELECT coalesce(sum(events), 0) FROM chains`).Scan(&n)
		return n, err
	}
	q, err := s.plan(ctx, f)
	if err != nil || q == nil {
		return 0, err
	}
	err = s.readers.QueryRowContext(ctx, `SELECT count(*) FROM events e INDEXED BY `+q.index+` WHERE `+q.conditions(), q.args...).Scan(&n)
	return n, err
}

// A query is a search that goes along one index.
type query struct {
	index string
	terms []string
	args  []any
}

func (q *query) where(term string, args ...any) {
	q.terms, q.args = append(q.terms, term), append(q.args, args...)
}

func (q *query) conditions() string {
	if len(q.terms) == 0 {
		return "true"
	}
	return strings.Join(q.terms, " AND ")
}

// plan returns the search for a filter: along the index with the fewest entries, which SQLite cannot know without statistics.
// It is nil where there can be none.
func (s *Store) plan(ctx context.Context, f Filter) (*query, error) {
	equal, err := s.terms(ctx, f)
	if err != nil || equal == nil {
		return nil, err
	}
	all, span := &query{}, &query{}
	if !f.Since.IsZero() {
		span.where("e.at >= ?", f.Since.UnixMilli())
	}
	if !f.Until.IsZero() {
		span.where("e.at < ?", f.Until.UnixMilli())
	}
	fewest := int64(-1)
	for _, t := range equal {
		all.where(t.term, t.args...)
	}
	all.where(span.conditions(), span.args...)
	for _, t := range equal {
		if t.index == "" {
			continue
		}
		n := int64(0)
		if len(equal) > 1 {
			if n, err = s.entries(ctx, t, span); err != nil {
				return nil, err
			}
		}
		if fewest < 0 || n < fewest {
			fewest, all.index = n, t.index
		}
	}
	if all.index == "" {
		all.index = "events_at"
	}
	return all, nil
}

// entries counts the entries of an index that a term and a span of time leave, up to a limit that takes a millisecond or two.
func (s *Store) entries(ctx context.Context, t term, span *query) (n int64, err error) {
	const enough = 20_000
	err = s.readers.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM events e INDEXED BY `+t.index+`
		WHERE `+t.term+` AND `+span.conditions()+` LIMIT ?)`, append(append(append([]any{}, t.args...), span.args...), enough)...).Scan(&n)
	return n, err
}

// A term is one condition of a filter, and the index that finds what it leaves; without one it leaves too much.
type term struct {
	term  string
	args  []any
	index string
}

// terms returns those of a filter but for the times, nil where one of its texts is in no event.
func (s *Store) terms(ctx context.Context, f Filter) ([]term, error) {
	terms := []term{}
	for _, t := range [...]struct{ text, term, index, id string }{
		{f.Server, "e.server = ?", "events_server", `SELECT id FROM texts WHERE text = ?`},
		{f.Target, "e.target = ?", "events_target", `SELECT id FROM texts WHERE text = ?`},
		{f.Principal, "e.principal = ?", "events_principal", `SELECT id FROM principals WHERE name = ?`},
	} {
		if t.text == "" {
			continue
		}
		var id int64
		switch err := s.readers.QueryRowContext(ctx, t.id, clip(t.text)).Scan(&id); {
		case isNone(err):
			return nil, nil
		case err != nil:
			return nil, err
		}
		terms = append(terms, term{t.term, []any{id}, t.index})
	}
	switch n := code(decisionCodes, f.Decision); n {
	case 0:
	case decisionCodes[deny]: // as the index says it
		terms = append(terms, term{"e.decision = 2", nil, "events_denied"})
	case unknownCode:
		return nil, fmt.Errorf("decision %q: %w: it is allow or deny", clip(f.Decision), ErrInvalid)
	default:
		terms = append(terms, term{"e.decision = ?", []any{n}, ""})
	}
	switch n := code(kindCodes, string(f.Kind)); {
	case n == 0:
	case n == unknownCode:
		return nil, fmt.Errorf("kind %q: %w: it is decision, outcome, integrity, lifecycle or anomaly", clip(string(f.Kind)), ErrInvalid)
	case n > 2:
		terms = append(terms, term{"e.kind = ? AND e.kind > 2", []any{n}, "events_rare"})
	default:
		terms = append(terms, term{"e.kind = ?", []any{n}, ""})
	}
	return terms, nil
}
