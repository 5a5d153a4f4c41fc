package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// The names of the headers as net/http spells them.
const (
	authorization = "Authorization"
	keyHeader     = "X-Api-Key"
)

// DefaultClient is the principal of whoever presents the token that all clients share.
const DefaultClient = "default"

// presented returns the credential that a request carries for a type of credentials, "" if it carries none. It never
// looks at the query: a token there ends up in logs (RFC 6750, section 5.3).
func presented(h http.Header, kind string) (string, error) {
	// What stands between us and the client may have judged the other of two.
	if len(h[authorization]) > 1 || len(h[keyHeader]) > 1 {
		return "", errTwice
	}
	token := ""
	if kind == APIKey {
		if token = h.Get(keyHeader); token == "" {
			return "", nil
		}
	} else {
		scheme, rest, _ := strings.Cut(h.Get(authorization), " ")
		if !strings.EqualFold(scheme, "Bearer") { // none, or for another scheme
			return "", nil
		}
		token = strings.TrimLeft(rest, " ")
	}
	if token == "" || strings.ContainsFunc(token, blank) {
		return "", errMalformed
	}
	return token, nil
}

// blank reports whether r ends a credential: two in one line would be told apart by it.
func blank(r rune) bool { return r <= ' ' || r == 0x7f }

// A credential is a static one, as its digest: what is compared has one length, and memory holds no secret.
type credential struct {
	digest [sha256.Size]byte
	client string
}

func credentials(cfg Config) []credential {
	var all []credential
	if cfg.Token != "" {
		all = append(all, credential{sha256.Sum256([]byte(cfg.Token)), DefaultClient})
	}
	for _, c := range cfg.Clients {
		all = append(all, credential{sha256.Sum256([]byte(c.Token)), c.Name})
	}
	return all
}

// holder returns whose token it is. It takes the same time for each of them and for none: it looks at all.
func holder(all []credential, token string) (string, error) {
	var buf [128]byte // the usual token is digested without an allocation
	digest := sha256.Sum256(append(buf[:0], token...))
	found := -1
	for i := range all {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(all[i].digest[:], digest[:]), i, found)
	}
	if found < 0 {
		return "", errWrong
	}
	return all[found].client, nil
}
