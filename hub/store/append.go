package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// A Batch is what a sender sends of one chain.
type Batch struct {
	Principal string
	Chain     string
	Lines     []byte                   // whole lines; those of New refer to it
	Gap       bool                     // the sender has nothing between what is stored and the first of these
	Covers    func(server string) bool // whether the sender may speak for a server; nil: for all
}

// An Appended is what became of a batch.
type Appended struct {
	Acked    uint64          // up to which event of the chain everything is on the disk
	New      []*audit.Record // those that were not there before, in order
	Problems []Problem       // what was found wrong for the first time
}

// Of one principal this many chains are kept. Those without events, the oldest first, make room for a new one.
const (
	maxChains  = 100_000
	makeRoom   = 1000
	maxChainID = 128
)

// Append stores the new events of a batch and what is wrong with them, in one transaction. before is called with both, inside
// the transaction, and its error undoes it: what it records elsewhere is recorded at least once. It must not call the Store,
// and is not called where there is neither. A batch that does not follow what is stored, without Gap, is an
// *uplink.BehindError; where it jumps further on, what precedes that is stored.
func (s *Store) Append(ctx context.Context, b Batch, before func(*Appended) error) (*Appended, error) {
	if err := checkChain(b); err != nil {
		return nil, err
	}
	lines, seq, err := s.dropKnown(ctx, b, readLines(b.Lines))
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return &Appended{Acked: seq}, nil
	}
	a := appender{b: b, now: s.now()}
	err = s.update(ctx, len(lines), func(w *writer) error {
		a.w = w
		return a.run(lines, before)
	})
	if err != nil {
		return nil, err
	}
	if a.behind {
		return nil, &uplink.BehindError{Acked: a.walk.seq}
	}
	return &a.out, nil
}

func checkChain(b Batch) error {
	if b.Principal == "" || len(b.Principal) > maxText {
		return fmt.Errorf("principal %q: %w", clip(b.Principal), ErrInvalid)
	}
	if b.Chain == "" || len(b.Chain) > maxChainID {
		return fmt.Errorf("chain %q: %w: it must have 1 to %d characters", clip(b.Chain), ErrInvalid, maxChainID)
	}
	for _, c := range []byte(b.Chain) {
		if !isWord(c) {
			return fmt.Errorf("chain %q: %w: it must be of [A-Za-z0-9._-]", b.Chain, ErrInvalid)
		}
	}
	return nil
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}

// dropKnown takes out of a batch what is stored as it is, so that a batch that is sent again does not hold up the writer. It
// returns the head's number as well.
func (s *Store) dropKnown(ctx context.Context, b Batch, lines []line) (rest []line, head uint64, err error) {
	var chain int64
	err = s.readers.QueryRowContext(ctx, `SELECT c.id, c.seq FROM chains c JOIN principals p ON p.id = c.principal
		WHERE p.name = ? AND c.name = ?`, b.Principal, b.Chain).Scan(&chain, &head)
	if isNone(err) {
		return lines, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the chain: %w", err)
	}
	from, to := uint64(maxSeq), uint64(0)
	for i := range lines {
		if r := lines[i].record; r != nil && r.Seq <= head {
			from, to = min(from, r.Seq), max(to, r.Seq)
		}
	}
	if from > to || to-from > 4*uplink.MaxBatchEvents { // a liar's
		return lines, head, nil
	}
	known, err := s.sums(ctx, chain, from, to)
	if err != nil {
		return nil, 0, fmt.Errorf("read the chain: %w", err)
	}
	rest = lines[:0]
	for _, l := range lines {
		if l.record != nil {
			if sum, ok := known[l.record.Seq]; ok && sum == l.sum {
				continue
			}
		}
		rest = append(rest, l)
	}
	return rest, head, nil
}

