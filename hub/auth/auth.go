package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/rs/zerolog"
)

// Options are what an Authenticator needs beside its Config.
type Options struct {
	Log    zerolog.Logger
	Client *http.Client // fetches the JWKS; nil: one of its own. Time and redirects are limited in both
}

// A Principal is who sent a request.
type Principal struct {
	Name    string    // "" only where no credential is asked for
	Expires time.Time // when the credential does: nothing that a request began may last longer. Zero: never
}

// An Authenticator judges the credentials of requests. It is safe for concurrent use.
type Authenticator struct {
	cfg    Config
	static []credential // bearer and api_key
	oauth  *resource    // nil unless the type is oauth
	log    zerolog.Logger
}

// New returns an Authenticator for cfg. With oauth it starts to fetch the keys of the issuer and keeps them fresh until
// Close is called or ctx ends; it does not wait for them.
func New(ctx context.Context, cfg Config, opt Options) (*Authenticator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	a := &Authenticator{cfg: cfg, log: opt.Log}
	switch {
	case !cfg.Enabled:
	case cfg.Type == OAuth2:
		a.oauth = newResource(ctx, cfg.OAuth, opt)
	default:
		a.static = credentials(cfg)
	}
	return a, nil
}

// Authenticate returns who sent r to the endpoint of server; "" stands for the gateway's own endpoints. An error is
// always a *Challenge. A server's endpoint is never public.
func (a *Authenticator) Authenticate(r *http.Request, server string) (Principal, error) {
	if !a.cfg.Enabled || server == "" && slices.Contains(a.cfg.PublicPaths, r.URL.Path) {
		return Principal{}, nil
	}
	token, err := presented(r.Header, a.cfg.Type)
	switch {
	case err != nil:
		return Principal{}, a.refuse(server, err)
	case token == "":
		return Principal{}, a.refuse(server, errAbsent)
	}
	var who Principal
	if a.oauth != nil {
		who, err = a.oauth.identify(r.Context(), token, server)
	} else {
		who.Name, err = holder(a.static, token)
	}
	if err != nil {
		return Principal{}, a.refuse(server, err)
	}
	return who, nil
}

// refuse turns the reason of a refusal into what the client is told.
func (a *Authenticator) refuse(server string, reason error) *Challenge {
	c := a.challenge(server, reason)
	a.log.Debug().Str("server", server).Int("status", c.Status).Err(reason).Msg("credential refused")
	return c
}

// Ready returns nil, or why no token can be checked yet.
func (a *Authenticator) Ready() error {
	if a.oauth == nil {
		return nil
	}
	return a.oauth.keys.ready()
}

// Settled returns a channel that is closed once the first attempt to get the issuer's keys is over, well or badly. A
// reload that waits for it (with a deadline) refuses nobody for keys that were about to come.
func (a *Authenticator) Settled() <-chan struct{} {
	if a.oauth == nil {
		settled := make(chan struct{})
		close(settled)
		return settled
	}
	return a.oauth.keys.settled
}

// Close stops the fetching of keys and waits until it has stopped. Keys that are there stay in use.
func (a *Authenticator) Close() {
	if a.oauth != nil {
		a.oauth.keys.close()
	}
}

// The reasons of refusals that need no look at a token.
var (
	errAbsent    = errors.New("no credential")
	errTwice     = errors.New("more than one credential header")
	errMalformed = errors.New("malformed credential header")
	errWrong     = errors.New("unknown credential")
)
