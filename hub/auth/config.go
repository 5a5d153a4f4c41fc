// Package auth turns the credential of an HTTP request into a principal, and says to clients how to get one (RFC 9728).
//
// It decides who somebody is, never what they may do. It issues no tokens and sends none anywhere.
package auth

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// A Config says which credentials a gateway takes. It has been validated and its secrets are resolved.
type Config struct {
	Enabled     bool
	Type        string   // bearer, api_key or oauth
	Token       string   // one credential that all clients share; "": none
	Clients     []Client // named clients with a credential each
	OAuth       OAuth
	PublicPaths []string // paths that need no credential
}

// A Client is a principal with a static credential.
type Client struct {
	Name, Token string
}

// An OAuth section makes the gateway a resource server (OAuth 2.1 section 1.1).
type OAuth struct {
	Resource             string // the URL of the gateway: the audience of tokens that open every server (RFC 8707)
	JWKSURI              string
	Issuer               string   // "" takes any iss
	AuthorizationServers []string // what RFC 9728 metadata names; Issuer if empty
	IdentityClaim        string   // "": sub
	RequiredScopes       []string
}

// The types of credentials.
const (
	Bearer = "bearer"
	APIKey = "api_key"
	OAuth2 = "oauth"
)

// Validate reports all that New refuses.
func (c Config) Validate() error {
	if !c.Enabled {
		return nil
	}
	switch c.Type {
	case OAuth2:
		return c.OAuth.validate()
	case Bearer, APIKey:
		return c.validateClients()
	default:
		return fmt.Errorf("auth.type: %q is none of bearer, api_key, oauth", c.Type)
	}
}

func (c Config) validateClients() error {
	if c.Token == "" && len(c.Clients) == 0 {
		return errors.New("auth: neither token nor clients: nobody could come in")
	}
	var errs []error
	holders := map[string]string{}
	if c.Token != "" {
		holders[c.Token] = "auth.token"
	}
	for i, client := range c.Clients {
		at := fmt.Sprintf("auth.clients[%d]", i)
		switch holder, twice := holders[client.Token]; {
		case client.Name == "" || client.Token == "":
			errs = append(errs, fmt.Errorf("%s: needs a name and a token", at))
		case twice:
			errs = append(errs, fmt.Errorf("%s: has the token of %s: each client needs its own", at, holder))
		default:
			holders[client.Token] = at
		}
	}
	for token, at := range holders {
		if strings.ContainsFunc(token, blank) {
			errs = append(errs, fmt.Errorf("%s: has a token with a space or control character: no header carries it", at))
		}
	}
	return errors.Join(errs...)
}

func (o OAuth) validate() error {
	errs := []error{
		secure("auth.oauth.resource", o.Resource),
		secure("auth.oauth.jwks_uri", o.JWKSURI),
	}
	if strings.ContainsAny(o.Resource, "?#\"\\") { // a server's resource is this and a path; it stands in quotes in challenges
		errs = append(errs, fmt.Errorf("auth.oauth.resource: %q has a query, a fragment or a quote: write https://host/path", o.Resource))
	}
	if len(o.servers()) == 0 {
		errs = append(errs, errors.New("auth.oauth: neither issuer nor authorization_servers: clients could not learn where to get a token"))
	}
	for _, scope := range o.RequiredScopes {
		if !scopeToken(scope) {
			errs = append(errs, fmt.Errorf("auth.oauth.required_scopes: %q is no scope: one word without quotes and backslashes", scope))
		}
	}
	return errors.Join(errs...)
}

// servers returns the authorization servers that issue tokens for this gateway.
func (o OAuth) servers() []string {
	if len(o.AuthorizationServers) == 0 && o.Issuer != "" {
		return []string{o.Issuer}
	}
	return o.AuthorizationServers
}

func secure(key, value string) error {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return fmt.Errorf("%s: %q is no usable URL: write https://host/path", key, value)
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	default:
		return fmt.Errorf("%s: %q is not https: plain http is for this machine only", key, value)
	}
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// scopeToken reports whether s is a scope-token of RFC 6749, section 3.3.
func scopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '"' || c == '\\' || c > '~' {
			return false
		}
	}
	return s != ""
}
