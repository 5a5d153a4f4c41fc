package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/policy"
)

// What only the hub uses is typed and checked here as well, so that one file serves both modes and
// `mcpx check` speaks for both.

type tlsConfig struct {
	CertFile     string `yaml:"cert_file"`
	KeyFile      string `yaml:"key_file"`
	ClientCAFile string `yaml:"client_ca_file"` // turns on mutual TLS
}

func (c tlsConfig) Validate() error {
	switch {
	case c == tlsConfig{}:
		return nil
	case c.CertFile == "":
		return errors.New("cert_file: is missing: TLS needs a certificate and its key")
	case c.KeyFile == "":
		return errors.New("key_file: is missing: TLS needs a certificate and its key")
	default:
		return nil
	}
}

type authConfig struct {
	Enabled     *bool        `yaml:"enabled"` // nil: true once the section stands in the file
	Type        string       `yaml:"type"`    // bearer (default) | api_key | oauth
	Token       secret       `yaml:"token"`   // one credential that all clients share
	TokenFile   string       `yaml:"token_file"`
	Clients     []authClient `yaml:"clients"`
	OAuth       oauthConfig  `yaml:"oauth"`
	PublicPaths []string     `yaml:"public_paths"`
}

type authClient struct {
	Name      string `yaml:"name"`
	Token     secret `yaml:"token"`
	TokenFile string `yaml:"token_file"`
}

type oauthConfig struct {
	Resource             string   `yaml:"resource"`
	JWKSURI              string   `yaml:"jwks_uri"`
	Issuer               string   `yaml:"issuer"`
	AuthorizationServers []string `yaml:"authorization_servers"`
	IdentityClaim        string   `yaml:"identity_claim"` // "" means sub
	RequiredScopes       []string `yaml:"required_scopes"`
}

const (
	authBearer = "bearer"
	authAPIKey = "api_key"
	authOAuth  = "oauth"
)

func (c authConfig) on() bool { return c.Enabled != nil && *c.Enabled }

func (c authConfig) Validate() error {
	errs := []error{oneOf("type", c.Type, authBearer, authAPIKey, authOAuth)}
	names, tokens := map[string]int{}, map[secret]string{}
	if c.Token != "" {
		tokens[c.Token] = "token"
	}
	for i, client := range c.Clients {
		at := item("clients", i)
		if client.Name == "" {
			errs = append(errs, fmt.Errorf("%s.name: is missing", at))
		} else if first, twice := names[client.Name]; twice {
			errs = append(errs, fmt.Errorf("%s.name: is the name of clients[%d] as well: names must differ", at, first))
		} else {
			names[client.Name] = i
		}
		if client.Token == "" {
			errs = append(errs, fmt.Errorf("%s.token: is missing: give token or token_file", at))
			continue
		}
		if other, twice := tokens[client.Token]; twice {
			errs = append(errs, fmt.Errorf("%s.token: is the same as %s: every client needs a token of its own", at, other))
		}
		tokens[client.Token] = at + ".token"
	}
	for i, path := range c.PublicPaths {
		if !strings.HasPrefix(path, "/") {
			errs = append(errs, fmt.Errorf("%s: %q is no path: start it with /", item("public_paths", i), path))
		}
	}
	switch {
	case !c.on():
	case c.Type == authOAuth:
		errs = append(errs, c.OAuth.Validate())
	case len(c.Clients) == 0 && c.Token == "":
		errs = append(errs, errors.New("token: is missing: give token, token_file or clients, or write enabled: false"))
	}
	return errors.Join(errs...)
}

func (c oauthConfig) Validate() error {
	var errs []error
	for _, u := range []struct {
		key, value string
		required   bool
	}{
		{"oauth.resource", c.Resource, true},
		{"oauth.jwks_uri", c.JWKSURI, true},
		{"oauth.issuer", c.Issuer, false},
	} {
		if u.value == "" && !u.required {
			continue
		}
		errs = append(errs, secureURL(u.key, u.value))
	}
	for i, server := range c.AuthorizationServers {
		errs = append(errs, secureURL(item("oauth.authorization_servers", i), server))
	}
	return errors.Join(errs...)
}

// A clientConfig narrows, for one client, what the servers' own policies allow.
type clientConfig struct {
	Servers map[string]policy.Override `yaml:"servers"`
}

type breakerConfig struct {
	Enabled          *bool         `yaml:"enabled"` // nil: true once the section stands in the file
	FailureThreshold int           `yaml:"failure_threshold"`
	Cooldown         time.Duration `yaml:"cooldown"`
	HalfOpenMax      int           `yaml:"half_open_max"`
}

func (c breakerConfig) Validate() error {
	return errors.Join(
		between("failure_threshold", c.FailureThreshold, 1, 1_000_000),
		between("half_open_max", c.HalfOpenMax, 1, 1_000_000),
	)
}

