package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"database/sql"

	"github.com/go-json-experiment/json"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// A Token is a credential for the calls of package uplink. Only a hash of its secret is kept.
type Token struct {
	Name    string   // the principal
	Servers []string // names or globs; none: all
	Admin   bool     // may approve, revoke and look at wrappers, of its servers
	Created time.Time
	Expires time.Time // zero: never
	Used    time.Time // last, to the minute; zero: never
}

const (
	secretPrefix = "mcpx_"
	secretBytes  = 32
	maxServers   = 1000 // of a token
)

// validTokenName is no regular expression: every start of mcpx would compile it.
func validTokenName(name string) bool {
	for i, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && strings.IndexByte("._@-", c) >= 0:
		default:
			return false
		}
	}
	return 0 < len(name) && len(name) <= 64
}

func checkToken(t Token, now time.Time) error {
	if !validTokenName(t.Name) {
		return fmt.Errorf("token name %q: %w: it must be of [A-Za-z0-9._@-], begin with a letter or digit and have at most 64", clip(t.Name), ErrInvalid)
	}
	if t.Name == uplink.LocalPrincipal {
		return fmt.Errorf("token name %q: %w: it means who comes by the hub's own socket", t.Name, ErrInvalid)
	}
	if !t.Expires.IsZero() && !t.Expires.After(now) {
		return fmt.Errorf("token %q: %w: it would expire before it is made", t.Name, ErrInvalid)
	}
	if len(t.Servers) > maxServers {
		return fmt.Errorf("token %q: %w: at most %d servers", t.Name, ErrInvalid, maxServers)
	}
	for _, server := range t.Servers {
		if server == "" || len(server) > maxName {
			return fmt.Errorf("token %q: server %q: %w: it must have 1 to %d bytes", t.Name, clip(server), ErrInvalid, maxName)
		}
	}
	return nil
}

// ErrExists is the error of a name that is taken.
var ErrExists = errors.New("already there")

// CreateToken makes a token and returns its secret, which nobody can be told again. Created and Used of t do not count.
func (s *Store) CreateToken(ctx context.Context, t Token) (secret string, err error) {
	now := s.now()
	if err := checkToken(t, now); err != nil {
		return "", err
	}
	servers, err := json.Marshal(t.Servers)
	if err != nil {
		return "", err
	}
	var random [secretBytes]byte
	_, _ = rand.Read(random[:]) // never fails, as its documentation says
	secret = secretPrefix + base64.RawURLEncoding.EncodeToString(random[:])
	hash := sha256.Sum256([]byte(secret))
	err = s.update(ctx, 1, func(w *writer) error {
		n, err := w.changed(`INSERT INTO tokens (name, hash, servers, admin, created, expires) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (name) DO NOTHING`, t.Name, hash[:], string(servers), t.Admin, now.UnixMilli(), milliOrNull(t.Expires))
		if err == nil && n == 0 {
			err = fmt.Errorf("token %q: %w: revoke it first", t.Name, ErrExists)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

func milliOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// Tokens lists all tokens by name.
func (s *Store) Tokens(ctx context.Context) ([]Token, error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT name, servers, admin, created, expires, used FROM tokens ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	defer rows.Close()
	var tokens []Token
	for rows.Next() {
		t, err := scanToken(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("list tokens: %w", err)
		}
		tokens = append(tokens, t)
	}
	return tokens, rows.Err()
}

func scanToken(scan func(...any) error) (t Token, err error) {
	var servers string
	var created int64
	var expires, used sql.NullInt64
	if err := scan(&t.Name, &servers, &t.Admin, &created, &expires, &used); err != nil {
		return t, err
	}
	t.Created = milli(created)
	if expires.Valid {
		t.Expires = milli(expires.Int64)
	}
	if used.Valid {
		t.Used = milli(used.Int64)
	}
	return t, json.Unmarshal([]byte(servers), &t.Servers)
}

// RevokeToken removes a token; ErrNotFound if there is none.
func (s *Store) RevokeToken(ctx context.Context, name string) error {
	return s.update(ctx, 1, func(w *writer) error {
		n, err := w.changed(`DELETE FROM tokens WHERE name = ?`, name)
		if err == nil && n == 0 {
			err = fmt.Errorf("token %q: %w", clip(name), ErrNotFound)
		}
		return err
	})
}

// Authenticate returns the token of a secret; ErrNotFound if there is none that is valid now. It is looked up by its hash, and how
// long that takes tells at most how the hash begins, for which nobody can choose a secret. What another process creates or
// revokes counts at once.
func (s *Store) Authenticate(ctx context.Context, secret string) (Token, error) {
	if !strings.HasPrefix(secret, secretPrefix) || len(secret) != len(secretPrefix)+base64.RawURLEncoding.EncodedLen(secretBytes) {
		return Token{}, ErrNotFound
	}
	hash := sha256.Sum256([]byte(secret))
	row := s.readers.QueryRowContext(ctx, `SELECT name, servers, admin, created, expires, used FROM tokens WHERE hash = ?`, hash[:])
	t, err := scanToken(row.Scan)
	if isNone(err) {
		return Token{}, ErrNotFound
	}
	if err != nil {
		return Token{}, fmt.Errorf("look up a token: %w", err)
	}
	now := s.now()
	if !t.Expires.IsZero() && !now.Before(t.Expires) {
		return Token{}, ErrNotFound
	}
	if minute := now.Truncate(time.Minute); minute.After(t.Used) {
		s.mu.Lock()
		s.used[t.Name] = minute.UnixMilli()
		s.mu.Unlock()
	}
	return t, nil
}

// flushUsed writes when tokens were used last.
func (s *Store) flushUsed(ctx context.Context) error {
	s.mu.Lock()
	used := s.used
	s.used = map[string]int64{}
	s.mu.Unlock()
	if len(used) == 0 {
		return nil
	}
	return s.update(ctx, len(used), func(w *writer) error {
		for name, at := range used {
			if err := w.exec(`UPDATE tokens SET used = ? WHERE name = ?`, at, name); err != nil {
				return err
			}
		}
		return nil
	})
}
