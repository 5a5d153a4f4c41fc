package hub_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/auth"
)

// issued makes a gateway take the tokens of an issuer, and returns what issues them: with a subject and an end.
func issued(t testing.TB, cfg *hub.Config) func(sub string, expires time.Time) (head string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jwkset.NewJWKFromKey(private.Public(), jwkset.JWKOptions{})
	if err != nil {
		t.Fatal(err)
	}
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.MarshalWrite(w, map[string]any{"keys": []any{public.Marshal()}})
	}))
	t.Cleanup(issuer.Close)
	const resource = "https://gateway.example.com/mcp"
	cfg.Auth = auth.Config{Enabled: true, Type: auth.OAuth2, OAuth: auth.OAuth{
		Resource: resource, Issuer: issuer.URL, JWKSURI: issuer.URL + "/jwks", AuthorizationServers: []string{issuer.URL},
	}}
	return func(sub string, expires time.Time) string {
		token, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": issuer.URL, "aud": resource, "sub": sub, "exp": expires.Unix(),
		}).SignedString(private)
		if err != nil {
			t.Fatal(err)
		}
		return "Authorization: Bearer " + token
	}
}

// What a token has opened ends with it, and a client comes back with the next one.
func TestStreamsEndWithTheirToken(t *testing.T) {
	cfg := config(hub.Server{Name: "s", URL: listening(t)})
	token := issued(t, &cfg)
	g := start(t, cfg)
	eventually(t, "the issuer's keys are there", func() bool { return g.do("GET", "/readyz", "").status == 200 })
	expires := time.Now().Add(3 * time.Second).Truncate(time.Second)
	short, long := token("ann", expires), token("ann", expires.Add(time.Hour))
	session := "Mcp-Session-Id: " + g.sessionAt("s", short)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	lasts := g.stream(ctx, "GET", "/mcp/s", "", session, long)
	for name, s := range map[string]io.Reader{
		"GET":                  g.stream(ctx, "GET", "/mcp/s", "", session, short),
		"subscriptions/listen": g.stream(ctx, "POST", "/mcp/s", listen, append([]string{short}, listenHeads...)...),
	} {
		said, err := io.ReadAll(s)
		if late := time.Since(expires); err != nil || late < 0 || !strings.Contains(string(said), "acknowledged") {
			t.Errorf("%s ended %v after its token, with %v, after %q", name, late, err, said)
		}
	}
	if got := g.post("s", listTools, session, short); got.status != 401 {
		t.Errorf("a token that has expired: %+v", got)
	}
	if got := g.post("s", listTools, session, long); got.status != 200 {
		t.Errorf("the session with the next token: %+v", got)
	}
	cancel()
	if _, err := io.ReadAll(lasts); !errors.Is(err, context.Canceled) {
		t.Errorf("a stream of a token that has not expired had ended: %v", err)
	}
}
