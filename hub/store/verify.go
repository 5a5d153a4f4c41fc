package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/rohitgs28/mcpx/integrity/audit"
)

// A ChainProblem is a problem and the chain that has it.
type ChainProblem struct {
	Principal string
	Chain     string
	At        time.Time // when it was found; zero in what Verify returns
	Problem
}

// Problems returns what was found wrong with the chains when they came, the latest first.
func (s *Store) Problems(ctx context.Context, limit int) ([]ChainProblem, error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT p.name, c.name, x.reason, x.seq, x.detail, x.at FROM problems x
		CROSS JOIN chains c ON c.id = x.chain CROSS JOIN principals p ON p.id = c.principal ORDER BY x.id DESC LIMIT ?`,
		min(max(limit, 1), maxEvents))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []ChainProblem
	for rows.Next() {
		var p ChainProblem
		var at int64
		if err := rows.Scan(&p.Principal, &p.Chain, &p.Reason, &p.Seq, &p.Detail, &at); err != nil {
			return nil, err
		}
		p.At = milli(at)
		all = append(all, p)
	}
	return all, rows.Err()
}

// Verify hashes what is stored again, and returns where it is no longer what it was when it came, and how many events it read.
// What was wrong already when it came is in Problems. It takes a while, and holds up nobody.
func (s *Store) Verify(ctx context.Context) (problems []ChainProblem, events int64, err error) {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // one state of all chains
	if err != nil {
		return nil, 0, fmt.Errorf("verify: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // it only reads
	chains, err := readHeads(ctx, tx)
	if err != nil {
		return nil, 0, fmt.Errorf("verify: %w", err)
	}
	for _, c := range chains {
		if err := c.verify(ctx, tx); err != nil {
			return nil, 0, fmt.Errorf("verify: %w", err)
		}
		problems = append(problems, c.problems...)
		events += c.read
	}
	return problems, events, nil
}

// A storedChain is a chain that is being verified.
type storedChain struct {
	id              int64
	principal, name string
	seq             uint64 // of its head
	hash            []byte // of its head
	events          int64

	read     int64
	last     uint64 // seq of the event before
	sum      [sha256.Size]byte
	problems []ChainProblem
}

func readHeads(ctx context.Context, tx *sql.Tx) ([]*storedChain, error) {
	rows, err := tx.QueryContext(ctx, `SELECT c.id, p.name, c.name, c.seq, c.hash, c.events
		FROM chains c JOIN principals p ON p.id = c.principal ORDER BY c.id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var chains []*storedChain
	for rows.Next() {
		c := &storedChain{}
		if err := rows.Scan(&c.id, &c.principal, &c.name, &c.seq, &c.hash, &c.events); err != nil {
			return nil, err
		}
		chains = append(chains, c)
	}
	return chains, rows.Err()
}

func (c *storedChain) verify(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, `SELECT e.seq, e.flaw, l.line FROM events e LEFT JOIN lines l ON l.id = e.id
		WHERE e.chain = ? ORDER BY e.seq`, c.id)
	if err != nil {
		return err
	}
	defer rows.Close()
	var seq uint64
	var flaw int64
	for rows.Next() {
		var raw []byte // the record keeps it
		if err := rows.Scan(&seq, &flaw, &raw); err != nil {
			return err
		}
		c.event(seq, flaw, raw)
	}
	if c.read != c.events {
		c.problem(c.last, "it has %d events where %d were stored", c.read, c.events)
	}
	if c.read > 0 && (c.last != c.seq || !bytes.Equal(c.sum[:], c.hash)) {
		c.problem(c.last, "its last event %d is not its head, which is event %d", c.last, c.seq)
	}
	return rows.Err()
}

func (c *storedChain) event(seq uint64, flaw int64, raw []byte) {
	if err := c.judge(seq, flaw, raw); err != nil {
		c.problem(seq, "%v", err)
	}
	c.read++
	c.last, c.sum = seq, audit.Sum(raw)
}

func (c *storedChain) judge(seq uint64, flaw int64, raw []byte) error {
	r, err := audit.Parse(raw)
	switch {
	case err != nil:
		return fmt.Errorf("event %d is not an event any more: %w", seq, err)
	case r.Seq != seq:
		return fmt.Errorf("in place of event %d there is event %d", seq, r.Seq)
	case c.read == 0 && seq > 1: // those before it were removed, or never came
		return nil
	case flaw == flawEdited, flaw == flawGap && seq != c.last+1: // it came like this
		return nil
	case seq != c.last+1:
		return errors.New(missing(c.last+1, seq-1))
	case r.Prev != hex.EncodeToString(c.sum[:]):
		return fmt.Errorf("event %d or the one before it was changed", seq)
	}
	return nil
}

func (c *storedChain) problem(seq uint64, format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, ChainProblem{Principal: c.principal, Chain: c.name, Problem: Problem{Reason: ReasonEdited, Seq: seq, Detail: fmt.Sprintf(format, args...)}})
	}
}
