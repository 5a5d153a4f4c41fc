// Package auth turns the credential of an HTTP request into a principal, and says to clients how to get one (RFC 9728).
//
// It decides who somebody is, never what they may do. It issues no tokens and sends none anywhere.
package auth

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
