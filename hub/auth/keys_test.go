package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func document(t testing.TB, keys ...any) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestKeysOfASet: which keys of a set may verify a token.
func TestKeysOfASet(t *testing.T) {
	type m = map[string]any
	r, e := rsaSigner("r", 0), ecSigner("e")
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	private := m{"d": "AQAB"} // leaked with the public part: only that is read
	for _, row := range []struct {
		name string
		key  any
		want string // what it is for, "" if nothing
	}{
		{"RSA", r.jwk(nil), "RS256"},
		{"RSA for RS256", r.jwk(m{"alg": "RS256", "use": "sig"}), "RS256"},
		{"EC", e.jwk(nil), "ES256"},
		{"EC for ES256", e.jwk(m{"alg": "ES256", "use": "sig", "key_ops": []string{"verify"}}), "ES256"},
		{"further members", r.jwk(m{"x-vendor": m{"a": 1}}), "RS256"},
		{"private member", e.jwk(private), "ES256"},
		{"for encryption", r.jwk(m{"use": "enc"}), ""},
		{"for an unknown use", r.jwk(m{"use": "SIG"}), ""},
		{"for signing alone", r.jwk(m{"key_ops": []string{"sign"}}), ""},
		{"for RS512", r.jwk(m{"alg": "RS512"}), ""},
		{"for PS256", r.jwk(m{"alg": "PS256"}), ""},
		{"for RSA-OAEP", r.jwk(m{"alg": "RSA-OAEP"}), ""},
		{"RSA for ES256", r.jwk(m{"alg": "ES256"}), ""},
		{"EC for HS256", e.jwk(m{"alg": "HS256"}), ""},
		{"short RSA", signer{"w", jwt.SigningMethodRS256, weak}.jwk(nil), ""},
		{"other curve", signer{"c", jwt.SigningMethodES384, curve}.jwk(nil), ""},
		{"point off the curve", e.jwk(m{"x": r.jwk(nil)["e"]}), ""},
		{"secret", m{"kty": "oct", "k": "c2VjcmV0", "kid": "r", "alg": "HS256"}, ""},
		{"Ed25519", m{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}, ""},
		{"unknown type", m{"kty": "PQC"}, ""},
		{"exponent of zero", r.jwk(m{"e": "AA"}), ""},
		{"exponent beyond an int", r.jwk(m{"e": "AQAAAAAAAAAAAQ"}), ""},
		{"members of other types", m{"kty": 7, "kid": []int{1}}, ""},
		{"no object", "key", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			set, err := parseKeys(document(t, row.key, e.jwk(m{"kid": "last"}))) // the rest of the set stays in use
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, k := range set.keys[:len(set.keys)-1] {
				got += k.alg
			}
			if got != row.want || set.keys[len(set.keys)-1].id != "last" {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestNoKeySet(t *testing.T) {
	many := strings.Repeat(string(document(t, ecSigner("e").jwk(nil)))[len(`{"keys":[`):], 1)
	many = strings.TrimSuffix(many, "]}")
	for _, text := range []string{
		``, `{`, `null`, `[]`, `"keys"`, `{}`, `{"Keys":[]}`, `{"keys":{}}`, `{"keys":null}`, `{"keys":[],"keys":[]}`,
		`<html>maintenance</html>`, `{"keys":[` + strings.Repeat(many+",", maxKeys) + many + `]}`,
	} {
		if set, err := parseKeys([]byte(text)); err == nil {
			t.Errorf("%.40q: got %d keys", text, len(set.keys))
		}
	}
	if set, err := parseKeys([]byte(` {"keys": [ ]} `)); err != nil || len(set.keys) != 0 {
		t.Errorf("an empty set: %v", err)
	}
}

// TestWhichKey: a token that names no key is taken only where there is no choice.
func TestWhichKey(t *testing.T) {
	r1, r2, e1 := rsaSigner("", 0), rsaSigner("", 1), ecSigner("")
	name := func(s signer, id string) signer { s.id = id; return s }
	bare := func(s signer) string { s.id = ""; return s.sign(claimsFor(nil), nil) }
	for _, row := range []struct {
		name  string
		keys  []signer
		token string
		want  error
	}{
		{"no kid, one key", []signer{r1}, bare(r1), nil},
		{"no kid, one named key", []signer{name(r1, "r")}, bare(r1), nil},
		{"no kid, one of each kind", []signer{r1, e1}, bare(e1), nil},
		{"no kid, two of a kind", []signer{r1, r2}, bare(r1), errNoKeyID},
		{"no kid, none of the kind", []signer{e1}, bare(r1), errUnknownKey},
		{"no kid, another key", []signer{r2}, bare(r1), errSignature},
		{"kid, keys without", []signer{r1}, name(r1, "r").sign(claimsFor(nil), nil), errUnknownKey},
		{"kid of two kinds", []signer{name(r1, "x"), name(e1, "x")}, name(e1, "x").sign(claimsFor(nil), nil), nil},
		{"kid of two keys, the first", []signer{name(r1, "x"), name(r2, "x")}, name(r1, "x").sign(claimsFor(nil), nil), nil},
		{"kid of two keys, the last", []signer{name(r1, "x"), name(r2, "x")}, name(r2, "x").sign(claimsFor(nil), nil), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := opened(t, newIssuer(row.keys...), nil)
			if err := reason(a, row.token, "files"); !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
		})
	}
}

func TestCacheIsBounded(t *testing.T) {
	var c cache
	keys := &keySet{}
	digest := func(i int) (d [32]byte) { copy(d[:], fmt.Sprint(i)); return d }
	for i := range 2 * maxCached {
		c.put(digest(i), keys, &claims{})
	}
	if len(c.tokens) != maxCached {
		t.Errorf("got %d tokens, want %d", len(c.tokens), maxCached)
	}
	last := digest(2*maxCached - 1)
	if c.get(last, keys) == nil {
		t.Error("the last token is not there")
	}
	if c.get(last, &keySet{}) != nil || c.get(last, nil) != nil {
		t.Error("a token that other keys verified is there")
	}
	c.put(digest(0), &keySet{}, &claims{})
	if len(c.tokens) != 1 {
		t.Errorf("got %d tokens after a change of keys, want 1", len(c.tokens))
	}
}
