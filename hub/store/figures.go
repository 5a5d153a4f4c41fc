package store

import (
	"context"
	"errors"
	"time"
)

// A Span is a span of time in steps, which are whole minutes; Since is rounded down and Until up to a step. A step longer than
// StepLong, or a span that began before the fine figures are kept, is answered from figures by the hour.
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
	Last     time.Time // of the last event that was counted, to the step; zero: none
}

// A Name is what figures are of: a server, or a tool of one. Other stands for the tools beyond those that are counted by name.
type Name struct {
	Server, Tool string
	Other        bool
}

// Series returns the figures of a server, of one of its tools, or of all with a zero Name, for each step in which anything
// happened, in order.
func (s *Store) Series(ctx context.Context, of Name, span Span) ([]Figures, error) {
	return nil, errors.New("not built yet")
}

// ByServer returns the figures of each server over a span.
func (s *Store) ByServer(ctx context.Context, span Span) (map[string]Figures, error) {
	return nil, errors.New("not built yet")
}

// ByTool returns the figures of each tool of a server over a span.
func (s *Store) ByTool(ctx context.Context, server string, span Span) (map[Name]Figures, error) {
	return nil, errors.New("not built yet")
}

// A Histogram counts durations in buckets that are at most a few percent wide. The zero Histogram is empty.
type Histogram struct {
	// unexported, by the owner
}

// N is how many durations there are.
func (h *Histogram) N() int64 { return 0 }

// Quantile returns the duration below which the fraction q of all are, 0 for none.
func (h *Histogram) Quantile(q float64) time.Duration { return 0 }

// Arrived returns the newest events that arrived after the one with this id, newest first, and the id of the last that has
// arrived: what to ask with next. Ids rise by arrival without gaps but for what was removed, so that last-after is how many there were.
func (s *Store) Arrived(ctx context.Context, after int64, limit int) (events []Event, last int64, err error) {
	return nil, 0, errors.New("not built yet")
}

// One returns an event by its place in a chain, ErrNotFound where there is none.
func (s *Store) One(ctx context.Context, principal, chain string, seq uint64) (Event, error) {
	return Event{}, errors.New("not built yet")
}
