package store

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTokens(t *testing.T) {
	clock := newClock()
	path := filepath.Join(t.TempDir(), "hub.db")
	hub, cli := openStore(t, Options{Path: path, Now: clock.now}), openStore(t, Options{Path: path, Now: clock.now, Retain: -1})
	want := Token{Name: "ada@laptop", Servers: []string{"git*", "files"}, Admin: true, Created: clock.t, Expires: clock.t.Add(time.Hour)}
	secret, err := cli.CreateToken(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^mcpx_[A-Za-z0-9_-]{43}$`).MatchString(secret) {
		t.Errorf("the secret is %q", secret)
	}
	got, err := hub.Authenticate(t.Context(), secret)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	for _, bad := range []string{"", "mcpx_", secret + "x", secret[:len(secret)-1], strings.ToUpper(secret), secret[:len(secret)-2] + "__", "mcpx_" + strings.Repeat("'", 43)} {
		if got, err := hub.Authenticate(t.Context(), bad); !errors.Is(err, ErrNotFound) || got.Name != "" {
			t.Errorf("%q: %v %v", bad, got, err)
		}
	}
	if _, err := cli.CreateToken(t.Context(), Token{Name: want.Name}); !errors.Is(err, ErrExists) {
		t.Errorf("the same name: %v", err)
	}

	// When it was used is written later, to the minute.
	clock.add(90 * time.Second)
	if _, err := hub.Authenticate(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if err := hub.flushUsed(t.Context()); err != nil {
		t.Fatal(err)
	}
	want.Used = clock.t.Truncate(time.Minute)
	all, err := cli.Tokens(t.Context())
	if diff := cmp.Diff([]Token{want}, all); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}

	clock.add(time.Hour)
	if _, err := hub.Authenticate(t.Context(), secret); !errors.Is(err, ErrNotFound) {
		t.Errorf("expired: %v", err)
	}
	clock.add(-2 * time.Hour)
	if err := cli.RevokeToken(t.Context(), want.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := hub.Authenticate(t.Context(), secret); !errors.Is(err, ErrNotFound) {
		t.Errorf("revoked: %v", err)
	}
	if err := cli.RevokeToken(t.Context(), want.Name); !errors.Is(err, ErrNotFound) {
		t.Errorf("revoked twice: %v", err)
	}
}

func TestTokensAreRefused(t *testing.T) {
	clock := newClock()
	s := openStore(t, Options{Now: clock.now})
	for _, bad := range []Token{
		{Name: ""}, {Name: "local"}, {Name: "-ada"}, {Name: "a b"}, {Name: "a/b"}, {Name: "ä"}, {Name: strings.Repeat("x", 65)}, {Name: "ada\n"},
		{Name: "ada", Expires: clock.t}, {Name: "ada", Servers: []string{""}}, {Name: "ada", Servers: make([]string, 2000)},
	} {
		if _, err := s.CreateToken(t.Context(), bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", bad.Name, err)
		}
	}
	if all, err := s.Tokens(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("%v %v", all, err)
	}
}

// No secret is in the file.
func TestSecretsAreNotKept(t *testing.T) {
	s := openStore(t, Options{})
	secret, err := s.CreateToken(t.Context(), Token{Name: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	var text string
	if err := s.readers.QueryRow(`SELECT group_concat(name || hex(hash) || CAST(hash AS TEXT) || servers) FROM tokens`).Scan(&text); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, secret) || strings.Contains(text, strings.TrimPrefix(secret, secretPrefix)) {
		t.Error("the secret is kept")
	}
}
