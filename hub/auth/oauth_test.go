package auth

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// reason returns why a request was refused, nil if it was not.
func reason(a *Authenticator, token, server string) error {
	_, err := a.Authenticate(bearer(token), server)
	if c, ok := errors.AsType[*Challenge](err); ok {
		return c.Unwrap()
	}
	return err
}

func TestClaims(t *testing.T) {
	type m = map[string]any
	i := newIssuer(rsaSigner("r", 0), ecSigner("e"))
	standard := opened(t, i, nil)
	client := opened(t, i, func(c *Config) { c.OAuth.IdentityClaim = "client_id" })
	anyIssuer := opened(t, i, func(c *Config) {
		c.OAuth.Issuer, c.OAuth.AuthorizationServers, c.OAuth.RequiredScopes = "", []string{"https://issuer.example.com"}, nil
	})
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }

	for _, row := range []struct {
		name    string
		a       *Authenticator
		changes m
		who     string // the principal
		want    error
	}{
		{"good", standard, nil, "alice", nil},
		{"aud in a list", standard, m{"aud": []string{"https://x.example.com", gateway}}, "alice", nil},
		{"scope among others", standard, m{"scope": "openid mcp:use x"}, "alice", nil},
		{"scp list", standard, m{"scope": nil, "scp": []string{"x", "mcp:use"}}, "alice", nil},
		{"scp string", standard, m{"scope": nil, "scp": "x mcp:use"}, "alice", nil},
		{"no nbf", standard, m{"nbf": nil}, "alice", nil},
		{"clock a little ahead", standard, m{"nbf": in(5 * time.Second)}, "alice", nil},
		{"fractions", standard, m{"exp": float64(in(time.Minute)) + .5, "nbf": float64(in(0)) - .5}, "alice", nil},
		{"other claim", client, m{"client_id": "ci-bot"}, "ci-bot", nil},
		{"any issuer", anyIssuer, m{"iss": "https://else.example.com", "scope": nil}, "alice", nil},
		{"issuer not asked for", anyIssuer, m{"iss": nil, "scope": nil}, "alice", nil},
		{"unicode name", standard, m{"sub": "Zoë \"x\""}, "Zoë \"x\"", nil},

		{"no exp", standard, m{"exp": nil}, "", errNoExpiry},
		{"exp as text", standard, m{"exp": "9999999999"}, "", errNoExpiry},
		{"exp null", standard, m{"exp": json.RawMessage("null")}, "", errNoExpiry},
		{"exp beyond time", standard, m{"exp": 1e300}, "", errNoExpiry},
		{"exp negative", standard, m{"exp": -1}, "", errNoExpiry},
		{"expired", standard, m{"exp": in(-time.Second)}, "", errExpired},
		{"expires now", standard, m{"exp": in(0)}, "", errExpired},
		{"too early", standard, m{"nbf": in(time.Minute)}, "", errTooEarly},
		{"nbf as text", standard, m{"nbf": "0"}, "", errUnreadable},
		{"nbf null", standard, m{"nbf": json.RawMessage("null")}, "", errUnreadable},
		{"no iss", standard, m{"iss": nil}, "", errIssuer},
		{"other iss", standard, m{"iss": "https://else.example.com"}, "", errIssuer},
		{"iss with a slash", standard, m{"iss": "https://issuer.example.com/"}, "", errIssuer},
		{"iss in a list", standard, m{"iss": []string{"https://issuer.example.com"}}, "", errIssuer},
		{"no sub", standard, m{"sub": nil}, "", errIdentity},
		{"empty sub", standard, m{"sub": ""}, "", errIdentity},
		{"blank sub", standard, m{"sub": " "}, "", errIdentity},
		{"sub a number", standard, m{"sub": 7}, "", errIdentity},
		{"sub with a line break", standard, m{"sub": "a\nb"}, "", errIdentity},
		{"sub too long", standard, m{"sub": strings.Repeat("a", maxIdentity+1)}, "", errIdentity},
		{"other claim missing", client, nil, "", errIdentity},
		{"no aud", standard, m{"aud": nil}, "", errAudience},
		{"aud a number", standard, m{"aud": 7}, "", errAudience},
		{"aud with a number", standard, m{"aud": []any{gateway, 7}}, "", errAudience},
		{"no scope", standard, m{"scope": nil}, "", errScope},
		{"longer scope", standard, m{"scope": "mcp:use2"}, "", errScope},
		{"scope in other case", standard, m{"scope": "MCP:use"}, "", errScope},
		{"name in other case", standard, m{"scope": nil, "Scope": "mcp:use"}, "", errScope},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, s := range i.keys {
				token := s.sign(claimsFor(row.changes), nil)
				for _, state := range []string{"new", "cached"} {
					got, err := row.a.Authenticate(bearer(token), "files")
					if !errors.Is(err, row.want) || got.Name != row.who {
						t.Errorf("%s, %s: got %+v, %v, want %q, %v", s.id, state, got, err, row.who, row.want)
					}
				}
			}
		})
	}
}

