package hub

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
)

// A caller is who asks for something under /v1.
type caller struct {
	store.Token
	secret string // that it came with; "" for the user that the hub runs as
}

// localCaller is the user that the hub runs as.
func localCaller() *caller {
	return &caller{Token: store.Token{Name: uplink.LocalPrincipal, Admin: true}}
}

// maxToken bounds what is taken for a hub token, in bytes.
const maxToken = 256

// identify returns who sent a request over the network: always by a hub token, also from this machine, where other users and
// pages of browsers can send requests too.
func (f *fleet) identify(r *http.Request) (*caller, error) {
	secret, err := bearer(r.Header)
	if err != nil {
		return nil, err
	}
	return f.holder(r.Context(), secret)
}

// holder returns whose token it is.
func (f *fleet) holder(ctx context.Context, secret string) (*caller, error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	token, err := f.store.Authenticate(ctx, secret)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, unauthorized("invalid_token", "the hub token is not known, has expired or was revoked")
	case err != nil:
		return nil, unavailable("the hub token cannot be checked now", err)
	case !token.Expires.IsZero() && !time.Now().Before(token.Expires):
		return nil, unauthorized("invalid_token", "the hub token has expired")
	}
	return &caller{Token: token, secret: secret}, nil
}

// identifyLocal returns who sent a request to the hub's own user's listener. Who reaches a socket is that user; elsewhere it
// takes the token that only this user can read.
func (f *fleet) identifyLocal(r *http.Request) (*caller, error) {
	want := f.hub.opt.LocalToken
	if want == "" {
		return localCaller(), nil
	}
	secret, err := bearer(r.Header)
	if err != nil {
		return nil, err
	}
	given, known := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(want))
	if subtle.ConstantTimeCompare(given[:], known[:]) != 1 {
		return nil, unauthorized("invalid_token", "the token is not that of this hub")
	}
	return localCaller(), nil
}

// bearer returns the token of a request.
func bearer(h http.Header) (string, error) {
	heads := h["Authorization"]
	if len(heads) > 1 { // what stands between us and the client may have judged the other of two
		return "", badRequest("more than one Authorization header")
	}
	if len(heads) == 0 {
		return "", unauthorized("", "a hub token is needed: mcpx hub token create makes one, mcpx login keeps it")
	}
	scheme, token, _ := strings.Cut(heads[0], " ")
	token = strings.TrimLeft(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken ||
		strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", unauthorized("invalid_token", "a hub token is sent as Authorization: Bearer TOKEN")
	}
	return token, nil
}

// covers reports whether the caller may ask about a server.
func (c *caller) covers(server string) bool { return uplink.Covers(c.Servers, server) }

// about returns an error unless the caller may ask about a server.
func (c *caller) about(server string) error {
	if !uplink.ValidServer(server) {
		return badRequest("this is not the name of a server")
	}
	if !c.covers(server) {
		return forbidden("the hub token does not cover this server")
	}
	return nil
}
