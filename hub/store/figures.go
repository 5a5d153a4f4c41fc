package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// A Span is a span of time in steps of whole minutes. Since is rounded down and Until up to a step.
type Span struct {
	Since, Until time.Time
	Step         time.Duration // 0: all in one
}

// Figures count what happened in a span or a step of one.
type Figures struct {
	At       time.Time // the beginning of the step
	Calls    int64     // decisions about tools/call
	Denied   int64     // of these
	Shadowed int64     // of these, allowed in shadow mode only
	Errors   int64     // outcomes of calls: tool_error, error, timeout, dropped
	Requests int64     // decisions about anything, calls among them
	Latency  Histogram // of the outcomes of calls
	Last     time.Time // when the last step began in which anything was counted; zero: none
}

// A Name is what figures are of: a server, or a tool of one. Other stands for the tools beyond those that are counted by name.
type Name struct {
	Server, Tool string
	Other        bool
}

// resolutions are the steps in which figures are kept, the finest first, and for how long.
var resolutions = [...]struct{ step, keep time.Duration }{
	{time.Minute, 48 * time.Hour},
	{10 * time.Minute, 14 * 24 * time.Hour},
	{time.Hour, 0}, // as long as events
}

// perTotal is how many steps one sum is made of at most, where that can be: those at the ends are counted whole.
const perTotal = 400

// resolution returns the step in which figures of a span are read: of those that are kept for so long the largest that its own steps
// are made of, or for one sum the smallest that does.
func (s *Store) resolution(span Span) int64 {
	best := resolutions[len(resolutions)-1].step
	for _, r := range slices.Backward(resolutions[:]) {
		if r.keep > 0 && !span.Since.After(s.now().Add(-r.keep)) {
			continue
		}
		if span.Step > 0 && span.Step%best != 0 || span.Step <= 0 && span.Until.Sub(span.Since) <= perTotal*r.step {
			best = r.step
		}
	}
	return int64(best / time.Second)
}

// bounds returns a span in seconds, rounded to its steps or those that it is read in.
func (span Span) bounds(step int64) (since, until int64) {
	step = max(step, int64(span.Step/time.Second))
	return floor(span.Since.Unix(), step) * step, -floor(-span.Until.Unix(), step) * step
}

// Series returns the figures of a server, of one of its tools, or of all with a zero Name, for each step in which anything
// happened, in order.
func (s *Store) Series(ctx context.Context, of Name, span Span) ([]Figures, error) {
	server, tool, err := s.figureIDs(ctx, of)
	if err != nil || server < 0 {
		return nil, err
	}
	step := s.resolution(span)
	since, until := span.bounds(step)
	wide := max(step, int64(span.Step/time.Second))
	if span.Step <= 0 {
		wide = max(until-since, 1)
	}
	rows, err := s.readers.QueryContext(ctx, `SELECT '', 0, at, counts FROM figures
		WHERE step = ? AND server = ? AND tool = ? AND at >= ? AND at < ? ORDER BY at`, step, server, tool, since, until)
	if err != nil {
		return nil, fmt.Errorf("read figures: %w", err)
	}
	var all []Figures
	err = eachFigure(rows, func(_ string, _, at int64, counts []byte) error {
		begins := time.Unix(since+(at-since)/wide*wide, 0).UTC()
		if len(all) == 0 || !all[len(all)-1].At.Equal(begins) {
			all = append(all, Figures{At: begins})
		}
		return all[len(all)-1].add(at, counts)
	})
	return all, err
}

// add adds a row of table figures.
func (f *Figures) add(at int64, counts []byte) error {
	if last := time.Unix(at, 0).UTC(); last.After(f.Last) {
		f.Last = last
	}
	return decodeTally(counts, func(measure, n int64) {
		switch measure {
		case measureCalls:
			f.Calls += n
		case measureDenied:
			f.Denied += n
		case measureShadowed:
			f.Shadowed += n
		case measureErrors:
			f.Errors += n
		case measureRequests:
			f.Requests += n
		default:
			if measure >= measureLatency {
				f.Latency.add(measure-measureLatency, n)
			}
		}
	})
}

