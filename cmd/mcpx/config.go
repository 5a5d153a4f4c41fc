package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/policy/telemetry"
)

// A config is one mcpx.yaml, checked whole and with its defaults.
type config struct {
	Listen         string                  `yaml:"listen"`
	TLS            tlsConfig               `yaml:"tls"`
	Servers        []server                `yaml:"servers"`
	Pasted         map[string]pastedServer `yaml:"mcpServers"` // moved into Servers
	Auth           authConfig              `yaml:"auth"`
	Clients        map[string]clientConfig `yaml:"clients"`
	RateLimit      policy.RateConfig       `yaml:"rate_limit"`
	CircuitBreaker breakerConfig           `yaml:"circuit_breaker"`
	Inspection     integrity.Config        `yaml:"inspection"`
	Limits         limits                  `yaml:"limits"`
	CORS           corsConfig              `yaml:"cors"`
	Audit          audit.Config            `yaml:"audit"`
	Hub            hubConfig               `yaml:"hub"`
	Store          storeConfig             `yaml:"store"`
	Otel           otelConfig              `yaml:"otel"`
	Admin          adminConfig             `yaml:"admin"`

	Path string `yaml:"-"` // of the file, absolute; "" without one

	places map[string]place // where each path stands in the file
}

// limits bound what a peer can make us hold or do.
type limits struct {
	MaxMessage int64 `yaml:"max_message"` // bytes of one line over stdio
	MaxBody    int64 `yaml:"max_body"`    // bytes of one HTTP body
	MaxDepth   int   `yaml:"max_depth"`   // nesting of one message
	MaxPages   int   `yaml:"max_pages"`   // pages of one list
}

func (l limits) Validate() error {
	var errs []error
	for key, size := range map[string]int64{"max_message": l.MaxMessage, "max_body": l.MaxBody} {
		if size < 4<<10 || size > 1<<30 {
			errs = append(errs, fmt.Errorf("%s: is out of range: use 4KiB to 1GiB", key))
		}
	}
	return errors.Join(append(errs,
		between("max_depth", l.MaxDepth, 4, 10_000),
		between("max_pages", l.MaxPages, 1, 100_000))...)
}

// usualListen is where the hub listens, unless the file says otherwise.
const usualListen = "127.0.0.1:8080"

// defaults is what holds where the file is silent, or where there is none. What the packages decide
// for themselves when a field is zero is not repeated here.
func defaults() *config {
	return &config{
		Listen:         usualListen,
		Auth:           authConfig{Type: authBearer},
		CircuitBreaker: breakerConfig{FailureThreshold: 5, Cooldown: 30 * time.Second, HalfOpenMax: 1},
		Limits:         limits{MaxMessage: 64e6, MaxBody: 4e6, MaxDepth: 64, MaxPages: 100},
		CORS:           corsConfig{MaxAge: 10 * time.Minute},
		Hub:            hubConfig{Policy: "merge", Pending: 1 << 30},
		Store:          storeConfig{Retain: store.DefaultRetain},
		Otel:           otelConfig{Traces: true, Metrics: true, Sample: 1, ServiceName: telemetry.DefaultService, Interval: telemetry.DefaultInterval},
		Admin:          adminConfig{Enabled: true},
	}
}

// loadConfig reads the configuration in use. Without a file it gives the defaults. A file with
// problems gives a *configError that holds all of them.
func (a *app) loadConfig() (*config, error) {
	path, err := a.findConfig()
	if err != nil {
		return nil, err
	}
	if path == "" {
		return defaults(), nil
	}
	return readConfig(path)
}

func readConfig(path string) (*config, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxConfigFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	d := &document{file: path, folder: filepath.Dir(absolute), lookup: os.LookupEnv}
	c := d.config(text)
	c.Path, c.places = absolute, d.places
	if len(d.problems) > 0 {
		sortProblems(d.problems)
		return nil, &configError{File: path, Problems: d.problems}
	}
	return c, nil
}

// config decodes the text over the defaults and checks it. The result counts only without problems.
func (d *document) config(text []byte) *config {
	c := defaults()
	d.parse(text)
	if d.root == nil {
		return c
	}
	d.decode(c)
	if d.overflow {
		return c
	}
	d.complete(c)
	d.check(c)
	return c
}

