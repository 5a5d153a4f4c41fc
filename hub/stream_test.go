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
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/auth"
	"github.com/rohitgs28/mcpx/integrity"
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

const toolsChanged = `"method":"notifications/tools/list_changed"`

// promising serves a server that would announce its tools' changes, and never does.
func promising(t testing.TB) (url string) {
	return serving(t, func(w http.ResponseWriter, r *http.Request, body string) {
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
}

// Listeners are clients with open streams, of both eras, by server and era.
type listeners struct {
	t       testing.TB
	streams map[string]*bufio.Reader
}

func (g *gateway) listeners(ctx context.Context, servers ...string) *listeners {
	l := &listeners{t: g.t, streams: make(map[string]*bufio.Reader)}
	for _, name := range servers {
		session := "Mcp-Session-Id: " + g.sessionAt(name)
		g.post(name, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, session)
		l.streams[name+", legacy"] = bufio.NewReader(g.stream(ctx, "GET", "/mcp/"+name, "", session))
		l.streams[name+", modern"] = bufio.NewReader(g.stream(ctx, "POST", "/mcp/"+name, listen, listenHeads...))
		l.await(name+", modern", "acknowledged")
	}
	return l
}

// await returns the first line that has what in it.
func (l *listeners) await(name, what string) string {
	l.t.Helper()
	for {
		line, err := l.streams[name].ReadString('\n')
		if err != nil {
			l.t.Fatalf("%s: %v before %s", name, err, what)
		}
		if strings.Contains(line, what) {
			return line
		}
	}
}

// told waits until the clients of a server are told to list again, each in the words of its era.
func (l *listeners) told(server string) {
	l.t.Helper()
	for _, era := range []string{", legacy", ", modern"} {
		if got := l.await(server+era, toolsChanged); strings.Contains(got, `subscriptionId":"l"`) != (era == ", modern") {
			l.t.Errorf("%s%s is told %q", server, era, got)
		}
	}
}

// nothingElse reads the streams, which have ended, to their ends.
func (l *listeners) nothingElse() {
	l.t.Helper()
	for name, s := range l.streams {
		if rest, err := io.ReadAll(s); err != nil || strings.Contains(string(rest), toolsChanged) {
			l.t.Errorf("%s is told %q, %v: nothing has changed", name, rest, err)
		}
	}
}

// Clients of a server whose rules change hear of it on the streams that they have open, others do not.
func TestClientsHearOfNewRules(t *testing.T) {
	server := promising(t)
	rules := func(denied ...string) hub.Config {
		return config(hub.Server{Name: "s", URL: server, Policy: policy.Config{DenyTools: denied}}, hub.Server{Name: "other", URL: server})
	}
	g := start(t, rules())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	clients := g.listeners(ctx, "s", "other")
	for _, cfg := range []hub.Config{rules("echo"), rules()} {
		for range 2 { // the second time nothing changes
			if err := g.hub.Reload(cfg); err != nil {
				t.Fatal(err)
			}
		}
		clients.told("s")
	}
	g.stop()
	clients.nothingElse()
}

// What is approved by hand, in the file that the gateway's pins are in, is told to all who listen, whoever listed.
func TestClientsHearOfApprovals(t *testing.T) {
	server := promising(t)
	cfg := config(hub.Server{Name: "s", URL: server}, hub.Server{Name: "other", URL: server})
	file, err := integrity.Open(filepath.Join(t.TempDir(), "mcpx.lock"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Server("s", cfg.Inspection).Walk(integrity.Tools).Page([][]byte{[]byte(`{"name":"t","description":"as it was"}`)}, true); err != nil {
		t.Fatal(err)
	}
	g := start(t, cfg, func(opt *hub.Options) {
		opt.Pins = func(server string) (*integrity.Pins, error) { return file.Server(server, cfg.Inspection), nil }
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	clients := g.listeners(ctx, "s", "other")
	lists := func(server string) bool { return strings.Contains(g.post(server, listTools).body, `"name":"t"`) }
	if lists("s") || !lists("other") {
		t.Fatal("what has changed is listed, or what has not is not")
	}
	theirs, err := integrity.Open(file.Path())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Approve("s"); err != nil {
		t.Fatal(err)
	}
	clients.told("s")
	if !lists("s") {
		t.Error("what is approved is not listed")
	}
	g.stop()
	clients.nothingElse()
}
