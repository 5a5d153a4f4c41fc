package auth

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Challenge refuses a request and says how to come in. It holds nothing of the credential.
type Challenge struct {
	Status  int    // 400, 401, 403 or 503
	Code    string // unauthorized, invalid_token, invalid_request, insufficient_scope or unavailable
	Message string // for people

	authenticate string // WWW-Authenticate; "": none
	retryAfter   time.Duration
	reason       error
}

// Error says why the request is refused, for logs.
func (c *Challenge) Error() string { return c.Message + ": " + c.reason.Error() }

// Unwrap returns the reason.
func (c *Challenge) Unwrap() error { return c.reason }

// SetHeader sets WWW-Authenticate and Retry-After of the response.
func (c *Challenge) SetHeader(h http.Header) {
	if c.authenticate != "" {
		h.Set("WWW-Authenticate", c.authenticate)
	}
	if c.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(c.retryAfter.Seconds())))
	}
}

// retryAfter is when a client may ask again while keys are missing.
const retryAfter = 5 * time.Second

// challenge words the refusal for a reason. What is none of the known reasons is an invalid token.
func (a *Authenticator) challenge(server string, reason error) *Challenge {
	c := &Challenge{Status: http.StatusUnauthorized, reason: reason}
	var description string // RFC 6750, section 3; only about tokens
	var f flaw
	switch {
	case errors.Is(reason, errNoKeys):
		c.Status, c.Code, c.retryAfter = http.StatusServiceUnavailable, "unavailable", retryAfter
		c.Message = "tokens cannot be checked now: the issuer's keys are not there yet"
		return c
	case errors.Is(reason, errAbsent):
		c.Code, c.Message = "unauthorized", a.ask()
		c.authenticate = a.words(server, c.Status, "", "")
		return c
	case errors.Is(reason, errTwice):
		c.Status, c.Code, c.Message = http.StatusBadRequest, "invalid_request", "more than one credential header: send one"
	case errors.Is(reason, errMalformed):
		c.Status, c.Code, c.Message = http.StatusBadRequest, "invalid_request", "malformed credential header: "+a.ask()
	case errors.Is(reason, errScope):
		c.Status, c.Code = http.StatusForbidden, "insufficient_scope"
		c.Message = "the token lacks a scope: " + strings.Join(a.cfg.OAuth.RequiredScopes, " ") + " are required"
	case errors.As(reason, &f):
		description = string(f)
		c.Code, c.Message = "invalid_token", description
	default:
		c.Code, c.Message = "invalid_token", "the credential is not valid"
	}
	c.authenticate = a.words(server, c.Status, c.Code, description)
	return c
}

func (a *Authenticator) ask() string {
	if a.cfg.Type == APIKey {
		return "send X-API-Key: <key>"
	}
	return "send Authorization: Bearer <token>"
}

// words returns a WWW-Authenticate challenge. code is an error of RFC 6750, "" if no credential was presented.
func (a *Authenticator) words(server string, status int, code, description string) string {
	scheme, params := "Bearer", []string{"realm", "mcpx", "error", code}
	switch {
	case a.cfg.Type == APIKey:
		scheme = "ApiKey"
	case a.oauth == nil:
	case status == http.StatusForbidden: // one challenge says all that is needed (MCP, "Scope Challenge Handling")
		params = []string{"error", code, "scope", a.oauth.scope, "resource_metadata", a.oauth.metadataURL(server)}
	default:
		params = []string{"resource_metadata", a.oauth.metadataURL(server), "scope", a.oauth.scope,
			"error", code, "error_description", description}
	}
	var b strings.Builder
	b.WriteString(scheme)
	separator := " "
	for i := 0; i < len(params); i += 2 {
		if params[i+1] == "" {
			continue
		}
		b.WriteString(separator + params[i] + `="` + params[i+1] + `"`) // nothing in them needs an escape
		separator = ", "
	}
	return b.String()
}
