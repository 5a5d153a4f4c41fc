package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite": SQLite in Go, so that mcpx stays one static binary
)

//go:embed schema/*.sql
var schema embed.FS

const (
	applicationID = 0x6d637078 // "mcpx": where SQLite files say whose they are
	readers       = 4

	versionFigures = 2 // from which on events are counted as they come

	busyTimeout = 10 * time.Second // for another process to finish its transaction
)

// The cache holds what the indexes of a busy hub touch. A checkpoint is made every 32 MiB of the log and not every 4, since the
// same pages of the indexes are written again and again.
const writerPragmas = `
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -32768;
PRAGMA wal_autocheckpoint = 8192;
PRAGMA journal_size_limit = 67108864;
PRAGMA busy_timeout = 0;
`

func (s *Store) open(ctx context.Context, path string) (err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := makePrivate(path); err != nil {
		return err
	}
	if s.writer, err = sql.Open("sqlite", dsn(path)); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	defer func() {
		if err != nil {
			s.writer.Close()
		}
	}()
	conn, err := s.writer.Conn(ctx)
	if err != nil {
		return err
	}
	s.w = newWriter(conn)
	if err := s.prepareFile(ctx); err != nil {
		return errors.Join(err, s.w.close())
	}
	if s.readers, err = sql.Open("sqlite", dsn(path, "query_only(1)", "temp_store(MEMORY)", "cache_size(-8192)")); err != nil {
		return err
	}
	s.readers.SetMaxOpenConns(readers)
	s.readers.SetMaxIdleConns(readers)
	return nil
}

// makePrivate makes the folder and the file, for this user alone. SQLite gives its other files the file's mode.
func makePrivate(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

func dsn(path string, pragmas ...string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // C:/…
		path = "/" + path
	}
	query := url.Values{"_pragma": append([]string{fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds())}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String()
}

// prepareFile makes a store of a new file and brings an older one up to date.
func (s *Store) prepareFile(ctx context.Context) error {
	conn := s.w.conn
	if err := checkOwner(ctx, conn); err != nil {
		return err
	}
	if err := enterWAL(ctx, conn); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, writerPragmas); err != nil {
		return err
	}
	return migrate(ctx, s.w, s.now())
}

// checkOwner refuses a database of another program, or of a later version, before anything in it is changed.
func checkOwner(ctx context.Context, conn *sql.Conn) error {
	var id, tables int64
	err := conn.QueryRowContext(ctx, `SELECT application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id`).Scan(&id, &tables)
	if err != nil {
		return err
	}
	if id != applicationID && (id != 0 || tables > 0) {
		return errors.New("it is the database of another program: name another file")
	}
	_, _, err = pending(ctx, conn)
	return err
}

// pending returns the scripts that the file has not seen, and the version that it has. The number of a script is the version
// that it leads to.
func pending(ctx context.Context, conn *sql.Conn) (scripts []string, version int, err error) {
	scripts, err = fs.Glob(schema, "schema/*.sql") // sorted
	if err != nil {
		return nil, 0, err
	}
	if err := conn.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return nil, 0, err
	}
	if version > len(scripts) {
		return nil, 0, fmt.Errorf("it was written by a newer mcpx: its version is %d, this mcpx knows up to %d: update mcpx", version, len(scripts))
	}
	return scripts[version:], version, nil
}

// enterWAL turns on the write-ahead log. Freed pages can be given back only if that is said before the first page is written.
// SQLite does not wait by itself for another process that does the same.
func enterWAL(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, `PRAGMA auto_vacuum = INCREMENTAL`); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, busyTimeout)
	defer cancel()
	for {
		var mode string
		err := conn.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode)
		if err == nil && mode == "wal" {
			return nil
		}
		if err == nil {
			return fmt.Errorf("this place allows no write-ahead log (the journal mode stays %q): it needs a local disk", mode)
		}
		if !isBusy(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// migrate applies the scripts that the file has not seen, all in one transaction.
func migrate(ctx context.Context, w *writer, now time.Time) (err error) {
	conn := w.conn
	if err := w.begin(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
		}
	}()
	scripts, version, err := pending(ctx, conn)
	if err != nil {
		return err
	}
	uncounted := version > 0 && version < versionFigures
	for _, name := range scripts {
		script, err := schema.ReadFile(name)
		if err != nil {
			return err
		}
		version++
		if _, err := conn.ExecContext(ctx, string(script)); err != nil {
			return fmt.Errorf("migrate to version %d: %w", version, err)
		}
	}
	if uncounted {
		if err := w.fillFigures(ctx, now); err != nil {
			return err
		}
	}
	if len(scripts) > 0 {
		if _, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, version)); err != nil {
			return err
		}
	}
	_, err = conn.ExecContext(ctx, `COMMIT`)
	return err
}
