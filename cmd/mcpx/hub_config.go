package main

import (
	"errors"
	"net"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/auth"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/policy"
)

// gateway gives what the gateway serves of a configuration, and the names of the entries that it does not
// serve: those of a name and a policy alone are rules for wrappers.
func (c *config) gateway() (cfg hub.Config, unserved []string, err error) {
	cfg = hub.Config{
		Listen: c.Listen,
		TLS:    hub.TLS{CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, ClientCAFile: c.TLS.ClientCAFile},
		Auth:   c.Auth.hubAuth(),
		Breaker: hub.Breaker{
			Enabled:          c.CircuitBreaker.Enabled != nil && *c.CircuitBreaker.Enabled,
			FailureThreshold: c.CircuitBreaker.FailureThreshold,
			Cooldown:         c.CircuitBreaker.Cooldown,
			HalfOpenMax:      c.CircuitBreaker.HalfOpenMax,
		},
		RateLimit:  c.RateLimit,
		Inspection: c.Inspection,
		Limits: hub.Limits{
			MaxBody:    int(c.Limits.MaxBody),
			MaxMessage: int(c.Limits.MaxMessage),
			MaxDepth:   c.Limits.MaxDepth,
			MaxPages:   c.Limits.MaxPages,
		},
		CORS:  hub.CORS{AllowedOrigins: c.CORS.AllowedOrigins, AllowedHeaders: c.CORS.AllowedHeaders, MaxAge: c.CORS.MaxAge},
		Admin: c.Admin.hubAdmin(),
	}
	var problems []problem
	for _, s := range c.Servers {
		if cfg.Policies == nil {
			cfg.Policies = map[string]policy.Config{}
		}
		cfg.Policies[s.Name] = s.Policy // binds wrappers of that name, whoever serves it
		switch {
		case s.URL == "" && s.Command == "":
			unserved = append(unserved, s.Name)
		case s.Transport == transportWebSocket:
			problems = append(problems, c.problemAt(join(s.path, "transport"),
				errors.New("the hub does not reach servers by websocket: give one that speaks http, sse or stdio, or remove the entry")))
		default:
			cfg.Servers = append(cfg.Servers, s.hubServer())
		}
	}
	for name, client := range c.Clients {
		if cfg.Clients == nil {
			cfg.Clients = map[string]map[string]policy.Override{}
		}
		cfg.Clients[name] = client.Servers
	}
	if len(problems) > 0 {
		return hub.Config{}, nil, &configError{File: c.Path, Problems: problems}
	}
	return cfg, unserved, nil
}

func (s server) hubServer() hub.Server {
	served := hub.Server{
		Name:           s.Name,
		URL:            s.URL,
		Transport:      s.Transport,
		Command:        s.Command,
		Args:           s.Args,
		Env:            s.Env,
		Workdir:        s.Workdir,
		RequestTimeout: s.RequestTimeout,
		Isolation:      s.Isolation,
		Policy:         s.Policy,
	}
	for name, value := range s.Headers {
		if served.Headers == nil {
			served.Headers = map[string]string{}
		}
		served.Headers[name] = string(value)
	}
	return served
}

func (c authConfig) hubAuth() auth.Config {
	var clients []auth.Client
	for _, client := range c.Clients {
		clients = append(clients, auth.Client{Name: client.Name, Token: string(client.Token)})
	}
	return auth.Config{
		Enabled: c.on(),
		Type:    c.Type,
		Token:   string(c.Token),
		Clients: clients,
		OAuth: auth.OAuth{
			Resource:             c.OAuth.Resource,
			JWKSURI:              c.OAuth.JWKSURI,
			Issuer:               c.OAuth.Issuer,
			AuthorizationServers: c.OAuth.AuthorizationServers,
			IdentityClaim:        c.OAuth.IdentityClaim,
			RequiredScopes:       c.OAuth.RequiredScopes,
		},
		PublicPaths: c.PublicPaths,
	}
}

// problemAt places what only one command objects to, after the file was read.
func (c *config) problemAt(path string, err error) problem {
	d := document{places: c.places}
	where := d.nearestPlace(path)
	return problem{Line: where.line, Column: where.column, Path: path, Message: err.Error()}
}

// exposed reports whether anyone who reaches the address of the gateway from elsewhere may use it.
func exposed(cfg hub.Config) bool {
	return beyondLoopback(cfg.Listen) && !cfg.Auth.Enabled && cfg.TLS.ClientCAFile == ""
}

func beyondLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err != nil || !uplink.LoopbackHost(host)
}
