package store

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// Approve approves definitions that were proposed, in place of those approved before under the same names: all or none.
// ErrNotFound where one was not proposed.
func (s *Store) Approve(ctx context.Context, server, by string, a uplink.Approval) error {
	if len(a.Items) > maxProposals {
		return fmt.Errorf("%d definitions at once, more than %d: %w", len(a.Items), maxProposals, ErrLimit)
	}
	named := map[[2]string]bool{}
	for _, item := range a.Items {
		if key := [2]string{item.Kind, item.Name}; named[key] {
			return fmt.Errorf("approve %s %q twice: %w: one definition of each", clip(item.Kind), clip(item.Name), ErrInvalid)
		} else {
			named[key] = true
		}
	}
	now := s.nowMilli()
	return s.update(ctx, len(a.Items), func(w *writer) error {
		for _, item := range a.Items {
			n, err := w.changed(`INSERT INTO approvals (server, kind, name, digest, by, at)
				SELECT server, kind, name, digest, ?5, ?6 FROM definitions WHERE server = ?1 AND kind = ?2 AND name = ?3 AND digest = ?4
				ON CONFLICT (server, kind, name) DO UPDATE SET digest = excluded.digest, by = excluded.by, at = excluded.at`,
				server, item.Kind, item.Name, item.Digest, clip(by), now)
			if err == nil && n == 0 {
				err = fmt.Errorf("approve %s %q of server %q: no such definition was proposed: %w",
					clip(item.Kind), clip(item.Name), clip(server), ErrNotFound)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Revoke takes a tool away. Without a time of its own it is revoked now.
func (s *Store) Revoke(ctx context.Context, server string, r uplink.Revocation) error {
	switch {
	case server == "" || len(server) > maxName:
		return fmt.Errorf("server %q: %w: it must have 1 to %d bytes", clip(server), ErrInvalid, maxName)
	case r.Tool == "" || len(r.Tool) > maxTarget:
		return fmt.Errorf("tool %q: %w: it must have 1 to %d bytes", clip(r.Tool), ErrInvalid, maxTarget)
	}
	if r.At.IsZero() {
		r.At = s.now()
	}
	return s.update(ctx, 1, func(w *writer) error {
		return w.exec(`INSERT INTO revocations (server, tool, reason, by, at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (server, tool) DO UPDATE SET reason = excluded.reason, by = excluded.by, at = excluded.at`,
			server, r.Tool, clip(r.Reason), clip(r.By), r.At.UnixMilli())
	})
}

// Restore gives it back; ErrNotFound if it was not revoked.
func (s *Store) Restore(ctx context.Context, server, tool string) error {
	return s.update(ctx, 1, func(w *writer) error {
		n, err := w.changed(`DELETE FROM revocations WHERE server = ? AND tool = ?`, server, tool)
		if err == nil && n == 0 {
			err = fmt.Errorf("tool %q of server %q is not revoked: %w", clip(tool), clip(server), ErrNotFound)
		}
		return err
	})
}

// A Ruling is what was approved and revoked for a server.
type Ruling struct {
	Pins    []uplink.ApprovalItem
	Revoked []uplink.Revocation
}

// Rulings returns those of all servers that have one, always in the same order.
func (s *Store) Rulings(ctx context.Context) (map[string]Ruling, error) {
	rulings := map[string]Ruling{}
	rows, err := s.readers.QueryContext(ctx, `
		SELECT 0, server, kind, name, digest, '', '', 0 FROM approvals
		UNION ALL SELECT 1, server, '', tool, '', reason, by, at FROM revocations
		ORDER BY 1, 2, 3, 4`) // one statement: one state of both
	if err != nil {
		return nil, fmt.Errorf("read rulings: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var revoked bool
		var server, reason, by string
		var item uplink.ApprovalItem
		var at int64
		if err := rows.Scan(&revoked, &server, &item.Kind, &item.Name, &item.Digest, &reason, &by, &at); err != nil {
			return nil, fmt.Errorf("read rulings: %w", err)
		}
		r := rulings[server]
		if revoked {
			r.Revoked = append(r.Revoked, uplink.Revocation{Tool: item.Name, Reason: reason, By: by, At: milli(at)})
		} else {
			r.Pins = append(r.Pins, item)
		}
		rulings[server] = r
	}
	return rulings, rows.Err()
}

// Serial returns the serial of a bundle with this content: the one that it had, or a higher one than any before. Serials are
// times, so that those of a store that was lost are lower than those of the one in its place.
func (s *Store) Serial(ctx context.Context, server, principal string, content []byte) (serial int64, err error) {
	hash := sha256.Sum256(content)
	const latest = `SELECT serial FROM serials WHERE server = ? AND principal = ? AND hash = ?`
	err = s.readers.QueryRowContext(ctx, latest, server, principal, hash[:]).Scan(&serial)
	if err == nil {
		return serial, nil
	}
	if !isNone(err) {
		return 0, fmt.Errorf("read the serial: %w", err)
	}
	if len(server) > maxName || len(principal) > maxName {
		return 0, fmt.Errorf("serial of server %q: %w: the name is too long", clip(server), ErrInvalid)
	}
	now := s.now().UnixNano()
	err = s.update(ctx, 1, func(w *writer) error {
		err := w.one(latest, []any{server, principal, hash[:]}, &serial) // another process was faster
		if !isNone(err) {
			return err
		}
		return w.one(`INSERT INTO serials (server, principal, hash, serial) VALUES (?, ?, ?, ?)
			ON CONFLICT (server, principal) DO UPDATE SET hash = excluded.hash, serial = max(serial + 1, excluded.serial) RETURNING serial`,
			[]any{server, principal, hash[:], now}, &serial)
	})
	return serial, err
}
