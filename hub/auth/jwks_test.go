package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// in runs a test in a bubble with its own time, in front of an issuer that answers at once.
func in(t *testing.T, i *issuer, test func(*testing.T, *Authenticator)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, err := New(t.Context(), oauthConfig("https://issuer.example.com/jwks"), Options{Log: zerolog.Nop(), Client: with(i)})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		synctest.Wait()
		test(t, a)
	})
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func down(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }

func wantCount(t *testing.T, i *issuer, want int) {
	t.Helper()
	if got := i.count(); got != want {
		t.Errorf("got %d fetches, want %d", got, want)
	}
}

func wantReason(t *testing.T, a *Authenticator, token string, want error) {
	t.Helper()
	if got := reason(a, token, "files"); !errors.Is(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestUnknownKeysRefetchAtMostEvery10s(t *testing.T) {
	known := ecSigner("known")
	i := newIssuer(known)
	in(t, i, func(t *testing.T, a *Authenticator) {
		guess := func(n int) string {
			return known.sign(claimsFor(nil), map[string]any{"kid": fmt.Sprint("guess ", n)})
		}
		wantCount(t, i, 1)
		for n := range 100 {
			wantReason(t, a, guess(n), errUnknownKey)
		}
		wantCount(t, i, 2)
		pass(refetchEvery - time.Millisecond)
		wantReason(t, a, guess(0), errUnknownKey)
		wantCount(t, i, 2)
		pass(time.Millisecond)
		wantReason(t, a, guess(0), errUnknownKey)
		wantReason(t, a, guess(1), errUnknownKey)
		wantCount(t, i, 3)

		// Tokens that name a known key, or are no tokens, cause none.
		pass(refetchEvery)
		wantReason(t, a, swap(known.sign(claimsFor(nil), nil), 2, strings.Repeat("A", 86)), errSignature)
		wantReason(t, a, "a.b.c", errUnreadable)
		wantReason(t, a, known.sign(claimsFor(nil), nil), nil)
		wantCount(t, i, 3)
	})
}

func TestRotation(t *testing.T) {
	for _, row := range []struct {
		name     string
		old, new signer
	}{
		{"named", ecSigner("1"), ecSigner("2")},
		{"without names", ecSigner(""), ecSigner("")},
		{"other kind", ecSigner(""), rsaSigner("", 0)},
	} {
		t.Run(row.name, func(t *testing.T) {
			i := newIssuer(row.old)
			in(t, i, func(t *testing.T, a *Authenticator) {
				before, after := row.old.sign(claimsFor(nil), nil), row.new.sign(claimsFor(nil), nil)
				wantReason(t, a, before, nil)
				i.use(row.new)
				wantReason(t, a, before, nil) // nobody has heard of it yet
				wantReason(t, a, after, nil)
				wantCount(t, i, 2)
				if err := reason(a, before, "files"); err == nil { // cached, but the key is gone
					t.Error("a token of the old key came in")
				}
			})
		})
	}
}

// TestKeyTakenBack: with the hourly refresh at the latest, also for tokens that were verified before.
func TestKeyTakenBack(t *testing.T) {
	old, other := ecSigner("old"), ecSigner("other")
	i := newIssuer(old, other)
	in(t, i, func(t *testing.T, a *Authenticator) {
		token := old.sign(claimsFor(map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()}), nil)
		i.use(other)
		pass(refreshEvery - time.Millisecond)
		wantReason(t, a, token, nil)
		pass(time.Millisecond)
		wantCount(t, i, 2)
		wantReason(t, a, token, errUnknownKey)

		i.use() // all of them
		pass(refreshEvery)
		wantReason(t, a, other.sign(claimsFor(nil), nil), errNoKeys)
		if a.Ready() == nil {
			t.Error("ready without a key")
		}
		i.use(other)
		pass(lastRetry)
		wantReason(t, a, other.sign(claimsFor(nil), nil), nil)
	})
}

func TestSameKeysKeepCachedTokens(t *testing.T) {
	i := newIssuer(ecSigner("e"))
	in(t, i, func(t *testing.T, a *Authenticator) {
		keys := a.oauth.keys.current()
		pass(refreshEvery)
		wantCount(t, i, 2)
		if a.oauth.keys.current() != keys {
			t.Error("the same document made other keys")
		}
	})
}

func TestKeysOutliveAnOutage(t *testing.T) {
	key, evil := ecSigner("e"), ecSigner("evil")
	others := document(t, evil.jwk(nil)) // what nobody may take for the issuer's
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.String() != to {
				http.Redirect(w, r, to, http.StatusFound)
				return
			}
			_, _ = w.Write(others)
		}
	}
	long := append(bytes.Repeat([]byte(" "), maxDocument+1-len(others)), others...)
	for name, outage := range map[string]http.HandlerFunc{
		"status": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write(others)
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"no set":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") },
		"two sets": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(append(slices.Clip(others), others...))
		},
		"too long":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(long) },
		"elsewhere":  redirect("https://evil.example.org/jwks"),
		"other port": redirect("https://issuer.example.com:8443/jwks"),
		"plain":      redirect("http://issuer.example.com/jwks"),
		"in circles": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/jwks", http.StatusFound) },
		"silence":    func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(key)
			in(t, i, func(t *testing.T, a *Authenticator) {
				i.answerWith(outage)
				pass(time.Hour + 10*time.Minute)
				if i.count() < 10 {
					t.Errorf("got %d fetches", i.count())
				}
				wantReason(t, a, key.sign(claimsFor(nil), nil), nil)
				wantReason(t, a, evil.sign(claimsFor(nil), nil), errUnknownKey)
				if err := a.Ready(); err != nil {
					t.Errorf("not ready: %v", err)
				}
				i.answerWith(nil)
				i.use(ecSigner("next"))
				pass(lastRetry + fetchTimeout)
				wantReason(t, a, i.signer().sign(claimsFor(nil), nil), nil)
			})
		})
	}
}

