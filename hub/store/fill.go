package store

import (
	"context"
	"fmt"
	"time"
)

// perFill is how many events are counted before their figures are written: it bounds the memory.
const perFill = 50_000

// fillFigures counts the events that are in a file that had no figures. It takes some 10 s for each million. Nothing had been rehearsed
// when they were written.
func (w *writer) fillFigures(ctx context.Context, now time.Time) error {
	var call int64
	if err := w.one(`SELECT id FROM texts WHERE text = ?`, []any{methodCall}, &call); err != nil && !isNone(err) {
		return err
	}
	for last := int64(0); ; {
		n, err := w.fillSome(ctx, call, now, &last)
		if err == nil {
			err = w.writeFigures()
		}
		if err != nil {
			return fmt.Errorf("count the events that are there: %w", err)
		}
		if n < perFill {
			return nil
		}
	}
}

// fillSome counts the next events after last.
func (w *writer) fillSome(ctx context.Context, call int64, now time.Time, last *int64) (n int, err error) {
	rows, err := w.conn.QueryContext(ctx, `SELECT id, at, kind, decision, outcome, coalesce(method = ?, 0), coalesce(server, 0), coalesce(target, 0),
		coalesce(latency, -1) FROM events WHERE id > ? ORDER BY id LIMIT ?`, call, *last, perFill)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		var o occurrence
		if err := rows.Scan(last, &o.at, &o.kind, &o.decision, &o.outcome, &o.call, &o.server, &o.tool, &o.latency); err != nil {
			return 0, err
		}
		if err := w.count(w.figures, &o, now); err != nil {
			return 0, err
		}
	}
	return n, rows.Err()
}
