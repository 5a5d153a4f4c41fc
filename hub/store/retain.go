package store

import (
	"context"
	"fmt"
	"math"
	"time"
)

const (
	tidyAfter   = time.Minute // so that a command that opens the file for a moment leaves it alone
	tidyEvery   = time.Hour
	usedEvery   = 30 * time.Second
	tidyLimit   = 30 * time.Minute
	perDelete   = 1000                 // events; some 50 ms, in which others wait
	perVacuum   = 1000                 // pages
	manyFree    = 10                   // a free page in so many is worth giving back
	forgetHeads = 366 * 24 * time.Hour // of chains without events
	forgetDefs  = 90 * 24 * time.Hour  // that nobody approved, and nobody sees
)

// tidyUp removes what is too old, until the store is closed.
func (s *Store) tidyUp() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.running.Go(func() {
		<-s.closing
		cancel()
	})
	tidy := time.NewTimer(tidyAfter)
	defer tidy.Stop()
	used := time.NewTicker(usedEvery)
	defer used.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-used.C:
			err = s.flushUsed(ctx)
		case <-tidy.C:
			err = s.tidy(ctx)
			tidy.Reset(tidyEvery)
		}
		if err != nil && ctx.Err() == nil {
			s.onError(err)
		}
	}
}

// tidy removes what is too old, in small steps between which others write.
func (s *Store) tidy(ctx context.Context) error {
	if s.retain < 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tidyLimit)
	defer cancel()
	for _, step := range []func(context.Context) (more bool, err error){s.removeEvents, s.removeFigures, s.removeRest, s.giveBack} {
		for {
			more, err := step(ctx)
			if err != nil {
				return fmt.Errorf("tidy the store: %w", err)
			}
			if !more {
				break
			}
		}
	}
	return nil
}

// removeEvents removes some of the events that arrived before the hour that is kept. They are the first of their chains, and
// the first in the file.
func (s *Store) removeEvents(ctx context.Context) (more bool, err error) {
	now := s.now()
	keep := hourOf(now.Add(-s.retain))
	err = s.update(ctx, perDelete, func(w *writer) error {
		until, err := w.arrivedBefore(ctx, keep, hourOf(now))
		if err != nil {
			return err
		}
		var first, last int64
		err = w.one(`SELECT coalesce(min(id), 0), coalesce(max(id), -1) FROM (SELECT id FROM events WHERE id < ? ORDER BY id LIMIT ?)`,
			[]any{until, perDelete}, &first, &last)
		if err != nil || first > last {
			return err
		}
		more = last-first >= perDelete-1 // or more: ids may have gaps
		if err := w.exec(`UPDATE chains SET events = events - n FROM
			(SELECT chain, count(*) AS n FROM events WHERE id BETWEEN ? AND ? GROUP BY chain) gone WHERE chains.id = gone.chain`, first, last); err != nil {
			return err
		}
		if err := w.exec(`DELETE FROM events WHERE id BETWEEN ? AND ?`, first, last); err != nil {
			return err
		}
		return w.exec(`DELETE FROM lines WHERE id BETWEEN ? AND ?`, first, last)
	})
	return more, err
}

// removeFigures removes what is kept in larger steps, or is older than all events may be.
func (s *Store) removeFigures(ctx context.Context) (more bool, err error) {
	now := s.now()
	err = s.update(ctx, perDelete, func(w *writer) error {
		for _, r := range resolutions {
			keep := r.keep
			if keep == 0 || keep > s.retain {
				keep = s.retain
			}
			step := int64(r.step / time.Second)
			n, err := w.changed(`DELETE FROM figures WHERE (step, server, tool, at) IN (
				SELECT step, server, tool, at FROM figures INDEXED BY figures_age WHERE step = ? AND at < ? LIMIT ?)`, step, now.Add(-keep).Unix()-step, perDelete)
			if err != nil {
				return err
			}
			more = more || n == perDelete
		}
		return nil
	})
	return more, err
}

