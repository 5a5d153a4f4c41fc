package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
)

// One transaction takes what waits, up to these.
const (
	maxGroupJobs   = 256
	maxGroupWeight = 8192
)

// A job is what one caller wants written: all of it or nothing.
type job struct {
	run    func(*writer) error
	weight int // in events, about
	done   chan error
}

// update runs a job in the next transaction, and returns when it is on the disk. Once it is taken ctx no longer counts: what run
// uses is the caller's. It waits for busyTimeout at most where another process holds the file.
func (s *Store) update(ctx context.Context, weight int, run func(*writer) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{run: run, weight: weight, done: make(chan error, 1)}
	select {
	case s.jobs <- j:
		return <-j.done
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return errClosed
	}
}

// write runs jobs until the store is closed.
func (s *Store) write() {
	for {
		select {
		case <-s.closing:
			return
		case j := <-s.jobs:
			s.w.commit(s.gather(j))
		}
	}
}

// gather returns first and what else waits.
func (s *Store) gather(first *job) []*job {
	group, weight := []*job{first}, first.weight
	for len(group) < maxGroupJobs && weight < maxGroupWeight {
		select {
		case j := <-s.jobs:
			group = append(group, j)
			weight += j.weight
		default:
			return group
		}
	}
	return group
}

// A writer is the connection that writes. Its methods take no context: several callers share a transaction, and one that goes
// away must not undo what the others wrote.
type writer struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt // by their text

	// What is known to be in the file. After a rollback that is nothing.
	texts      map[string]knownText
	textBytes  int // of texts
	principals map[string]int64
	tools      map[int64]map[int64]bool // that are counted by name, by server

	figures count // by the jobs of this transaction that did not fail
}

func newWriter(conn *sql.Conn) *writer {
	w := &writer{conn: conn, statements: map[string]*sql.Stmt{}, figures: count{}}
	w.forget()
	return w
}

func (w *writer) forget() {
	w.texts, w.textBytes = map[string]knownText{}, 0
	w.principals = map[string]int64{}
	w.tools = map[int64]map[int64]bool{}
}

func (w *writer) close() error {
	var errs []error
	for _, s := range w.statements {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}

// commit runs the jobs in one transaction and tells each what became of it.
func (w *writer) commit(jobs []*job) {
	failures, err := w.transact(jobs)
	for i, j := range jobs {
		failure := err
		if err == nil {
			failure = failures[i]
		}
		if e := (*sqlite.Error)(nil); errors.As(failure, &e) {
			failure = fmt.Errorf("write to the store: %w", failure)
		}
		j.done <- failure
	}
}

// transact returns what became of each job, or why nothing became of any.
func (w *writer) transact(jobs []*job) (failures []error, err error) {
	if err := w.begin(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = w.exec(`ROLLBACK`) // SQLite may have done so already
			w.forget()
			clear(w.figures)
		}
	}()
	failures = make([]error, len(jobs))
	if len(jobs) == 1 { // needs no savepoint
		if failures[0] = jobs[0].run(w); failures[0] != nil {
			_ = w.exec(`ROLLBACK`)
			w.forget()
			return failures, nil
		}
		return failures, w.end()
	}
	for i, j := range jobs {
		if failures[i], err = w.attempt(j); err != nil {
			return nil, err
		}
	}
	return failures, w.end()
}

// begin begins a transaction, and waits for busyTimeout at most where another process has one. It asks every millisecond. SQLite's
// own wait asks ever more rarely, in the end ten times in a second, and so misses all the short gaps of a process that writes
// without a rest: it is turned off for this connection.
func (w *writer) begin() error {
	for end := time.Now().Add(busyTimeout); ; <-time.After(time.Millisecond) {
		err := w.exec(`BEGIN IMMEDIATE`)
		switch {
		case !isBusy(err):
			return err
		case time.Now().After(end):
			return fmt.Errorf("other processes have been writing for %s: %w", busyTimeout, err)
		}
	}
}

// end writes what the jobs have counted together, and commits.
func (w *writer) end() error {
	if err := w.writeFigures(); err != nil {
		return err
	}
	return w.exec(`COMMIT`)
}

// attempt runs a job so that it leaves nothing behind if it fails. err says that the whole transaction is lost.
func (w *writer) attempt(j *job) (failure, err error) {
	if err := w.exec(`SAVEPOINT job`); err != nil {
		return nil, err
	}
	if failure = j.run(w); failure != nil {
		w.forget()
		if err := w.exec(`ROLLBACK TO job`); err != nil { // a full disk, for one, ends the transaction
			return nil, errors.Join(failure, err)
		}
	}
	return failure, w.exec(`RELEASE job`)
}

func (w *writer) statement(query string) (*sql.Stmt, error) {
	if s := w.statements[query]; s != nil {
		return s, nil
	}
	s, err := w.conn.PrepareContext(context.Background(), query)
	if err == nil {
		w.statements[query] = s
	}
	return s, err
}

// exec and its siblings keep the statement of each query: there are few.
func (w *writer) exec(query string, args ...any) error {
	_, err := w.changed(query, args...)
	return err
}

// changed returns how many rows were changed.
func (w *writer) changed(query string, args ...any) (int64, error) {
	s, err := w.statement(query)
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// one reads one row; sql.ErrNoRows if there is none.
func (w *writer) one(query string, args []any, to ...any) error {
	s, err := w.statement(query)
	if err != nil {
		return err
	}
	return s.QueryRowContext(context.Background(), args...).Scan(to...)
}

// column reads a column of numbers.
func (w *writer) column(query string, args ...any) (all []int64, err error) {
	s, err := w.statement(query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(context.Background(), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, rows.Err()
}

// Primary result codes of SQLite, see https://www.sqlite.org/rescode.html.
const (
	codeBusy   = 5
	codeLocked = 6
)

// isBusy reports whether another connection stood in the way.
func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == codeBusy || e.Code()&0xff == codeLocked)
}

// isNone reports whether a query had no row.
func isNone(err error) bool { return errors.Is(err, sql.ErrNoRows) }
