package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/url"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// maxToken bounds a token, in bytes. Those of large companies with all their groups stay below.
const maxToken = 16 << 10

// A resource is the gateway as an OAuth resource server: it takes tokens of one issuer that were issued for it.
type resource struct {
	cfg    OAuth
	id     string // cfg.Resource without a slash at its end
	origin string // scheme and host of id
	path   string // the rest of it
	scope  string // what challenges ask for
	keys   *keySource
	parser *jwt.Parser    // signatures
	times  *jwt.Validator // exp, nbf and iss
	seen   cache
}

func newResource(ctx context.Context, cfg OAuth, opt Options) *resource {
	if cfg.IdentityClaim == "" {
		cfg.IdentityClaim = "sub"
	}
	s := &resource{
		cfg:    cfg,
		id:     strings.TrimSuffix(cfg.Resource, "/"),
		scope:  strings.Join(cfg.RequiredScopes, " "),
		parser: jwt.NewParser(jwt.WithValidMethods([]string{rs256, es256}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation()),
		times:  jwt.NewValidator(jwt.WithExpirationRequired(), jwt.WithIssuer(cfg.Issuer)),
		keys:   newKeySource(ctx, cfg.JWKSURI, opt),
	}
	u, _ := url.Parse(s.id) // has been validated
	s.origin, s.path = u.Scheme+"://"+u.Host, u.EscapedPath()
	return s
}

// identify returns the principal whose token it is, if the token opens the endpoint of server.
func (s *resource) identify(ctx context.Context, token, server string) (Principal, error) {
	if len(token) > maxToken {
		return Principal{}, errUnreadable
	}
	var buf [2 << 10]byte // the usual token is digested without an allocation
	digest := sha256.Sum256(append(buf[:0], token...))
	keys := s.keys.current()
	c := s.seen.get(digest, keys)
	if c == nil {
		var err error
		if c, keys, err = s.verify(ctx, token, keys); err != nil {
			return Principal{}, err
		}
		s.seen.put(digest, keys, c)
	}
	if err := s.judge(c, server); err != nil {
		return Principal{}, err
	}
	return Principal{Name: c.identity, Expires: c.expires.Time}, nil
}

// verify returns what a token says and the keys that vouch for it. If the keys at hand cannot know, it asks the issuer
// for newer ones.
func (s *resource) verify(ctx context.Context, token string, keys *keySet) (*claims, *keySet, error) {
	c, retry, err := s.check(token, keys)
	if err == nil || !retry {
		return c, keys, err
	}
	newer := s.keys.refetch(ctx)
	if newer == keys {
		return nil, nil, err
	}
	c, _, err = s.check(token, newer)
	return c, newer, err
}

// check verifies a token's signature. retry reports whether newer keys could change a refusal.
func (s *resource) check(token string, keys *keySet) (c *claims, retry bool, err error) {
	c = &claims{identityClaim: s.cfg.IdentityClaim}
	anonymous := false
	_, err = s.parser.ParseWithClaims(token, c, func(t *jwt.Token) (any, error) {
		_, named := t.Header["kid"]
		anonymous = !named
		return keys.forToken(t.Header)
	})
	if err == nil {
		return c, false, nil
	}
	f := flawOf(err)
	return nil, errors.Is(f, errUnknownKey) || anonymous && errors.Is(f, errSignature), f
}

// judge says what is wrong with a token whose signature is right. It looks at a cached token as at a new one.
func (s *resource) judge(c *claims, server string) error {
	if c.expires == nil {
		return errNoExpiry
	}
	if err := s.times.Validate(c); err != nil {
		return flawOf(err)
	}
	if !s.audience(c.audience, server) {
		return errAudience
	}
	if c.identity == "" {
		return errIdentity
	}
	for _, required := range s.cfg.RequiredScopes {
		if !c.has(required) {
			return errScope
		}
	}
	return nil
}

// audience reports whether one of the audiences is the gateway, or the server alone. Clients and issuers differ in
// whether a resource without a path ends in a slash.
func (s *resource) audience(audiences []string, server string) bool {
	for _, audience := range audiences {
		rest, ours := strings.CutPrefix(strings.TrimSuffix(audience, "/"), s.id)
		if ours && (rest == "" || server != "" && rest[0] == '/' && rest[1:] == server) {
			return true
		}
	}
	return false
}
