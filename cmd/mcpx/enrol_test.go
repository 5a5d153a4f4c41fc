package main

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/zalando/go-keyring"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// setAside keeps a test from the state and configuration of whoever runs it, and returns the state folder.
func setAside(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for name, value := range isolated(folder) {
		t.Setenv(name, value)
	}
	t.Chdir(folder)
	state := filepath.Join(folder, "s")
	t.Setenv(stateVariable, state)
	return state
}

// testKey makes the key of a hub from a letter.
func testKey(letter byte) uplink.Key {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = letter
	return uplink.PublicKey(ed25519.NewKeyFromSeed(seed))
}

func TestHubIsFoundInOrder(t *testing.T) {
	const team, other = "https://hub.example.com", "https://other.example.com:8443/x"
	a, b := testKey('a'), testKey('b')
	enrolled := &login{URL: team, Key: a, Principal: "alice"}
	for _, test := range []struct {
		name      string
		flag      string
		hub       hubConfig
		login     *login
		want      string // destination; "": none
		key       uplink.Key
		principal string
		token     string // "": asking for it is an error
		err       string
	}{
		{name: "nothing said", want: audit.LocalHub, token: "-"},
		{name: "login", login: enrolled, want: team, key: a, principal: "alice", token: "secret"},
		{name: "configuration wins over login", hub: hubConfig{URL: other, Token: "t"}, login: enrolled, want: other, token: "t"},
		{name: "flag wins over both", flag: "https://third.example.com", hub: hubConfig{URL: other, Token: "t"}, login: enrolled, want: "https://third.example.com"},
		{name: "flag names the login's hub", flag: "HTTPS://Hub.example.com:443/", login: enrolled, want: team, key: a, principal: "alice", token: "secret"},
		{name: "flag names the configured hub", flag: other + "/", hub: hubConfig{URL: other, Token: "t", Key: b.String()}, want: other, key: b, token: "t"},
		{name: "configuration without a token takes the login's", hub: hubConfig{URL: team + "/"}, login: enrolled, want: team, key: a, principal: "alice", token: "secret"},
		{name: "a token of its own may be another's", hub: hubConfig{URL: team, Token: "t"}, login: enrolled, want: team, key: a, token: "t"},
		{name: "two keys for one hub", hub: hubConfig{URL: team, Key: b.String()}, login: enrolled, err: "is not the key that `mcpx login` found"},
		{name: "none", flag: "none", hub: hubConfig{URL: other, Token: "t"}, login: enrolled},
		{name: "local in spite of a login", flag: "local", login: enrolled, want: audit.LocalHub, token: "-"},
		{name: "plain http", flag: "http://hub.example.com", err: "is not https"},
		{name: "no URL", flag: "hub", err: "no usable URL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			state := setAside(t)
			if test.login != nil {
				write(t, filepath.Join(state, loginName), test.login)
				write(t, filepath.Join(state, tokenName), credential{Token: "secret", URL: test.login.URL, Key: test.login.Key})
			}
			got, err := (&app{}).hubFor(&config{Hub: test.hub}, test.flag)
			switch {
			case test.err != "":
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %+v, %v; want an error with %q", got, err, test.err)
				}
				return
			case err != nil:
				t.Fatal(err)
			case test.want == "":
				if got != nil {
					t.Errorf("got %+v, want none", got)
				}
				return
			}
			if got.Destination != test.want || got.Key != test.key || got.Principal != test.principal {
				t.Errorf("got %q, %v, %q; want %q, %v, %q", got.Destination, got.Key, got.Principal, test.want, test.key, test.principal)
			}
			if test.token == "-" {
				if got.Token != nil || got.URL != "" || got.Socket+got.File == "" {
					t.Errorf("no local hub: %+v", got)
				}
				return
			}
			if token, err := got.Token(); token != test.token || (err != nil) != (test.token == "") {
				t.Errorf("token %q, %v; want %q", token, err, test.token)
			}
		})
	}
}

func write(t *testing.T, path string, value any) {
	t.Helper()
	if err := writeState(path, value); err != nil {
		t.Fatal(err)
	}
}

// TestTokenIsBoundToItsHub changes where login.json leads: the token must not follow.
func TestTokenIsBoundToItsHub(t *testing.T) {
	state := setAside(t)
	genuine := login{URL: "https://hub.example.com", Key: testKey('a'), Principal: "alice"}
	write(t, filepath.Join(state, tokenName), credential{Token: "secret", URL: genuine.URL, Key: genuine.Key})
	for name, changed := range map[string]login{
		"URL": {URL: "https://evil.example.com", Key: genuine.Key, Principal: "alice"},
		"key": {URL: genuine.URL, Key: testKey('e'), Principal: "alice"},
	} {
		write(t, filepath.Join(state, loginName), changed)
		got, err := (&app{}).hubFor(&config{}, "")
		if err != nil {
			t.Fatal(err)
		}
		if token, err := got.Token(); token != "" || err == nil || !strings.Contains(err.Error(), "somebody changed it") || strings.Contains(err.Error(), "secret") {
			t.Errorf("changed %s: token %q, error %v", name, token, err)
		}
	}
}

func TestTokenFileOfOthersIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("modes say nothing here")
		return
	}
	state := setAside(t)
	l := &login{URL: "https://hub.example.com", Key: testKey('a')}
	file := filepath.Join(state, tokenName)
	write(t, file, credential{Token: "secret", URL: l.URL, Key: l.Key})
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := l.credential(); err == nil || !strings.Contains(err.Error(), "can be read by others") {
		t.Errorf("got %v, want a refusal", err)
	}
}