func TestDownAtStart(t *testing.T) {
	i := newIssuer(ecSigner("e"))
	i.answerWith(down)
	in(t, i, func(t *testing.T, a *Authenticator) {
		<-a.Settled()
		token := i.signer().sign(claimsFor(nil), nil)
		for range 100 {
			wantReason(t, a, token, errNoKeys)
		}
		wantCount(t, i, 1) // requests cause none
		if err := a.Ready(); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("ready: %v", err)
		}
		pass(time.Hour)
		if n := i.count(); n < 120 || n > 130 { // every 30 s, and a few at the start
			t.Errorf("got %d fetches in an hour", n)
		}
		i.answerWith(nil)
		pass(lastRetry)
		wantReason(t, a, i.signer().sign(claimsFor(nil), nil), nil)
		if err := a.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
	})
}

// TestManyWaitForOneFetch: a hundred clients come with the new key at once, while the issuer takes its time.
func TestManyWaitForOneFetch(t *testing.T) {
	i := newIssuer(ecSigner("1"))
	in(t, i, func(t *testing.T, a *Authenticator) {
		next := ecSigner("2")
		i.use(next)
		slow := make(chan struct{})
		i.answerWith(func(w http.ResponseWriter, _ *http.Request) {
			<-slow
			_, _ = w.Write(document(t, next.jwk(nil)))
		})
		token := next.sign(claimsFor(nil), nil)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if err := reason(a, token, "files"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // all of them wait

		gone, leave := context.WithCancel(t.Context())
		all.Go(func() { // a client that does not
			if _, err := a.Authenticate(bearer(token).WithContext(gone), "files"); !errors.Is(err, errUnknownKey) {
				t.Errorf("got %v, want %v", err, errUnknownKey)
			}
		})
		leave()
		synctest.Wait()
		close(slow)
		all.Wait()
		wantCount(t, i, 2)
	})
}

// TestTimeOfCachedTokens: a token that was verified once ends in time.
func TestTimeOfCachedTokens(t *testing.T) {
	i := newIssuer(ecSigner("e"))
	in(t, i, func(t *testing.T, a *Authenticator) {
		token := i.signer().sign(claimsFor(map[string]any{"exp": time.Now().Add(30 * time.Second).Unix()}), nil)
		wantReason(t, a, token, nil)
		pass(30*time.Second - time.Millisecond)
		wantReason(t, a, token, nil)
		pass(time.Millisecond)
		wantReason(t, a, token, errExpired)

		early := i.signer().sign(claimsFor(map[string]any{"nbf": time.Now().Add(clockSkew + 20*time.Second).Unix()}), nil)
		wantReason(t, a, early, errTooEarly)
		pass(20 * time.Second)
		wantReason(t, a, early, nil)
	})
}

func TestCloseFreesWhoWaits(t *testing.T) {
	i := newIssuer(ecSigner("1"))
	in(t, i, func(t *testing.T, a *Authenticator) {
		i.answerWith(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		done := make(chan error)
		go func() { done <- reason(a, ecSigner("2").sign(claimsFor(nil), nil), "files") }()
		synctest.Wait()
		a.Close()
		a.Close()
		if err := <-done; !errors.Is(err, errUnknownKey) {
			t.Errorf("got %v, want %v", err, errUnknownKey)
		}
		wantReason(t, a, i.signer().sign(claimsFor(nil), nil), nil) // what is in flight ends well
	})
}

// TestIssuerProcess: an issuer in a process of its own rotates its keys, dies and comes back.
func TestIssuerProcess(t *testing.T) {
	address := freeAddress(t)
	a := open(t, oauthConfig("http://"+address+"/jwks"), nil)
	if a.Ready() == nil {
		t.Error("ready before there is an issuer")
	}
	wantReason(t, a, ecSigner("1").sign(claimsFor(nil), nil), errNoKeys)

	p := startIssuer(t, address)
	first := p.ask(t, "/token")
	deadline := time.After(20 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); a.Ready() != nil; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not ready: %v", a.Ready())
		}
	}
	wantReason(t, a, first, nil)

	p.ask(t, "/rotate")
	second := p.ask(t, "/token")
	wantReason(t, a, second, nil)
	wantReason(t, a, first, errUnknownKey)
	if n := p.ask(t, "/count"); n != "2" {
		t.Errorf("got %s fetches, want 2", n)
	}

	p.kill()
	a.oauth.seen.put([32]byte{}, &keySet{}, &claims{}) // forget what is cached
	wantReason(t, a, second, nil)
	wantReason(t, a, ecSigner("3").sign(claimsFor(nil), nil), errUnknownKey)
}

// TestRedirectOnTheSameHost is followed: issuers move their keys.
func TestRedirectOnTheSameHost(t *testing.T) {
	i := newIssuer(ecSigner("e"))
	mux := http.NewServeMux()
	mux.Handle("/new", i)
	mux.Handle("/old", http.RedirectHandler("/new", http.StatusMovedPermanently))
	server := httptest.NewServer(mux)
	defer server.Close()
	a := open(t, oauthConfig(server.URL+"/old"), nil)
	wantReason(t, a, i.signer().sign(claimsFor(nil), nil), nil)
}