// arrivedBefore returns the first event that did not arrive before an hour. Hours that our clock says are yet to come, by more
// than a day, were told by a clock that was wrong then; an hour before that of an earlier event as well.
func (w *writer) arrivedBefore(ctx context.Context, keep, now int64) (until int64, err error) {
	s, err := w.statement(`SELECT first, hour FROM arrivals ORDER BY first`)
	if err != nil {
		return 0, err
	}
	rows, err := s.QueryContext(ctx)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	latest := int64(math.MinInt64)
	for rows.Next() {
		var first, hour int64
		if err := rows.Scan(&first, &hour); err != nil {
			return 0, err
		}
		if hour <= now+24 {
			latest = max(latest, hour)
		}
		if until = first; latest >= keep || latest == math.MinInt64 {
			return until, rows.Err()
		}
	}
	if until != 0 { // the last hour is too old as well
		until = math.MaxInt64
	}
	return until, rows.Err()
}

// removeRest removes what refers to events that are gone, and what nobody needs any more.
func (s *Store) removeRest(ctx context.Context) (more bool, err error) {
	now := s.now()
	err = s.update(ctx, perDelete, func(w *writer) error {
		var first, hour int64
		err := w.one(`SELECT coalesce((SELECT min(id) FROM events), 9223372036854775807)`, nil, &first)
		if err != nil {
			return err
		}
		// The hour in which the first of the events that are left arrived stays, and the last in any case: ids go on from there.
		if err := w.exec(`DELETE FROM arrivals WHERE first < (SELECT max(first) FROM arrivals WHERE first <= ?)`, first); err != nil {
			return err
		}
		if err := w.one(`SELECT coalesce(min(hour), ?) FROM arrivals`, []any{hourOf(now)}, &hour); err != nil {
			return err
		}
		if first == math.MaxInt64 { // no event has a text
			hour = math.MaxInt64
		}
		// Figures may have it for longer: by when events say that they were, a day after they arrived at most.
		hour = min(hour, hourOf(now.Add(-s.retain-ahead))-1)
		texts, err := w.changed(`DELETE FROM texts WHERE id IN (SELECT id FROM texts WHERE day < ? LIMIT ?)`, hour/24, perDelete)
		if err != nil {
			return err
		}
		w.forget()
		chains, err := w.removeChains(now.Add(-forgetHeads).UnixMilli())
		if err != nil {
			return err
		}
		definitions, err := w.changed(`DELETE FROM definitions WHERE id IN (SELECT d.id FROM definitions d WHERE last < ? AND NOT EXISTS (
			SELECT 1 FROM approvals a WHERE a.server = d.server AND a.kind = d.kind AND a.name = d.name AND a.digest = d.digest) LIMIT ?)`,
			now.Add(-forgetDefs).UnixMilli(), perDelete)
		if err != nil {
			return err
		}
		wrappers, err := w.changed(`DELETE FROM wrappers WHERE id IN (SELECT id FROM wrappers WHERE seen < ? LIMIT ?)`,
			now.Add(-forgetAfter).UnixMilli(), perDelete)
		more = max(texts, chains, definitions, wrappers) == perDelete
		return err
	})
	return more, err
}

func (w *writer) removeChains(before int64) (int64, error) {
	const old = `(SELECT id FROM chains WHERE events = 0 AND last < ?1 ORDER BY last, id LIMIT ?2)`
	err := w.exec(`UPDATE principals SET chains = chains - n FROM
		(SELECT principal, count(*) AS n FROM chains WHERE id IN `+old+` GROUP BY principal) gone WHERE principals.id = gone.principal`, before, perDelete)
	if err != nil {
		return 0, err
	}
	return w.changed(`DELETE FROM chains WHERE id IN `+old, before, perDelete)
}

// giveBack returns free pages to the file system where they are many. Those that are few will be used.
func (s *Store) giveBack(ctx context.Context) (more bool, err error) {
	err = s.update(ctx, perDelete, func(w *writer) error {
		const pages = `SELECT freelist_count, page_count FROM pragma_freelist_count, pragma_page_count`
		var free, left, all int64
		if err := w.one(pages, nil, &free, &all); err != nil {
			return err
		}
		if free < perVacuum || free < all/manyFree {
			return nil
		}
		if err := w.exec(fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, perVacuum)); err != nil {
			return err
		}
		err := w.one(pages, nil, &left, &all)
		more = left < free
		return err
	})
	return more, err
}
