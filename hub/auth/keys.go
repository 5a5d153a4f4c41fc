package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// The signature algorithms that are taken. Both are asymmetric: a public key can never be taken for a shared secret.
const (
	rs256 = "RS256"
	es256 = "ES256"
)

const (
	minRSA, maxRSA = 2048, 8192 // bits: RFC 7518, section 3.3, and the limit that crypto/tls has
	maxKeys        = 1000       // of one set
)

// A keySet is what an issuer published at one time, less what cannot sign a token that we take. It does not change.
type keySet struct {
	keys []key
	sum  [sha256.Size]byte // of the document
}

type key struct {
	id     string // "": none
	alg    string // the only one it is for
	public any    // *rsa.PublicKey or *ecdsa.PublicKey
}

var errNoKeySet = errors.New("it is no JWK set")

// parseKeys reads a JWK set (RFC 7517). Keys for other purposes, and those that it cannot read, are left out.
func parseKeys(document []byte) (*keySet, error) {
	if !jsontext.Value(document).IsValid() {
		return nil, errNoKeySet
	}
	list := jsonrpc.Member(document, "keys")
	if len(list) == 0 || list[0] != '[' {
		return nil, errNoKeySet
	}
	set := &keySet{sum: sha256.Sum256(document)}
	for raw := range jsonrpc.Elements(list) {
		if len(set.keys) == maxKeys {
			return nil, errors.New("it has too many keys")
		}
		if k, ok := parseKey(raw); ok {
			set.keys = append(set.keys, k)
		}
	}
	return set, nil
}

func parseKey(raw []byte) (key, bool) {
	jwk, err := jwkset.NewJWKFromRawJSON(raw, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return key{}, false
	}
	m := jwk.Marshal()
	if m.USE != "" && m.USE != jwkset.UseSig || len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify) {
		return key{}, false
	}
	k := key{id: m.KID, public: jwk.Key()}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		k.alg = rs256
		if bits := public.N.BitLen(); bits < minRSA || bits > maxRSA {
			return key{}, false
		}
	case *ecdsa.PublicKey:
		k.alg = es256
		if public.Curve != elliptic.P256() {
			return key{}, false
		}
	default:
		return key{}, false
	}
	return k, m.ALG == "" || m.ALG.String() == k.alg
}

// forToken returns the keys of which one must have signed the token with this header.
func (s *keySet) forToken(header map[string]any) (jwt.VerificationKeySet, error) {
	var fit jwt.VerificationKeySet
	if s == nil {
		return fit, errNoKeys
	}
	if _, extended := header["crit"]; extended || !accessToken(header["typ"]) { // RFC 7515, section 4.1.11; RFC 8725, section 3.11
		return fit, errUnreadable
	}
	id, named := "", false
	if value, present := header["kid"]; present {
		if id, named = value.(string); !named {
			return fit, errUnreadable
		}
	}
	known := false
	for _, k := range s.keys {
		if named && k.id != id {
			continue
		}
		known = true
		if k.alg == header["alg"] {
			fit.Keys = append(fit.Keys, k.public)
		}
	}
	switch {
	case len(fit.Keys) == 0 && known && named:
		return fit, errSignature // the key is for another algorithm
	case len(fit.Keys) == 0:
		return fit, errUnknownKey
	case len(fit.Keys) > 1 && !named:
		return fit, errNoKeyID
	}
	return fit, nil
}

// accessToken reports whether a typ can be that of an access token. Issuers use the same keys for other kinds of JWT:
// logout tokens, DPoP proofs, assertions.
func accessToken(typ any) bool {
	if typ == nil {
		return true
	}
	name, _ := typ.(string)
	name, _ = strings.CutPrefix(strings.ToLower(name), "application/")
	return name == "jwt" || name == "at+jwt"
}
