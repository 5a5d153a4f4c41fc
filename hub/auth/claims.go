package auth

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	clockSkew   = 10 * time.Second // how far the issuer's clock may be ahead of ours
	maxIdentity = 256              // bytes of a principal's name: it goes into logs and labels
	lastSecond  = 253402300799     // of the year 9999, as Unix time
)

// claims are what a token says, as far as it matters here. A claim of the wrong type counts as missing, which refuses
// the token where the claim is needed.
type claims struct {
	identityClaim string // which claim names the principal

	issuer             string
	identity           string
	audience           []string
	scopes             []string
	expires, notBefore *jwt.NumericDate
}

// UnmarshalJSON reads the payload of a token. It refuses what two readers could understand differently.
func (c *claims) UnmarshalJSON(payload []byte) error {
	if !jsontext.Value(payload).IsValid() {
		return errUnreadable
	}
	for name, value := range jsonrpc.Members(payload) {
		switch string(name) {
		case "iss":
			c.issuer = text(value)
		case "aud":
			c.audience = texts(value)
		case "exp":
			c.expires = date(value, math.Floor)
		case "nbf":
			if c.notBefore = date(value, math.Ceil); c.notBefore == nil {
				return errUnreadable
			}
			c.notBefore.Time = c.notBefore.Add(-clockSkew)
		case "scope", "scp":
			for _, list := range texts(value) {
				c.scopes = append(c.scopes, strings.Fields(list)...)
			}
		}
		if string(name) == c.identityClaim {
			c.identity = identity(value)
		}
	}
	return nil
}

func text(value []byte) string {
	s, _ := jsonrpc.Text(value)
	return string(s)
}

// texts returns the strings of a claim that is one string or a list of them; nil if anything else is in it.
func texts(value []byte) []string {
	if s, ok := jsonrpc.Text(value); ok {
		return []string{string(s)}
	}
	var all []string
	for element := range jsonrpc.Elements(value) {
		s, ok := jsonrpc.Text(element)
		if !ok {
			return nil
		}
		all = append(all, string(s))
	}
	return all
}

// date reads a NumericDate (RFC 7519, section 2), whose fractions are rounded against the token.
func date(value []byte, round func(float64) float64) *jwt.NumericDate {
	seconds, err := strconv.ParseFloat(string(value), 64)
	if err != nil || seconds < 0 || seconds > lastSecond {
		return nil
	}
	return &jwt.NumericDate{Time: time.Unix(int64(round(seconds)), 0)}
}

// identity returns the name in a claim, "" if it is unfit for one.
func identity(value []byte) string {
	name := text(value)
	if len(name) > maxIdentity || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.TrimSpace(name) == "" {
		return ""
	}
	return name
}

// has reports whether the token has a scope.
func (c *claims) has(scope string) bool { return slices.Contains(c.scopes, scope) }

// The methods below let jwt.Validator judge exp, nbf and iss. Audiences depend on the request: see resource.judge.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.expires, nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.notBefore, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (c *claims) GetIssuer() (string, error)                   { return c.issuer, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return c.audience, nil }
func (c *claims) GetSubject() (string, error)                  { return "", nil }
