package store

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
)

// A query is a search that goes along one index: first what the index finds, then what is held against each of its entries.
type query struct {
	index       string
	alongTerms  []string
	alongArgs   []any
	besideTerms []string
	besideArgs  []any
}

func (q *query) along() string  { return conjunction(q.alongTerms) }
func (q *query) beside() string { return conjunction(q.besideTerms) }

// argsAlong returns those of the terms along the index, and more.
func (q *query) argsAlong(more ...any) []any {
	return append(append(make([]any, 0, len(q.alongArgs)+len(more)), q.alongArgs...), more...)
}

func conjunction(terms []string) string {
	if len(terms) == 0 {
		return "true"
	}
	return strings.Join(terms, " AND ")
}

// A term is one condition of a filter, and the index that finds what it leaves; without one it leaves too much.
type term struct {
	term  string
	args  []any
	index string
}

// plan returns the search for a filter: along the index with the fewest entries, which SQLite cannot know without statistics.
// It is nil where nothing can be found.
func (s *Store) plan(ctx context.Context, f Filter) (*query, error) {
	equal, err := s.terms(ctx, f)
	if err != nil || equal == nil {
		return nil, err
	}
	var span []term
	if !f.Since.IsZero() {
		span = append(span, term{term: "e.at >= ?", args: []any{f.Since.UnixMilli()}})
	}
	if !f.Until.IsZero() {
		span = append(span, term{term: "e.at < ?", args: []any{f.Until.UnixMilli()}})
	}
	best, fewest := -1, int64(-1)
	for i, t := range equal {
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
			best, fewest = i, n
		}
	}
	q := &query{index: "events_at"}
	for i, t := range equal {
		if i == best {
			q.index = t.index
			q.alongTerms, q.alongArgs = append(q.alongTerms, t.term), append(q.alongArgs, t.args...)
			continue
		}
		q.besideTerms, q.besideArgs = append(q.besideTerms, t.term), append(q.besideArgs, t.args...)
	}
	for _, t := range span {
		q.alongTerms, q.alongArgs = append(q.alongTerms, t.term), append(q.alongArgs, t.args...)
	}
	return q, nil
}

// entries counts the entries of an index that a term and a span of time leave, up to a limit that takes a millisecond or two.
func (s *Store) entries(ctx context.Context, t term, span []term) (n int64, err error) {
	const enough = 20_000
	terms, args := []string{t.term}, append([]any{}, t.args...)
	for _, bound := range span {
		terms, args = append(terms, bound.term), append(args, bound.args...)
	}
	err = s.readers.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM events e INDEXED BY `+t.index+`
		WHERE `+conjunction(terms)+` LIMIT ?)`, append(args, enough)...).Scan(&n)
	return n, err
}

// terms returns those of a filter but for the times, nil where one of its texts is in no event.
func (s *Store) terms(ctx context.Context, f Filter) ([]term, error) {
	terms := []term{}
	const ofText = `SELECT id FROM texts WHERE text = ?`
	for _, t := range [...]struct{ text, term, index, id string }{
		{f.Server, "e.server = ?", "events_server", ofText},
		{f.Target, "e.target = ?", "events_target", ofText},
		{f.Principal, "e.principal = ?", "events_principal", `SELECT id FROM principals WHERE name = ?`},
		{f.Client, "e.client = ?", "", ofText},
		{f.Method, "e.method = ?", "", ofText},
		{f.Rule, "e.rule = ?", "", ofText},
		{f.Host, "e.host = ?", "", ofText},
		{f.User, "e.user = ?", "", ofText},
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
	for _, add := range [...]func(Filter, []term) ([]term, error){decisionTerm, kindTerm, outcomeTerm, traceTerm} {
		var err error
		if terms, err = add(f, terms); err != nil {
			return nil, err
		}
	}
	return terms, nil
}

// decisionTerm and those below spell conditions as the partial indexes do.
func decisionTerm(f Filter, terms []term) ([]term, error) {
	if f.Shadowed {
		terms = append(terms, term{"e.decision = 3", nil, "events_shadow"})
	}
	switch f.Decision {
	case "":
		return terms, nil
	case deny:
		return append(terms, term{"e.decision = 2", nil, "events_denied"}), nil
	case allow:
		return append(terms, term{"e.decision IN (1, 3)", nil, ""}), nil
	default:
		return nil, fmt.Errorf("decision %q: %w: it is allow or deny", clip(f.Decision), ErrInvalid)
	}
}

func kindTerm(f Filter, terms []term) ([]term, error) {
	switch n := code(kindCodes, string(f.Kind)); {
	case n == 0:
		return terms, nil
	case n == unknownCode:
		return nil, fmt.Errorf("kind %q: %w: it is decision, outcome, integrity, lifecycle or anomaly", clip(string(f.Kind)), ErrInvalid)
	case n > kindOutcome:
		return append(terms, term{"e.kind = ? AND e.kind > 2", []any{n}, "events_rare"}), nil
	default:
		return append(terms, term{"e.kind = ?", []any{n}, ""}), nil
	}
}

func outcomeTerm(f Filter, terms []term) ([]term, error) {
	if f.Outcome == Failed {
		return append(terms, term{"e.outcome IN (2, 3, 5, 7)", nil, "events_failed"}), nil
	}
	switch n := code(outcomeCodes, f.Outcome); {
	case n == 0:
		return terms, nil
	case n == unknownCode:
		return nil, fmt.Errorf("outcome %q: %w: it is ok, tool_error, error, denied, timeout, cancelled, dropped, or failed", clip(f.Outcome), ErrInvalid)
	case failedCodes[n]:
		return append(terms, term{"e.outcome = ? AND e.outcome IN (2, 3, 5, 7)", []any{n}, "events_failed"}), nil
	default:
		return append(terms, term{"e.outcome = ?", []any{n}, ""}), nil
	}
}

func traceTerm(f Filter, terms []term) ([]term, error) {
	if f.TraceID == "" {
		return terms, nil
	}
	id, err := hex.DecodeString(f.TraceID)
	if err != nil || len(id) != traceBytes {
		return nil, fmt.Errorf("trace %q: %w: it is 32 hex digits", clip(f.TraceID), ErrInvalid)
	}
	return append(terms, term{"e.trace = ? AND e.trace IS NOT NULL", []any{id}, "events_trace"}), nil
}