// fakeHub answers as a hub does to who shows the token.
func fakeHub(t *testing.T, token string, identity uplink.Identity) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != uplink.PathHub || r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":{"code":"unauthorized","message":"no such token"}}`))
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"version": identity.Version, "key": identity.Key.String(), "principal": identity.Principal, "admin": identity.Admin})
	}))
	t.Cleanup(server.Close)
	return server
}

// TestLogin enrols with and without a keyring, asks, and forgets.
func TestLogin(t *testing.T) {
	for _, test := range []struct {
		name    string
		keyring error
		where   string
	}{
		{"keyring", nil, "in the keyring"},
		{"no keyring", errors.New("no bus"), "readable for you alone: there is no keyring that takes it (no bus)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			state := setAside(t)
			if keyring.MockInit(); test.keyring != nil {
				keyring.MockInitWithError(test.keyring)
			}
			hub := fakeHub(t, "s3cret", uplink.Identity{Version: "1", Key: testKey('a'), Principal: "alice"})
			run := func(stdin string, args ...string) (int, string) {
				var out strings.Builder
				code := (&app{in: strings.NewReader(stdin), out: &out, err: &out}).run(args)
				return code, out.String()
			}
			key := testKey('a').String()
			for _, refused := range []struct{ name, stdin, key, want string }{
				{"wrong key", "s3cret\n", testKey('b').String(), "not with the key that --key gives"},
				{"no key", "s3cret\n", "", "nobody is here to confirm"},
				{"wrong token", "guess\n", key, "refuses the token"},
				{"no token", "\n", key, "there is no token on stdin"},
			} {
				args := []string{"login", hub.URL}
				if refused.key != "" {
					args = append(args, "--key", refused.key)
				}
				if code, out := run(refused.stdin, args...); code != 1 || !strings.Contains(out, refused.want) {
					t.Errorf("%s: %d %s", refused.name, code, out)
				}
				if l, err := readLogin(); l != nil || err != nil {
					t.Fatalf("%s: enrolled all the same: %+v, %v", refused.name, l, err)
				}
			}
			code, out := run("s3cret\n", "login", hub.URL+"/", "--key", key)
			if code != 0 || !strings.Contains(out, "enrolled at "+hub.URL+" as alice") || !strings.Contains(out, test.where) {
				t.Fatalf("login: %d %s", code, out)
			}
			if code, out := run("s3cret\n", "login", hub.URL); code != 0 {
				t.Errorf("a second login, whose key is known: %d %s", code, out)
			}
			if code, out := run("", "login", "--status"); code != 0 || !strings.Contains(out, "the hub says: alice") {
				t.Errorf("status: %d %s", code, out)
			}
			target, err := (&app{}).hubFor(defaults(), "")
			if err != nil {
				t.Fatal(err)
			}
			if token, err := target.Token(); token != "s3cret" || err != nil {
				t.Errorf("token %q, %v", token, err)
			}
			if code, out := run("", "logout"); code != 0 || !strings.Contains(out, "mcpx hub token revoke alice") {
				t.Errorf("logout: %d %s", code, out)
			}
			if code, out := run("", "login", "--status"); code != 1 || !strings.Contains(out, "not enrolled") {
				t.Errorf("status afterwards: %d %s", code, out)
			}
			if left, err := os.ReadDir(state); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestHubWithAnotherKeyIsRefused(t *testing.T) {
	state := setAside(t)
	hub := fakeHub(t, "s3cret", uplink.Identity{Version: "1", Key: testKey('b'), Principal: "alice"})
	write(t, filepath.Join(state, loginName), login{URL: hub.URL, Key: testKey('a'), Principal: "alice"})
	write(t, filepath.Join(state, tokenName), credential{Token: "s3cret", URL: hub.URL, Key: testKey('a')})
	if _, _, err := (&app{}).hubClient(""); err == nil || !strings.Contains(err.Error(), "signs with another key") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestNoHubSaysWhatToDo(t *testing.T) {
	setAside(t)
	for flag, want := range map[string]string{
		"":     "start one with `mcpx hub`, or enrol at your team's with `mcpx login URL`",
		"none": "this command needs a hub",
	} {
		if _, _, err := (&app{}).hubClient(flag); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--hub %q: got %v, want %q", flag, err, want)
		}
	}
}

// TestDoorOfTheLocalHub wants the same door in all processes of a user, and one that a path can name.
func TestDoorOfTheLocalHub(t *testing.T) {
	state := setAside(t)
	got, err := findDoor()
	if err != nil {
		t.Fatal(err)
	}
	if longestSocket > 0 && len(state) < 90 && got.socket != filepath.Join(state, socketName) {
		t.Errorf("with $%s: %+v", stateVariable, got)
	}
	t.Setenv(stateVariable, filepath.Join(state, strings.Repeat("x", 120)))
	if got, err := findDoor(); err != nil || got.socket != "" || filepath.Base(got.file) != doorName {
		t.Errorf("with a long path: %+v, %v", got, err)
	}
}

// TestDoorLeadsNowhereElse reads files that would send a token away from this machine, or have others read it.
func TestDoorLeadsNowhereElse(t *testing.T) {
	file := filepath.Join(t.TempDir(), doorName)
	for _, at := range []address{{"http://hub.example.com:80", "t"}, {"https://127.0.0.1:1", "t"}, {"http://127.0.0.1:1", ""}, {"http://u:p@127.0.0.1:1", "t"}} {
		write(t, file, at)
		if got, err := readDoor(file); err == nil {
			t.Errorf("%+v is taken as %+v", at, got)
		}
	}
	write(t, file, address{"http://127.0.0.1:1", "t"})
	if got, err := readDoor(file); err != nil || got.Token != "t" {
		t.Errorf("got %+v, %v", got, err)
	}
}