type corsConfig struct {
	AllowedOrigins []string      `yaml:"allowed_origins"`
	AllowedHeaders []string      `yaml:"allowed_headers"`
	MaxAge         time.Duration `yaml:"max_age"`
}

func (c corsConfig) Validate() error {
	var errs []error
	for i, origin := range c.AllowedOrigins {
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin) {
			errs = append(errs, fmt.Errorf("%s: %q is no origin: write scheme://host or scheme://host:port, without a path", item("allowed_origins", i), origin))
		}
	}
	for i, header := range c.AllowedHeaders {
		if !headerName().MatchString(header) {
			errs = append(errs, fmt.Errorf("%s: %q is no header name", item("allowed_headers", i), header))
		}
	}
	return errors.Join(errs...)
}

// A hubConfig tells wrappers where their hub is.
type hubConfig struct {
	URL       string `yaml:"url"`
	Token     secret `yaml:"token"`
	TokenFile string `yaml:"token_file"`
	Key       string `yaml:"key"`      // that the hub signs with, ed25519:…; "": that of the login, else the first one seen
	Policy    string `yaml:"policy"`   // merge (default): the hub's policy is one more layer, all must allow
	Required  bool   `yaml:"required"` // without the hub's rules nothing starts
	Pending   int64  `yaml:"pending"`  // bytes of finished audit files that wait for the hub before the oldest go
}

func (c hubConfig) Validate() error {
	errs := []error{oneOf("policy", c.Policy, "merge")}
	if c.Pending < 1<<20 {
		errs = append(errs, errors.New("pending: is out of range: use 1MiB or more"))
	}
	if c.URL != "" || c.Token != "" || c.TokenFile != "" || c.Key != "" {
		errs = append(errs, secureURL("url", c.URL))
	}
	if c.Key != "" {
		if _, err := uplink.ParseKey(c.Key); err != nil {
			errs = append(errs, fmt.Errorf("key: %w", err))
		}
	}
	return errors.Join(errs...)
}

// A storeConfig says where a hub keeps what it knows.
type storeConfig struct {
	Path   string        `yaml:"path"`   // of the SQLite file; "": in the state folder
	Retain time.Duration `yaml:"retain"` // how long events are kept
}

// An adminConfig says where people look at what a hub knows, in a browser.
type adminConfig struct {
	Enabled bool   `yaml:"enabled"`
	Listen  string `yaml:"listen"` // "": usualAdmin, or a free port of this machine
	URL     string `yaml:"url"`    // by which browsers know it; "": the address
}

// usualAdmin is where the dashboard is, unless something else is there.
const usualAdmin = "127.0.0.1:8081"

// Validate checks the section; listen is the address that it must leave alone.
func (c adminConfig) Validate(listen string) error {
	var errs []error
	if c.Listen != "" {
		switch err := validListen(c.Listen, usualAdmin); {
		case err != nil:
			errs = append(errs, err)
		case c.Listen == listen && !strings.HasSuffix(listen, ":0"):
			errs = append(errs, errors.New("listen: is the address that the hub itself listens on: the dashboard needs one of its own"))
		}
	}
	if c.URL != "" {
		u, err := url.Parse(c.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Scheme+"://"+u.Host != strings.TrimSuffix(c.URL, "/") {
			errs = append(errs, fmt.Errorf("url: %q is no address of a dashboard: write scheme://host or scheme://host:port, without a path", c.URL))
		}
	}
	return errors.Join(errs...)
}

// hubAdmin is where the dashboard is to be.
func (c adminConfig) hubAdmin() hub.Admin {
	if !c.Enabled {
		return hub.Admin{}
	}
	return hub.Admin{Listen: cmp.Or(c.Listen, usualAdmin), URL: c.URL}
}

// secureURL wants https, or http to this machine: what is sent there is a credential or decides on one.
func secureURL(key, value string) error {
	if value == "" {
		return fmt.Errorf("%s: is missing", key)
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%s: %q is no usable URL: write https://host/path", key, value)
	case u.Scheme == "https", u.Scheme == "http" && uplink.LoopbackHost(u.Hostname()):
		return nil
	default:
		return fmt.Errorf("%s: %q is not https: plain http is for this machine only", key, value)
	}
}

// loopbackURL wants http to this machine.
func loopbackURL(value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" || u.User != nil || !uplink.LoopbackHost(u.Hostname()) {
		return fmt.Errorf("%q is no http address of this machine", value)
	}
	return nil
}

func validListen(address, example string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("listen: %q is no address: write host:port or :port, such as %s", address, example)
	}
	return nil
}

// oneOf checks a word against those that are known.
func oneOf(key, value string, words ...string) error {
	if slices.Contains(words, value) {
		return nil
	}
	return fmt.Errorf("%s: unknown value %q: use %s", key, value, choices(words))
}

func between(key string, value, low, high int) error {
	if value < low || value > high {
		return fmt.Errorf("%s: %d is out of range: use %d to %d", key, value, low, high)
	}
	return nil
}