func TestAudiences(t *testing.T) {
	i := newIssuer(ecSigner("e"))
	const host = "https://gw.example.com"
	path, root, slash := opened(t, i, nil),
		opened(t, i, func(c *Config) { c.OAuth.Resource = host }),
		opened(t, i, func(c *Config) { c.OAuth.Resource = gateway + "/" })
	for _, row := range []struct {
		aud    string
		a      *Authenticator
		server string
		want   bool
	}{
		{gateway, path, "files", true},
		{gateway, path, "", true},
		{gateway + "/", path, "files", true},
		{gateway + "/", path, "", true},
		{gateway, slash, "files", true},
		{gateway + "/files", slash, "files", true},
		{gateway + "/files", path, "files", true},
		{gateway + "/files/", path, "files", true},
		{gateway + "/files", path, "", false}, // not the gateway's own endpoints
		{gateway + "/files", path, "file", false},
		{gateway + "/files", path, "files2", false},
		{gateway + "/files", path, "db", false},
		{gateway + "//", path, "", false},
		{gateway + "//", path, "files", false},
		{gateway + "files", path, "files", false},
		{gateway + "-files", path, "files", false},
		{gateway + "/Files", path, "files", false},
		{gateway + "/files?x", path, "files", false},
		{gateway + "/files/db", path, "db", false},
		{strings.ToUpper(gateway), path, "files", false},
		{"https://gateway.example.com", path, "files", false},
		{"https://gateway.example.com.evil.org/mcp", path, "files", false},
		{"http://gateway.example.com/mcp", path, "files", false},
		{"", path, "", false},
		{"/", path, "", false},
		{host, root, "files", true},
		{host + "/", root, "files", true},
		{host + "/files", root, "files", true},
		{host + "/db", root, "files", false},
		{host + ".evil.org", root, "files", false},
	} {
		err := reason(row.a, i.signer().sign(claimsFor(map[string]any{"aud": row.aud}), nil), row.server)
		if row.want != (err == nil) || err != nil && !errors.Is(err, errAudience) {
			t.Errorf("aud %q at %s, server %q: got %v, want %v", row.aud, row.a.cfg.OAuth.Resource, row.server, err, row.want)
		}
	}
}

// TestCachedTokenOpensNoOtherServer: what was verified for one server is judged again for the next.
func TestCachedTokenOpensNoOtherServer(t *testing.T) {
	i := newIssuer(ecSigner("e"))
	a := opened(t, i, nil)
	token := i.signer().sign(claimsFor(map[string]any{"aud": gateway + "/files"}), nil)
	if err := reason(a, token, "files"); err != nil {
		t.Fatal(err)
	}
	if err := reason(a, token, "db"); !errors.Is(err, errAudience) {
		t.Errorf("got %v, want %v", err, errAudience)
	}
}