// figureIDs returns the numbers of a name; server -1: nothing was counted of it.
func (s *Store) figureIDs(ctx context.Context, of Name) (server, tool int64, err error) {
	if of.Other {
		tool = otherTool
	}
	for _, text := range [...]struct {
		text string
		id   *int64
	}{{of.Server, &server}, {of.Tool, &tool}} {
		if text.text == "" {
			continue
		}
		err := s.readers.QueryRowContext(ctx, `SELECT id FROM texts WHERE text = ?`, clip(text.text)).Scan(text.id)
		if isNone(err) {
			return -1, 0, nil
		}
		if err != nil {
			return 0, 0, fmt.Errorf("read figures: %w", err)
		}
	}
	return server, tool, nil
}

// ByServer returns the figures of each server over a span.
func (s *Store) ByServer(ctx context.Context, span Span) (map[string]Figures, error) {
	span.Step = 0
	step := s.resolution(span)
	since, until := span.bounds(step)
	// From one server to the next along the index: there are few, and many figures of each.
	rows, err := s.readers.QueryContext(ctx, `WITH RECURSIVE named (id) AS (
			SELECT min(server) FROM figures WHERE step = ?1 AND server > 0
			UNION ALL SELECT (SELECT min(server) FROM figures WHERE step = ?1 AND server > named.id) FROM named WHERE named.id IS NOT NULL)
		SELECT t.text, 0, f.at, f.counts FROM named CROSS JOIN texts t ON t.id = named.id CROSS JOIN figures f
		WHERE f.step = ?1 AND f.server = named.id AND f.tool = 0 AND f.at >= ?2 AND f.at < ?3`, step, since, until)
	if err != nil {
		return nil, fmt.Errorf("read figures: %w", err)
	}
	all := map[string]*Figures{}
	err = eachFigure(rows, func(server string, _, at int64, counts []byte) error { return figuresOf(all, server).add(at, counts) })
	return deref(all), err
}

// ByTool returns the figures of each tool of a server over a span.
func (s *Store) ByTool(ctx context.Context, server string, span Span) (map[Name]Figures, error) {
	id, _, err := s.figureIDs(ctx, Name{Server: server})
	if err != nil || id <= 0 {
		return nil, err
	}
	span.Step = 0
	step := s.resolution(span)
	since, until := span.bounds(step)
	rows, err := s.readers.QueryContext(ctx, skipTools+`SELECT coalesce(t.text, ''), named.id, f.at, f.counts
		FROM named CROSS JOIN figures f LEFT JOIN texts t ON t.id = named.id
		WHERE f.step = ?1 AND f.server = ?2 AND f.tool = named.id AND f.at >= ?3 AND f.at < ?4`, step, id, since, until)
	if err != nil {
		return nil, fmt.Errorf("read figures: %w", err)
	}
	all := map[Name]*Figures{}
	err = eachFigure(rows, func(text string, tool, at int64, counts []byte) error {
		return figuresOf(all, Name{Server: server, Tool: text, Other: tool == otherTool}).add(at, counts)
	})
	return deref(all), err
}

func figuresOf[K comparable](all map[K]*Figures, name K) *Figures {
	f := all[name]
	if f == nil {
		f = new(Figures)
		all[name] = f
	}
	return f
}

func deref[K comparable](all map[K]*Figures) map[K]Figures {
	values := make(map[K]Figures, len(all))
	for name, f := range all {
		values[name] = *f
	}
	return values
}

// eachFigure reads rows of a text, a number, and when a step began and its counts.
func eachFigure(rows *sql.Rows, use func(text string, id, at int64, counts []byte) error) error {
	defer rows.Close()
	var text string
	var id, at int64
	var counts sql.RawBytes
	for rows.Next() {
		err := rows.Scan(&text, &id, &at, &counts)
		if err == nil {
			err = use(text, id, at, counts)
		}
		if err != nil {
			return fmt.Errorf("read figures: %w", err)
		}
	}
	return rows.Err()
}
