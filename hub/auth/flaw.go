package auth

import (
	"errors"

	"github.com/golang-jwt/jwt/v5"
)

// A flaw is what is wrong with a token. Clients are told, so it is one of these texts and nothing that a token said.
type flaw string

func (f flaw) Error() string { return string(f) }

const (
	errUnreadable flaw = "the token is no JWT that this gateway reads"
	errSignature  flaw = "the token is not signed with RS256 or ES256 by a key of the issuer"
	errUnknownKey flaw = "the token is signed by a key that the issuer does not publish"
	errNoKeyID    flaw = "the token names no key, and several could have signed it"
	errNoExpiry   flaw = "the token has no expiry time"
	errExpired    flaw = "the token has expired"
	errTooEarly   flaw = "the token is not valid yet"
	errIssuer     flaw = "the token is from another issuer"
	errIdentity   flaw = "the token does not say who its owner is"
	errAudience   flaw = "the token is for another resource"
)

var (
	errNoKeys = errors.New("the issuer's keys are not there")
	errScope  = errors.New("a required scope is missing")
)

// flawOf says what an error of the jwt package, or of a function that it called, means.
func flawOf(err error) error {
	var f flaw
	switch {
	case errors.Is(err, errNoKeys):
		return errNoKeys
	case errors.As(err, &f):
		return f
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return errSignature
	case errors.Is(err, jwt.ErrTokenExpired):
		return errExpired
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return errTooEarly
	case errors.Is(err, jwt.ErrTokenInvalidIssuer), errors.Is(err, jwt.ErrTokenRequiredClaimMissing): // exp is asked for before
		return errIssuer
	default:
		return errUnreadable
	}
}
