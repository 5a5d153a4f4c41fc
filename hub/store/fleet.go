package store

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

const (
	maxPresence   = 64 << 10
	maxName       = 256    // of a server, an instance, a tool …
	maxWrappers   = 10_000 // of all
	maxOwn        = 1000   // of one principal
	maxChainsTold = 5000
	aliveFor      = 3 * uplink.HeartbeatEvery
	forgetAfter   = 7 * 24 * time.Hour
)

// Saw keeps a wrapper's presence. Of too many the ones that ended or went silent first are forgotten, a principal's own before
// those of others.
func (s *Store) Saw(ctx context.Context, principal string, p uplink.Presence) error {
	for name, text := range map[string]string{"principal": principal, "instance": p.Instance, "server": p.Server} {
		if text == "" || len(text) > maxName {
			return fmt.Errorf("%s %q: %w: it must have 1 to %d bytes", name, clip(text), ErrInvalid, maxName)
		}
	}
	presence, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("presence: %w: %w", ErrInvalid, err)
	}
	if len(presence) > maxPresence {
		return fmt.Errorf("presence of %d bytes, more than %d: %w", len(presence), maxPresence, ErrLimit)
	}
	now := s.nowMilli()
	return s.update(ctx, 1, func(w *writer) error {
		n, err := w.changed(`UPDATE wrappers SET presence = ?, seen = ?, ended = ? WHERE principal = ? AND instance = ? AND server = ?`,
			presence, now, p.Ended, principal, p.Instance, p.Server)
		if err != nil || n > 0 {
			return err
		}
		if err := w.roomForWrapper(principal, now); err != nil {
			return err
		}
		return w.exec(`INSERT INTO wrappers (principal, instance, server, presence, seen, ended) VALUES (?, ?, ?, ?, ?, ?)`,
			principal, p.Instance, p.Server, presence, now, p.Ended)
	})
}

func (w *writer) roomForWrapper(principal string, now int64) error {
	var all, own int64
	err := w.one(`SELECT count(*), count(*) FILTER (WHERE principal = ?) FROM wrappers`, []any{principal}, &all, &own)
	if err != nil {
		return err
	}
	if own >= maxOwn {
		return w.exec(`DELETE FROM wrappers WHERE id =
			(SELECT id FROM wrappers WHERE principal = ? ORDER BY ended DESC, seen LIMIT 1)`, principal)
	}
	if all < maxWrappers {
		return nil
	}
	n, err := w.changed(`DELETE FROM wrappers WHERE id =
		(SELECT id FROM wrappers WHERE ended OR seen < ? ORDER BY ended DESC, seen LIMIT 1)`, now-aliveFor.Milliseconds())
	if err == nil && n == 0 {
		err = fmt.Errorf("%d wrappers are alive: %w", all, ErrLimit)
	}
	return err
}

// Fleet returns all wrappers, the latest first, the chains, those with problems first and then the latest, up to 5,000, and the
// number of events.
func (s *Store) Fleet(ctx context.Context) (f uplink.Fleet, err error) {
	if f.Wrappers, err = s.wrappers(ctx); err != nil {
		return f, fmt.Errorf("list wrappers: %w", err)
	}
	if f.Chains, err = s.chains(ctx); err != nil {
		return f, fmt.Errorf("list chains: %w", err)
	}
	f.Events, err = s.Count(ctx)
	return f, err
}

func (s *Store) wrappers(ctx context.Context) ([]uplink.Wrapper, error) {
	now := s.nowMilli()
	rows, err := s.readers.QueryContext(ctx, `SELECT principal, presence, seen, ended FROM wrappers WHERE seen > ? ORDER BY seen DESC, id DESC`,
		now-forgetAfter.Milliseconds())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []uplink.Wrapper{}
	for rows.Next() {
		var one uplink.Wrapper
		var presence []byte
		var seen int64
		var ended bool
		if err := rows.Scan(&one.Principal, &presence, &seen, &ended); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(presence, &one.Presence); err != nil {
			return nil, err
		}
		one.Seen = milli(seen)
		one.Alive = !ended && now-seen < aliveFor.Milliseconds()
		all = append(all, one)
	}
	return all, rows.Err()
}

func (s *Store) chains(ctx context.Context) ([]uplink.Chain, error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT p.name, c.name, c.seq, c.events, c.problems, c.last FROM (
			SELECT * FROM (SELECT * FROM chains INDEXED BY chains_bad WHERE problems > 0 ORDER BY last DESC LIMIT ?1)
			UNION ALL
			SELECT * FROM (SELECT * FROM chains INDEXED BY chains_last WHERE problems = 0 ORDER BY last DESC LIMIT ?1)
		) c CROSS JOIN principals p ON p.id = c.principal ORDER BY c.problems > 0 DESC, c.last DESC LIMIT ?1`, maxChainsTold)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []uplink.Chain{}
	for rows.Next() {
		var c uplink.Chain
		var last int64
		if err := rows.Scan(&c.Principal, &c.Chain, &c.Seq, &c.Events, &c.Problems, &last); err != nil {
			return nil, err
		}
		c.Last = milli(last)
		all = append(all, c)
	}
	return all, rows.Err()
}