func TestForgedTokens(t *testing.T) {
	rsa1, rsa2, ec := rsaSigner("r", 0), rsaSigner("r", 1), ecSigner("e")
	i := newIssuer(rsa1, ec)
	a := opened(t, i, nil)
	claims := claimsFor(nil)
	good := ec.sign(claims, nil)
	parts := strings.Split(good, ".")
	public, err := x509.MarshalPKIXPublicKey(rsa1.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	secretly := func(method jwt.SigningMethod, key any) string {
		token := jwt.NewWithClaims(method, jwt.MapClaims(claims))
		token.Header["kid"] = "r"
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	own := func(method jwt.SigningMethod) string { return secretly(method, rsa1.private) }
	encode := base64.RawURLEncoding.EncodeToString
	// signed by the right key over a payload as text
	payload := func(text string) string {
		signing := parts[0] + "." + encode([]byte(text))
		signature, err := jwt.SigningMethodES256.Sign(signing, ec.private)
		if err != nil {
			t.Fatal(err)
		}
		return signing + "." + encode(signature)
	}
	full, _ := json.Marshal(claims)
	twice := strings.TrimSuffix(string(full), "}")

	for _, row := range []struct {
		name, token string
		want        error
	}{
		{"unsigned", secretly(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType), errSignature},
		{"public key as secret, DER", secretly(jwt.SigningMethodHS256, public), errSignature},
		{"public key as secret, PEM", secretly(jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), errSignature},
		{"modulus as secret", secretly(jwt.SigningMethodHS256, rsa1.private.Public().(*rsa.PublicKey).N.Bytes()), errSignature},
		{"RS384 by the right key", own(jwt.SigningMethodRS384), errSignature},
		{"PS256 by the right key", own(jwt.SigningMethodPS256), errSignature},
		{"another key under a known kid", rsa2.sign(claims, nil), errSignature},
		{"its own key in the header", rsa2.sign(claims, map[string]any{"jwk": rsa2.jwk(nil)}), errSignature},
		{"its own key at an address", rsa2.sign(claims, map[string]any{"jku": "https://evil.example.org/jwks", "x5u": "https://evil.example.org"}), errSignature},
		{"kid of the other algorithm", ec.sign(claims, map[string]any{"kid": "r"}), errSignature},
		{"unknown kid", ec.sign(claims, map[string]any{"kid": "../../dev/null"}), errUnknownKey},
		{"kid a number", ec.sign(claims, map[string]any{"kid": 7}), errUnreadable},
		{"kid null", ec.sign(claims, map[string]any{"kid": json.RawMessage("null")}), errUnreadable},
		{"critical extension", ec.sign(claims, map[string]any{"crit": []string{"b64"}, "b64": false}), errUnreadable},
		{"logout token", ec.sign(claims, map[string]any{"typ": "logout+jwt"}), errUnreadable},
		{"grant of another protocol", ec.sign(claims, map[string]any{"typ": "oauth-id-jag+jwt"}), errUnreadable},
		{"access token", ec.sign(claims, map[string]any{"typ": "application/at+JWT"}), nil},
		{"no typ", ec.sign(claims, map[string]any{"typ": nil}), nil},
		{"no signature", swap(good, 2, ""), errSignature},
		{"zero signature", swap(good, 2, encode(make([]byte, 64))), errSignature},
		{"DER signature", swap(good, 2, encode([]byte{0x30, 6, 2, 1, 0, 2, 1, 0})), errSignature},
		{"other payload", swap(good, 1, encode([]byte(`{"sub":"root"}`))), errSignature},
		{"padding", good + "==", errUnreadable},
		{"four parts", good + ".x", errUnreadable},
		{"five parts (JWE)", "a.b.c.d.e", errUnreadable},
		{"two parts", parts[0] + "." + parts[1], errUnreadable},
		{"dots", "..", errUnreadable},
		{"payload no object", payload(`["sub"]`), errNoExpiry},
		{"payload null", payload(`null`), errNoExpiry},
		{"payload no JSON", payload(`{"sub":`), errUnreadable},
		{"a claim twice", payload(twice + `,"sub":"root"}`), errUnreadable},
		{"a claim twice, spelled otherwise", payload(twice + `,"s\u0075b":"root"}`), errUnreadable},
		{"bad UTF-8", payload(twice + `,"x":"` + "\xff" + `"}`), errUnreadable},
		{"whole payload", payload(twice + `}`), nil},
		{"too long", good + strings.Repeat("A", maxToken), errUnreadable},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := reason(a, row.token, "files"); !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
		})
	}
}

// TestSignatureSpelledOtherwise: base64 whose last bits are not zero means the same bytes and is refused, so that one
// token has one spelling.
func TestSignatureSpelledOtherwise(t *testing.T) {
	i := newIssuer(ecSigner("e"))
	a := opened(t, i, nil)
	token := i.signer().sign(claimsFor(nil), nil)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	other := token[:len(token)-1] + string(alphabet[last|1])
	if err := reason(a, other, "files"); !errors.Is(err, errUnreadable) {
		t.Errorf("got %v, want %v", err, errUnreadable)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	many := Config{Enabled: true, Type: Bearer}
	for i := range 100 {
		client := fmt.Sprintf("client-%032d", i)
		many.Clients = append(many.Clients, Client{client, client})
	}
	i := newIssuer(rsaSigner("r", 0), ecSigner("e"))
	oauth := opened(b, i, nil)
	run := func(name string, a *Authenticator, token string, before func()) {
		b.Run(name, func(b *testing.B) {
			r := bearer(token)
			b.ReportAllocs()
			for b.Loop() {
				before()
				if _, err := a.Authenticate(r, "files"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	nothing := func() {}
	forget := func() { oauth.oauth.seen.keys = nil }
	run("bearer", open(b, Config{Enabled: true, Type: Bearer, Token: "s3cret-s3cret-s3cret-s3cret-s3cret"}, nil), "s3cret-s3cret-s3cret-s3cret-s3cret", nothing)
	run("bearer of 100", open(b, many, nil), many.Clients[50].Token, nothing)
	run("oauth, cached", oauth, i.keys[0].sign(claimsFor(nil), nil), nothing)
	run("oauth, RS256", oauth, i.keys[0].sign(claimsFor(nil), nil), forget)
	run("oauth, ES256", oauth, i.keys[1].sign(claimsFor(nil), nil), forget)
}
