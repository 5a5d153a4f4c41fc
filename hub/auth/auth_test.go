package auth

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"github.com/rs/zerolog"
)

// header builds a header from lines "Name: value".
func header(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

func TestStaticCredentials(t *testing.T) {
	shared := Config{Enabled: true, Type: Bearer, Token: "s3cret"}
	named := Config{Enabled: true, Type: Bearer, Clients: []Client{{"ci-bot", "one"}, {"analyst", "two"}}}
	keyed := Config{Enabled: true, Type: APIKey, Token: "s3cret", Clients: []Client{{"ci-bot", "one"}}, PublicPaths: []string{"/health"}}
	const refused = "refused"
	for _, row := range []struct {
		name   string
		cfg    Config
		target string
		server string
		header http.Header
		want   string // principal, or refused
	}{
		{"off", Config{}, "/mcp/files", "files", nil, ""},
		{"shared token", shared, "/mcp/files", "files", header("Authorization: Bearer s3cret"), "default"},
		{"scheme in capitals", shared, "/mcp/files", "files", header("Authorization: BEARER s3cret"), "default"},
		{"two spaces", shared, "/mcp/files", "files", header("Authorization: Bearer  s3cret"), "default"},
		{"first client", named, "/mcp/files", "files", header("Authorization: Bearer one"), "ci-bot"},
		{"last client", named, "/mcp/files", "files", header("Authorization: Bearer two"), "analyst"},
		{"key", keyed, "/mcp/files", "files", header("X-API-Key: one"), "ci-bot"},
		{"shared key", keyed, "/mcp/files", "files", header("X-API-Key: s3cret"), "default"},
		{"key beside a foreign token", keyed, "/mcp/files", "files", header("X-API-Key: one", "Authorization: Bearer x"), "ci-bot"},
		{"public path", keyed, "/health", "", nil, ""},
		{"public path, bad key", keyed, "/health", "", header("X-API-Key: wrong"), ""},

		{"none", shared, "/mcp/files", "files", nil, refused},
		{"empty", shared, "/mcp/files", "files", header("Authorization: "), refused},
		{"wrong", shared, "/mcp/files", "files", header("Authorization: Bearer wrong"), refused},
		{"part of it", shared, "/mcp/files", "files", header("Authorization: Bearer s3cre"), refused},
		{"more than it", shared, "/mcp/files", "files", header("Authorization: Bearer s3cret2"), refused},
		{"other case", shared, "/mcp/files", "files", header("Authorization: Bearer S3cret"), refused},
		{"no scheme", shared, "/mcp/files", "files", header("Authorization: s3cret"), refused},
		{"other scheme", shared, "/mcp/files", "files", header("Authorization: Basic s3cret"), refused},
		{"key where a token is wanted", shared, "/mcp/files", "files", header("X-API-Key: s3cret"), refused},
		{"token where a key is wanted", keyed, "/mcp/files", "files", header("Authorization: Bearer one"), refused},
		{"in the query", shared, "/mcp/files?access_token=s3cret&token=s3cret", "files", nil, refused},
		{"twice the same", shared, "/mcp/files", "files", header("Authorization: Bearer s3cret", "Authorization: Bearer s3cret"), refused},
		{"twice, good first", shared, "/mcp/files", "files", header("Authorization: Bearer s3cret", "Authorization: Bearer x"), refused},
		{"joined", shared, "/mcp/files", "files", header("Authorization: Bearer s3cret, Bearer x"), refused},
		{"two keys", keyed, "/mcp/files", "files", header("X-API-Key: one", "X-API-Key: two"), refused},
		{"no public path", keyed, "/health/", "", nil, refused},
		{"public path of a server", keyed, "/health", "files", nil, refused},
		{"name for a token", named, "/mcp/files", "files", header("Authorization: Bearer ci-bot"), refused},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := open(t, row.cfg, nil)
			r := httptest.NewRequest(http.MethodPost, row.target, http.NoBody)
			r.Header = row.header
			got, err := a.Authenticate(r, row.server)
			if row.want == refused {
				var c *Challenge
				if !errors.As(err, &c) || got != (Principal{}) {
					t.Fatalf("got %+v, %v, want a challenge", got, err)
				}
				return
			}
			if err != nil || got.Name != row.want {
				t.Errorf("got %+v, %v, want %q", got, err, row.want)
			}
		})
	}
}

