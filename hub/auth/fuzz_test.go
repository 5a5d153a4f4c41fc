package auth

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzPresented: whatever stands in the header lines, a credential comes from one line, whole and without blanks.
func FuzzPresented(f *testing.F) {
	for _, line := range []string{"Bearer s3cret", "bearer  x", "Bearer", "Bearer ", "Basic eDp5", "Bearer a b", "Bearer a, Bearer b", "Bearer\tx", "Bearer a\x00", "s3cret", "", " ", "Bearer é"} {
		f.Add(line, "", "key", 0)
		f.Add(line, "Bearer s3cret", "", 1)
	}
	a := open(f, Config{Enabled: true, Type: Bearer, Token: "s3cret"}, nil)
	f.Fuzz(func(t *testing.T, first, second, key string, more int) {
		h := http.Header{}
		h.Add("Authorization", first)
		h.Add("X-API-Key", key)
		if more&1 != 0 {
			h.Add("Authorization", second)
		}
		if more&2 != 0 {
			h.Add("X-API-Key", second)
		}
		for kind, line := range map[string]string{Bearer: first, APIKey: key} {
			token, err := presented(h, kind)
			switch {
			case more&3 != 0 && err == nil:
				t.Errorf("%s: took one of two lines", kind)
			case err != nil && token != "":
				t.Errorf("%s: both %q and %v", kind, token, err)
			case strings.ContainsAny(token, " \t\r\n\x00") || !strings.HasSuffix(line, token):
				t.Errorf("%s: %q from %q", kind, token, line)
			}
		}
		r := bearer("")
		r.Header = h
		_, err := a.Authenticate(r, "files")
		scheme, token, _ := strings.Cut(first, " ")
		if want := more&3 == 0 && strings.EqualFold(scheme, "Bearer") && strings.TrimLeft(token, " ") == "s3cret"; want != (err == nil) {
			t.Errorf("%q: %v", first, err)
		}
	})
}

// FuzzToken: no text but the issuer's own tokens comes in.
func FuzzToken(f *testing.F) {
	i := newIssuer(rsaSigner("r", 0), ecSigner("e"))
	a := opened(f, i, nil)
	good := map[string]bool{}
	for _, s := range i.keys {
		token := s.sign(claimsFor(nil), nil)
		good[token] = true
		f.Add(token)
		f.Add(swap(token, 2, ""))
		f.Add(swap(token, 0, "eyJhbGciOiJub25lIn0"))
	}
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		if err := reason(a, token, "files"); (err == nil) != good[token] {
			t.Errorf("%q: %v", token, err)
		}
	})
}

// FuzzClaims: what is read of a payload is what a strict reader of the whole finds in it.
func FuzzClaims(f *testing.F) {
	full, _ := json.Marshal(claimsFor(nil))
	for _, text := range []string{string(full), `{}`, `[]`, `{"aud":["a","b"],"scp":["x y","z"]}`, `{"exp":1e9,"nbf":0.5,"sub":"\u0061"}`, `{"aud":[1]}`, `{"sub":"a","sub":"b"}`, `{"exp":1e400}`, `{"Sub":"x"}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := claims{identityClaim: "sub"}
		if c.UnmarshalJSON([]byte(text)) != nil {
			return
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("took %q", text)
		}
		var all map[string]any
		if json.Unmarshal([]byte(text), &all) != nil {
			all = nil // an array, or a number beyond float64
			if c.identity == "" && c.audience == nil {
				return
			}
		}
		want := func(name string) string { s, _ := all[name].(string); return s }
		if all != nil && (c.issuer != want("iss") || c.identity != "" && c.identity != want("sub")) {
			t.Errorf("%q: got %q of %q", text, c.identity, c.issuer)
		}
		var audience []string
		switch value := all["aud"].(type) {
		case string:
			audience = []string{value}
		case []any:
			for _, one := range value {
				s, ok := one.(string)
				if !ok {
					audience = nil
					break
				}
				audience = append(audience, s)
			}
		}
		if all != nil && !cmp.Equal(audience, c.audience) {
			t.Errorf("%q: got audience %q, want %q", text, c.audience, audience)
		}
		if seconds, ok := all["exp"].(float64); (c.expires != nil) != (ok && seconds >= 0 && seconds <= lastSecond) && all != nil {
			t.Errorf("%q: exp %v", text, c.expires)
		}
	})
}
