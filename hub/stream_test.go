package hub_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
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
	"github.com/rohitgs28/mcpx/policy"
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

// Clients of a server whose rules change hear of it on the streams that they have open, others do not.
func TestClientsHearOfNewRules(t *testing.T) {
	const changed = `"method":"notifications/tools/list_changed"`
	server := serving(t, func(w http.ResponseWriter, r *http.Request, body string) {
		switch {
		case r.Method == http.MethodGet:
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case strings.Contains(body, "subscriptions/listen"):
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, strings.Replace(acknowledge, `"notifications":{}`, `"notifications":{"toolsListChanged":true}`, 1))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		default:
			answerWith(w, body)
		}
	})
	rules := func(denied ...string) hub.Config {
		return config(hub.Server{Name: "s", URL: server, Policy: policy.Config{DenyTools: denied}}, hub.Server{Name: "other", URL: server})
	}
	g := start(t, rules())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	streams := map[string]*bufio.Reader{}
	for _, name := range []string{"s", "other"} {
		session := "Mcp-Session-Id: " + g.sessionAt(name)
		g.post(name, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, session)
		streams[name+", legacy"] = bufio.NewReader(g.stream(ctx, "GET", "/mcp/"+name, "", session))
		streams[name+", modern"] = bufio.NewReader(g.stream(ctx, "POST", "/mcp/"+name, listen, listenHeads...))
	}
	await := func(name, what string) string {
		t.Helper()
		for {
			line, err := streams[name].ReadString('\n')
			if err != nil {
				t.Fatalf("%s: %v before %s", name, err, what)
			}
			if strings.Contains(line, what) {
				return line
			}
		}
	}
	await("s, modern", "acknowledged")
	await("other, modern", "acknowledged")
	for _, cfg := range []hub.Config{rules("echo"), rules()} {
		for range 2 { // the second time nothing changes
			if err := g.hub.Reload(cfg); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"s, legacy", "s, modern"} {
			if got := await(name, changed); strings.Contains(got, `subscriptionId":"l"`) != (name == "s, modern") {
				t.Errorf("%s is told %q", name, got)
			}
		}
	}
	g.stop()
	for name, s := range streams {
		if rest, err := io.ReadAll(s); err != nil || strings.Contains(string(rest), changed) {
			t.Errorf("%s is told %q, %v: nothing has changed", name, rest, err)
		}
	}
}