func TestChallengeTexts(t *testing.T) {
	i := newIssuer(ecSigner("a"))
	oauth := opened(t, i, func(c *Config) { c.OAuth.RequiredScopes = []string{"mcp:use", "mcp:tools"} })
	plain := opened(t, i, func(c *Config) { c.OAuth.RequiredScopes = nil })
	down := open(t, oauthConfig("http://"+freeAddress(t)), nil)
	static := open(t, Config{Enabled: true, Type: Bearer, Token: "s3cret"}, nil)
	keyed := open(t, Config{Enabled: true, Type: APIKey, Token: "s3cret"}, nil)
	good := i.signer().sign(claimsFor(nil), nil)
	const doc = `resource_metadata="https://gateway.example.com/.well-known/oauth-protected-resource/mcp`
	const scope = `scope="mcp:use mcp:tools"`

	for _, row := range []struct {
		name   string
		a      *Authenticator
		server string
		header http.Header
		status int
		code   string
		want   string // WWW-Authenticate
	}{
		{"bearer: none", static, "files", nil, 401, "unauthorized", `Bearer realm="mcpx"`},
		{"bearer: other scheme", static, "files", header("Authorization: Basic eDp5"), 401, "unauthorized", `Bearer realm="mcpx"`},
		{"bearer: wrong", static, "files", header("Authorization: Bearer x"), 401, "invalid_token", `Bearer realm="mcpx", error="invalid_token"`},
		{"bearer: no token", static, "files", header("Authorization: Bearer"), 400, "invalid_request", `Bearer realm="mcpx", error="invalid_request"`},
		{"bearer: two words", static, "files", header("Authorization: Bearer a b"), 400, "invalid_request", `Bearer realm="mcpx", error="invalid_request"`},
		{"bearer: two lines", static, "files", header("Authorization: Bearer s3cret", "Authorization: Bearer s3cret"), 400, "invalid_request", `Bearer realm="mcpx", error="invalid_request"`},
		{"key: none", keyed, "files", nil, 401, "unauthorized", `ApiKey realm="mcpx"`},
		{"key: wrong", keyed, "files", header("X-API-Key: x"), 401, "invalid_token", `ApiKey realm="mcpx", error="invalid_token"`},
		{"key: two lines", keyed, "files", header("X-API-Key: s3cret", "X-API-Key: s3cret"), 400, "invalid_request", `ApiKey realm="mcpx", error="invalid_request"`},

		{"oauth: none", oauth, "files", nil, 401, "unauthorized", `Bearer ` + doc + `/files", ` + scope},
		{"oauth: none, the gateway", oauth, "", nil, 401, "unauthorized", `Bearer ` + doc + `", ` + scope},
		{"oauth: none, no server's name", oauth, `x", error="y`, nil, 401, "unauthorized", `Bearer ` + doc + `", ` + scope},
		{"oauth: none, no scopes", plain, "files", nil, 401, "unauthorized", `Bearer ` + doc + `/files"`},
		{"oauth: no JWT", oauth, "files", header("Authorization: Bearer x"), 401, "invalid_token",
			`Bearer ` + doc + `/files", ` + scope + `, error="invalid_token", error_description="the token is no JWT that this gateway reads"`},
		{"oauth: other audience", plain, "files", header("Authorization: Bearer " + i.signer().sign(claimsFor(map[string]any{"aud": gateway + "/other"}), nil)), 401, "invalid_token",
			`Bearer ` + doc + `/files", error="invalid_token", error_description="the token is for another resource"`},
		{"oauth: scope", oauth, "files", header("Authorization: Bearer " + good), 403, "insufficient_scope",
			`Bearer error="insufficient_scope", ` + scope + `, ` + doc + `/files"`},
		{"oauth: two lines", plain, "files", header("Authorization: Bearer "+good, "Authorization: Bearer "+good), 400, "invalid_request",
			`Bearer ` + doc + `/files", error="invalid_request"`},
		{"oauth: no keys", down, "files", header("Authorization: Bearer " + good), 503, "unavailable", ``},
		{"oauth: no keys, no token", down, "files", nil, 401, "unauthorized", `Bearer ` + doc + `/files", scope="mcp:use"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
			r.Header = row.header
			_, err := row.a.Authenticate(r, row.server)
			var c *Challenge
			if !errors.As(err, &c) {
				t.Fatalf("got %v, want a challenge", err)
			}
			h := http.Header{}
			c.SetHeader(h)
			got := []any{c.Status, c.Code, h.Get("WWW-Authenticate"), h.Get("Retry-After") != ""}
			if diff := cmp.Diff([]any{row.status, row.code, row.want, row.status == 503}, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if c.Message == "" || strings.Contains(c.Error(), "s3cret") || strings.Contains(c.Error(), good) {
				t.Errorf("message %q, error %q", c.Message, c.Error())
			}
			if row.want != "" { // clients understand it
				if all, err := oauthex.ParseWWWAuthenticate(h["Www-Authenticate"]); err != nil || len(all) != 1 {
					t.Errorf("the SDK's client reads %+v, %v", all, err)
				}
			}
		})
	}
}

// TestNoCredentialInLogs refuses credentials of all sorts with the log at its loudest.
func TestNoCredentialInLogs(t *testing.T) {
	i := newIssuer(ecSigner("a"))
	server := httptest.NewServer(i)
	defer server.Close()
	for _, cfg := range []Config{oauthConfig(server.URL), {Enabled: true, Type: Bearer, Token: "s3cret"}} {
		var log bytes.Buffer
		a, err := New(t.Context(), cfg, Options{Log: zerolog.New(&log).Level(zerolog.TraceLevel)})
		if err != nil {
			t.Fatal(err)
		}
		<-a.Settled()
		token := i.signer().sign(claimsFor(map[string]any{"sub": "mallory", "exp": 1}), map[string]any{"kid": "hush"})
		for _, token := range []string{"hush", token, swap(token, 2, "hush")} {
			if _, err := a.Authenticate(bearer(token), "files"); err == nil {
				t.Error("came in")
			}
		}
		a.Close()
		if text := log.String(); strings.Count(text, "refused") != 3 || strings.Contains(text, "hush") || strings.Contains(text, "mallory") || strings.Contains(text, token) {
			t.Errorf("log: %s", text)
		}
	}
}

func TestConfigRefused(t *testing.T) {
	good := oauthConfig("https://issuer.example.com/jwks")
	for _, row := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"good", func(*Config) {}, ""},
		{"off", func(c *Config) { *c = Config{} }, ""},
		{"servers in place of the issuer", func(c *Config) { c.OAuth.Issuer, c.OAuth.AuthorizationServers = "", []string{"https://a.example.com"} }, ""},
		{"type", func(c *Config) { c.Type = "basic" }, "auth.type"},
		{"no type", func(c *Config) { c.Type = "" }, "auth.type"},
		{"no credential", func(c *Config) { c.Type = Bearer }, "neither token nor clients"},
		{"client without token", func(c *Config) { c.Type, c.Clients = Bearer, []Client{{"a", ""}} }, "clients[0]"},
		{"client without name", func(c *Config) { c.Type, c.Clients = Bearer, []Client{{"", "x"}} }, "clients[0]"},
		{"same token", func(c *Config) { c.Type, c.Clients = APIKey, []Client{{"a", "x"}, {"b", "x"}} }, "has the token of auth.clients[0]"},
		{"the shared token", func(c *Config) { c.Type, c.Token, c.Clients = APIKey, "x", []Client{{"a", "x"}} }, "has the token of auth.token"},
		{"space", func(c *Config) { c.Type, c.Token = Bearer, "a b" }, "auth.token: has a token with a space"},
		{"resource", func(c *Config) { c.OAuth.Resource = "gateway" }, "auth.oauth.resource"},
		{"resource with a query", func(c *Config) { c.OAuth.Resource += "?x" }, "auth.oauth.resource"},
		{"resource with a quote", func(c *Config) { c.OAuth.Resource += `"` }, "auth.oauth.resource"},
		{"plain http", func(c *Config) { c.OAuth.JWKSURI = "http://issuer.example.com/jwks" }, "auth.oauth.jwks_uri"},
		{"password", func(c *Config) { c.OAuth.JWKSURI = "https://a:b@issuer.example.com/jwks" }, "auth.oauth.jwks_uri"},
		{"no JWKS", func(c *Config) { c.OAuth.JWKSURI = "" }, "auth.oauth.jwks_uri"},
		{"no issuer at all", func(c *Config) { c.OAuth.Issuer = "" }, "neither issuer nor authorization_servers"},
		{"scope", func(c *Config) { c.OAuth.RequiredScopes = []string{`a", error="b`} }, "required_scopes"},
		{"two scopes in one", func(c *Config) { c.OAuth.RequiredScopes = []string{"a b"} }, "required_scopes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := good
			row.change(&cfg)
			a, err := New(context.Background(), cfg, Options{Client: with(newIssuer())})
			if row.want == "" && err == nil {
				a.Close()
				return
			}
			if err == nil || row.want == "" || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}
