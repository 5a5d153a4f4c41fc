package store

import (
	"context"
	"database/sql"
	"fmt"
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

// perTotal is how many steps one sum is made of at most, where that can be.
const perTotal = 150

// resolution returns the step in which figures of a span are read: one that makes up its own, and is kept for so long.
func (s *Store) resolution(span Span) int64 {
	for _, r := range resolutions {
		fits := span.Step > 0 && span.Step%r.step == 0 || span.Step == 0 && span.Until.Sub(span.Since) <= perTotal*r.step
		if fits && (r.keep == 0 || span.Since.After(s.now().Add(-r.keep))) {
			return int64(r.step / time.Second)
		}
	}
	return int64(resolutions[len(resolutions)-1].step / time.Second)
}

// bounds returns a span in seconds, rounded to a step.
func (span Span) bounds(step int64) (since, until int64) {
	if span.Step > 0 {
		step = max(step, int64(span.Step/time.Second))
	}
	since, until = span.Since.Unix(), span.Until.Unix()
	return since - since%step, until + (step-until%step)%step
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
	wide := int64(span.Step / time.Second)
	if wide == 0 {
		wide = until - since
	}
	if wide = max(wide, step); wide <= 0 {
		return nil, nil
	}
	rows, err := s.readers.QueryContext(ctx, `SELECT at, measure, n FROM figures
		WHERE step = ? AND server = ? AND tool = ? AND at >= ? AND at < ? ORDER BY at`, step, server, tool, since, until)
	if err != nil {
		return nil, fmt.Errorf("read figures: %w", err)
	}
	defer rows.Close()
	var all []Figures
	for rows.Next() {
		var at, measure, n int64
		if err := rows.Scan(&at, &measure, &n); err != nil {
			return nil, fmt.Errorf("read figures: %w", err)
		}
		begins := time.Unix(since+(at-since)/wide*wide, 0).UTC()
		if len(all) == 0 || !all[len(all)-1].At.Equal(begins) {
			all = append(all, Figures{At: begins})
		}
		all[len(all)-1].add(at, measure, n)
	}
	return all, rows.Err()
}

func (f *Figures) add(at, measure, n int64) {
	if last := time.Unix(at, 0).UTC(); last.After(f.Last) {
		f.Last = last
	}
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
		f.Latency.add(measure-measureLatency, n)
	}
}

// figureIDs returns the numbers of a name; server -1: nothing was counted of it.
func (s *Store) figureIDs(ctx context.Context, of Name) (server, tool int64, err error) {
	if of == (Name{}) {
		return 0, 0, nil
	}
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
	step := s.resolution(Span{span.Since, span.Until, 0})
	since, until := Span{span.Since, span.Until, 0}.bounds(step)
	// From one server to the next along the index: there are few, and many figures of each.
	rows, err := s.readers.QueryContext(ctx, `WITH RECURSIVE named (id) AS (
			SELECT min(server) FROM figures WHERE step = ?1 AND server > 0
			UNION ALL SELECT (SELECT min(server) FROM figures WHERE step = ?1 AND server > named.id) FROM named WHERE named.id IS NOT NULL)
		SELECT t.text, 0, max(f.at), f.measure, sum(f.n) FROM named CROSS JOIN figures f CROSS JOIN texts t ON t.id = named.id
		WHERE f.step = ?1 AND f.server = named.id AND f.tool = 0 AND f.at >= ?2 AND f.at < ?3 GROUP BY f.server, f.measure`, step, since, until)
	if err != nil {
		return nil, fmt.Errorf("read figures: %w", err)
	}
	all := map[string]Figures{}
	err = eachFigure(rows, func(text string, _, at, measure, n int64) {
		f := all[text]
		f.add(at, measure, n)
		all[text] = f
	})
	return all, err
}

// ByTool returns the figures of each tool of a server over a span.
func (s *Store) ByTool(ctx context.Context, server string, span Span) (map[Name]Figures, error) {
	id, _, err := s.figureIDs(ctx, Name{Server: server})
	if err != nil || id <= 0 {
		return nil, err
	}
	step := s.resolution(Span{span.Since, span.Until, 0})
	since, until := Span{span.Since, span.Until, 0}.bounds(step)
	rows, err := s.readers.QueryContext(ctx, `WITH RECURSIVE named (id) AS (
			SELECT min(tool) FROM figures WHERE step = ?1 AND server = ?4
			UNION ALL SELECT (SELECT min(tool) FROM figures WHERE step = ?1 AND server = ?4 AND tool > named.id) FROM named WHERE named.id IS NOT NULL)
		SELECT coalesce(t.text, ''), named.id, max(f.at), f.measure, sum(f.n) FROM named CROSS JOIN figures f LEFT JOIN texts t ON t.id = named.id
		WHERE f.step = ?1 AND f.server = ?4 AND f.tool = named.id AND named.id <> 0 AND f.at >= ?2 AND f.at < ?3 GROUP BY f.tool, f.measure`,
		step, since, until, id)
	if err != nil {
		return nil, fmt.Errorf("read figures: %w", err)
	}
	all := map[Name]Figures{}
	err = eachFigure(rows, func(text string, tool, at, measure, n int64) {
		name := Name{Server: server, Tool: text, Other: tool == otherTool}
		f := all[name]
		f.add(at, measure, n)
		all[name] = f
	})
	return all, err
}

func eachFigure(rows *sql.Rows, use func(text string, id, at, measure, n int64)) error {
	defer rows.Close()
	for rows.Next() {
		var text string
		var id, at, measure, n int64
		if err := rows.Scan(&text, &id, &at, &measure, &n); err != nil {
			return fmt.Errorf("read figures: %w", err)
		}
		use(text, id, at, measure, n)
	}
	return rows.Err()
}