// complete fills in what depends on the file: secrets from files, sections that are on because they
// are there, entries that were pasted, paths that start at the file.
func (d *document) complete(c *config) {
	takeSecret(d, "auth", "token", &c.Auth.Token, c.Auth.TokenFile)
	for i := range c.Auth.Clients {
		client := &c.Auth.Clients[i]
		takeSecret(d, item("auth.clients", i), "token", &client.Token, client.TokenFile)
	}
	takeSecret(d, "hub", "token", &c.Hub.Token, c.Hub.TokenFile)

	on := true
	if d.given("auth") && c.Auth.Enabled == nil {
		c.Auth.Enabled = &on
	}
	if d.given("circuit_breaker") && c.CircuitBreaker.Enabled == nil {
		c.CircuitBreaker.Enabled = &on
	}
	c.Otel.Given = d.given("otel")
	if d.given("rate_limit") && !d.given("rate_limit.enabled") {
		c.RateLimit.Enabled = true
	}
	for i := range c.Servers {
		c.Servers[i].path = item("servers", i)
	}
	c.Servers = append(c.Servers, d.pasted(c.Pasted)...)
	c.Pasted = nil
	for i := range c.Servers {
		c.Servers[i] = c.Servers[i].withDefaults(d.folder)
	}
	for key, path := range map[string]*string{"cert_file": &c.TLS.CertFile, "key_file": &c.TLS.KeyFile, "client_ca_file": &c.TLS.ClientCAFile} {
		d.invalid("tls", noTilde(key, *path))
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(d.folder, *path)
		}
	}
	d.invalid("store", noTilde("path", c.Store.Path))
	if path := c.Store.Path; path != "" && !filepath.IsAbs(path) {
		c.Store.Path = filepath.Join(d.folder, path)
	}
	d.invalid("audit", noTilde("path", c.Audit.Path))
	if path := c.Audit.Path; path != "" && !filepath.IsAbs(path) {
		c.Audit.Path = filepath.Join(d.folder, path)
		if os.IsPathSeparator(path[len(path)-1]) { // says that it is a folder
			c.Audit.Path += string(filepath.Separator)
		}
	}
}

// check asks every part whether it is sound, then whether the parts fit each other.
func (d *document) check(c *config) {
	d.invalid("", validListen(c.Listen, usualListen))
	d.invalid("admin", c.Admin.Validate(c.Listen))
	for _, part := range []struct {
		path string
		err  error
	}{
		{"tls", c.TLS.Validate()},
		{"auth", c.Auth.Validate()},
		{"rate_limit", c.RateLimit.Validate()},
		{"circuit_breaker", c.CircuitBreaker.Validate()},
		{"inspection", c.Inspection.Validate()},
		{"limits", c.Limits.Validate()},
		{"cors", c.CORS.Validate()},
		{"audit", c.Audit.Validate()},
		{"otel", c.Otel.Validate()},
	} {
		d.invalid(part.path, part.err)
	}
	d.invalid("", c.Auth.hubAuth().Validate()) // what only the package that uses it knows
	if d.given("hub") {
		d.invalid("hub", c.Hub.Validate())
	}
	names := map[string]string{} // server name → path of its entry
	for _, s := range c.Servers {
		if s.Command == "" && (d.hasProblem(join(s.path, "command")) || d.hasProblem(join(s.path, "url"))) {
			s.Command, s.Transport = "unreadable", transportStdio // its absence is a consequence, not a finding
		}
		d.invalid(s.path, s.Validate())
		if first, twice := names[s.Name]; twice && s.Name != "" {
			d.invalid(s.path, fmt.Errorf("name: %q is the name of %s as well: names must differ", s.Name, first))
			continue
		}
		names[s.Name] = s.path
	}
	d.checkClients(c, slices.Sorted(maps.Keys(names)))
}

// checkClients refuses an override that could never apply: it would look like protection.
func (d *document) checkClients(c *config, servers []string) {
	var known []string
	for _, client := range c.Auth.Clients {
		known = append(known, client.Name)
	}
	anyone := c.Auth.Type == authOAuth || d.given("store") // whoever the issuer vouches for, or has a token of the hub
	for name, client := range c.Clients {
		path := join("clients", name)
		if !anyone && !slices.Contains(known, name) {
			d.problem(path, fmt.Errorf("no client of this name: %s", nameOneOf(name, known, "add it to auth.clients, or write a section store if it is the name of a hub token")))
		}
		for server, override := range client.Servers {
			at := join(join(path, "servers"), server)
			if !slices.Contains(servers, server) {
				d.problem(at, fmt.Errorf("no server of this name: %s", nameOneOf(server, servers, "add it to servers")))
			}
			d.invalid(at, override.Validate())
		}
	}
}

func nameOneOf(got string, known []string, remedy string) string {
	if guess := nearest(got, known); guess != "" {
		return "did you mean " + guess + "?"
	}
	if len(known) == 0 {
		return remedy
	}
	return "known are " + strings.Join(known, ", ")
}

// server gives the entry of a name.
func (c *config) server(name string) (server, bool) {
	for _, s := range c.Servers {
		if s.Name == name {
			return s, true
		}
	}
	return server{}, false
}

// rules counts the entries of all policies: what `mcpx check` reports.
func (c *config) rules() int {
	n := 0
	for _, s := range c.Servers {
		n += policyRules(s.Policy)
	}
	for _, client := range c.Clients {
		for _, override := range client.Servers {
			n += policyRules(override.Layer("").Config)
		}
	}
	return n
}

func policyRules(p policy.Config) int {
	n := len(p.AllowTools) + len(p.DenyTools) + len(p.AllowResources) + len(p.DenyResources) +
		len(p.AllowPrompts) + len(p.DenyPrompts) + len(p.AllowMethods)
	for _, rule := range p.ToolRules {
		n += len(rule.Args)
		if rule.DenyUnknownArgs {
			n++
		}
	}
	for _, on := range []bool{p.ReadOnly, p.ServerRequests.Sampling == "deny", p.ServerRequests.Elicitation == "deny", p.ServerRequests.Roots == "deny"} {
		if on {
			n++
		}
	}
	return n
}
