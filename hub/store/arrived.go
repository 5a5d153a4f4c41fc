package store

import (
	"context"
	"fmt"
)

// findEvent finds what scanEvent reads. Conditions and an order follow.
const findEvent = `SELECT ` + foundColumns + ` FROM events e
	CROSS JOIN lines l ON l.id = e.id CROSS JOIN chains c ON c.id = e.chain CROSS JOIN principals p ON p.id = e.principal `

// Arrived returns the newest events that arrived after the one with this id, newest first, and the id of the last that has
// arrived: what to ask with next. Ids rise by arrival without gaps but for what was removed, so that last-after is how many there were.
func (s *Store) Arrived(ctx context.Context, after int64, limit int) (events []Event, last int64, err error) {
	last = after
	rows, err := s.readers.QueryContext(ctx, findEvent+`WHERE e.id > ? ORDER BY e.id DESC LIMIT ?`, after, min(max(limit, 1), maxEvents))
	if err != nil {
		return nil, 0, fmt.Errorf("read what arrived: %w", err)
	}
	defer rows.Close()
	var id, at int64
	for rows.Next() {
		e, err := scanEvent(rows, &id, &at)
		if err != nil {
			return nil, 0, fmt.Errorf("read what arrived: %w", err)
		}
		last = max(last, id)
		events = append(events, e)
	}
	return events, last, rows.Err()
}

// One returns an event by its place in a chain, ErrNotFound where there is none.
func (s *Store) One(ctx context.Context, principal, chain string, seq uint64) (e Event, err error) {
	if seq > maxSeq {
		return Event{}, fmt.Errorf("event %d: %w", seq, ErrNotFound)
	}
	rows, err := s.readers.QueryContext(ctx, `SELECT `+foundColumns+` FROM principals p CROSS JOIN chains c ON c.principal = p.id
		CROSS JOIN events e ON e.chain = c.id CROSS JOIN lines l ON l.id = e.id WHERE p.name = ? AND c.name = ? AND e.seq = ?`, principal, chain, int64(seq))
	if err != nil {
		return Event{}, fmt.Errorf("read event %d: %w", seq, err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return Event{}, fmt.Errorf("read event %d: %w", seq, err)
		}
		return Event{}, fmt.Errorf("event %d: %w", seq, ErrNotFound)
	}
	var id, at int64
	if e, err = scanEvent(rows, &id, &at); err != nil {
		return Event{}, fmt.Errorf("read event %d: %w", seq, err)
	}
	return e, nil
}