func (s *Store) sums(ctx context.Context, chain int64, from, to uint64) (map[uint64][sha256.Size]byte, error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT e.seq, l.line FROM events e JOIN lines l ON l.id = e.id
		WHERE e.chain = ? AND e.seq BETWEEN ? AND ?`, chain, int64(from), int64(to)) //nolint:gosec // below maxSeq
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	known := map[uint64][sha256.Size]byte{}
	var seq uint64
	var raw sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&seq, &raw); err != nil {
			return nil, err
		}
		known[seq] = audit.Sum(raw)
	}
	return known, rows.Err()
}

// An appender stores one batch.
type appender struct {
	w   *writer
	b   Batch
	now time.Time

	principal int64
	chain     int64 // 0: it is to be made
	problems  int64 // that the chain has
	walk      walk
	behind    bool // nothing of the batch follows
	out       Appended
	figures   count // of the events that are new
}

func (a *appender) run(lines []line, before func(*Appended) error) error {
	if err := a.find(); err != nil {
		return err
	}
	a.walk.gap, a.walk.stored, a.walk.report = a.b.Gap, a.stored, a.report
	switch err := a.walk.follow(lines); {
	case errors.Is(err, errJump) && len(a.walk.found) == 0 && len(a.out.Problems) == 0:
		a.behind = true
		return nil // nothing to undo
	case err != nil && !errors.Is(err, errJump):
		return err
	}
	a.out.Acked = a.walk.seq
	if err := a.foreign(); err != nil {
		return err
	}
	if len(a.walk.found) > 0 {
		if err := a.store(); err != nil {
			return err
		}
	}
	if len(a.out.New)+len(a.out.Problems) == 0 {
		return nil
	}
	if before != nil {
		if err := before(&a.out); err != nil {
			return err
		}
	}
	err := a.w.exec(`UPDATE chains SET seq = ?, hash = ?, events = events + ?, problems = ?, last = ? WHERE id = ?`,
		int64(a.walk.seq), a.walk.hash[:], len(a.out.New), a.problems, a.now.UnixMilli(), a.chain) //nolint:gosec // below maxSeq
	if err == nil {
		a.w.figures.merge(a.figures)
	}
	return err
}

// find reads the head of the chain. A chain that is not there has the zero head.
func (a *appender) find() error {
	known, ok := a.w.principals[a.b.Principal]
	if !ok {
		err := a.w.one(`SELECT id FROM principals WHERE name = ?`, []any{a.b.Principal}, &known)
		if isNone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		a.w.principals[a.b.Principal] = known
	}
	a.principal = known
	var hash []byte
	err := a.w.one(`SELECT id, seq, hash, problems FROM chains WHERE principal = ? AND name = ?`,
		[]any{a.principal, a.b.Chain}, &a.chain, &a.walk.seq, &hash, &a.problems)
	if isNone(err) {
		return nil
	}
	copy(a.walk.hash[:], hash)
	return err
}

// open makes the chain if there is none.
func (a *appender) open() error {
	if a.chain != 0 {
		return nil
	}
	var chains int64
	err := a.w.one(`INSERT INTO principals (name) VALUES (?) ON CONFLICT (name) DO UPDATE SET name = name RETURNING id, chains`,
		[]any{a.b.Principal}, &a.principal, &chains)
	if err != nil {
		return err
	}
	if chains >= maxChains {
		if chains, err = a.makeRoom(chains); err != nil {
			return err
		}
	}
	if err := a.w.exec(`UPDATE principals SET chains = ? WHERE id = ?`, chains+1, a.principal); err != nil {
		return err
	}
	return a.w.one(`INSERT INTO chains (principal, name, hash, last) VALUES (?, ?, ?, ?) RETURNING id`,
		[]any{a.principal, a.b.Chain, make([]byte, sha256.Size), a.now.UnixMilli()}, &a.chain)
}

// makeRoom forgets chains of the principal that have no events any more.
func (a *appender) makeRoom(chains int64) (int64, error) {
	n, err := a.w.changed(`DELETE FROM chains WHERE id IN (
		SELECT id FROM chains WHERE principal = ? AND events = 0 ORDER BY last LIMIT ?)`, a.principal, makeRoom)
	if err == nil && n == 0 {
		err = fmt.Errorf("%q has %d chains: %w", a.b.Principal, chains, ErrLimit)
	}
	return chains - n, err
}

// stored returns the line of an event that is stored, nil if it is not.
func (a *appender) stored(seq uint64) (raw []byte, err error) {
	err = a.w.one(`SELECT l.line FROM events e JOIN lines l ON l.id = e.id WHERE e.chain = ? AND e.seq = ?`,
		[]any{a.chain, int64(seq)}, &raw) //nolint:gosec // below maxSeq
	if isNone(err) {
		return nil, nil
	}
	return raw, err
}

// report keeps a problem that was not known.
func (a *appender) report(p Problem) error {
	if a.problems >= maxProblems {
		return nil
	}
	if err := a.open(); err != nil {
		return err
	}
	n, err := a.w.changed(`INSERT INTO problems (chain, reason, about, seq, detail, at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`, a.chain, p.Reason, p.about, int64(p.Seq), p.Detail, a.now.UnixMilli()) //nolint:gosec // at most maxSeq
	if n > 0 {
		a.problems++
		a.out.Problems = append(a.out.Problems, p)
	}
	return err
}

// covers reports whether the sender may speak for a server, or of none.
func (a *appender) covers(server string) bool {
	return server == "" || a.b.Covers == nil || a.b.Covers(server)
}

// foreign reports the servers that the sender may not speak for.
func (a *appender) foreign() error {
	if a.b.Covers == nil {
		return nil
	}
	asked := map[string]bool{}
	for _, f := range a.walk.found {
		server := f.record.Server
		if asked[server] {
			continue
		}
		asked[server] = true
		if a.covers(server) {
			continue
		}
		name := clip(server)
		detail := fmt.Sprintf("events of server %q, which the token does not cover", name)
		if err := a.report(Problem{Reason: ReasonForeign, Seq: f.record.Seq, Detail: detail, about: name}); err != nil {
			return err
		}
	}
	return nil
}
