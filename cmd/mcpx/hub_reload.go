package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/auth"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
)

// hubSettings reads the configuration of a running hub, again and again, and says what follows from it.
type hubSettings struct {
	path   string // of the file, "" without one
	listen string // --listen: wins over the file
	admin  string // --admin: wins over the file
	log    zerolog.Logger
	stderr io.Writer // for the warning that is no line of a log

	current  atomic.Pointer[config] // in effect; while one is put into effect, that one
	lock     atomic.Pointer[integrity.File]
	unserved []string // said last
	shadowed []string // said last

	mu     sync.Mutex
	warned bool // the gateway is exposed, and that was said; guarded by mu
}

func (a *app) hubSettings(f hubFlags) (*hubSettings, error) {
	if f.listen != "" {
		if err := validListen(f.listen, usualListen); err != nil {
			return nil, &exitError{exitUsage, fmt.Errorf("--%w", err)}
		}
	}
	if f.admin != "" && f.admin != hubNone {
		if err := (adminConfig{Listen: f.admin}).Validate(f.listen); err != nil {
			return nil, &exitError{exitUsage, fmt.Errorf("--admin: %w", err)}
		}
	}
	path, err := a.findConfig()
	if err != nil {
		return nil, err
	}
	if path == "" && f.watch {
		return nil, &exitError{exitUsage, fmt.Errorf("--watch: there is no configuration file to watch: name one with --config or $%s, or write %s here", configVariable, configName)}
	}
	return &hubSettings{path: path, listen: f.listen, admin: f.admin, log: a.serviceLogger(), stderr: a.err}, nil
}

// read reads the file and makes it the current one.
func (s *hubSettings) read() (hub.Config, error) {
	c := defaults()
	if s.path != "" {
		var err error
		if c, err = readConfig(s.path); err != nil {
			return hub.Config{}, err
		}
	}
	cfg, unserved, err := c.gateway()
	if err != nil {
		return hub.Config{}, err
	}
	if s.listen != "" {
		cfg.Listen = s.listen
	}
	switch s.admin {
	case "":
	case hubNone:
		cfg.Admin = hub.Admin{}
	default:
		cfg.Admin = hub.Admin{Listen: s.admin, URL: c.Admin.URL}
	}
	if s.lock.Load() == nil && c.Inspection.ToolIntegrity != "off" {
		lock, err := hubPins(c)
		if err != nil {
			return hub.Config{}, err
		}
		s.lock.Store(lock)
	}
	s.current.Store(c)
	shadowed := c.shadowed()
	if len(shadowed) > 0 && !slices.Equal(shadowed, s.shadowed) {
		s.log.Warn().Strs("servers", shadowed).Msg("servers in shadow mode: what their policies deny is recorded, and passes")
	}
	s.shadowed = shadowed
	if len(unserved) > 0 && !slices.Equal(unserved, s.unserved) {
		s.log.Info().Strs("servers", unserved).Msg("entries with a name and a policy alone are rules for wrappers: not served by the gateway")
	}
	if len(cfg.Servers) == 0 && len(c.Servers) == 0 && s.path != "" {
		s.log.Warn().Str("file", s.path).Msg("no entry has a url or a command: nothing is served")
	}
	s.unserved = unserved
	return cfg, nil
}

// pins gives a server's pins under the current configuration, nil where tool integrity is off.
func (s *hubSettings) pins(server string) (*integrity.Pins, error) {
	inspection, lock := s.current.Load().Inspection, s.lock.Load()
	if inspection.ToolIntegrity == "off" {
		return nil, nil
	}
	if lock == nil {
		return nil, fmt.Errorf("there are no pins of %q", server)
	}
	return lock.Server(server, inspection), nil
}

// listenAt is net.Listen, but that a hub which nobody has configured takes another port where the usual one is in use.
func (s *hubSettings) listenAt(network, address string) (net.Listener, error) {
	listener, err := net.Listen(network, address)
	if err == nil || s.path != "" || s.listen != "" {
		return listener, err
	}
	host, _, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		return nil, err
	}
	s.log.Warn().Err(err).Msg("the usual address cannot be used: taking a free port (--listen names another)")
	return net.Listen(network, net.JoinHostPort(host, "0"))
}

// started says that the hub listens, and where it keeps what. It warns if anyone may use it.
func (s *hubSettings) started(address string, cfg hub.Config, v *hubService) {
	line := s.log.Info().Str("address", address).Strs("servers", servedNames(cfg)).Str("auth", authMode(cfg)).
		Bool("tls", cfg.TLS.CertFile != "").Str("config", cmp.Or(s.path, hubNone))
	if v.store != nil {
		line = line.Str("store", v.home.store).Str("key", uplink.PublicKey(v.key).String()).Str("local", cmp.Or(v.at, hubNone))
	}
	line.Msg("mcpx hub is listening")
	s.warn(address, cfg)
	s.warnOfTokens(address, cfg, v)
}

// reload puts the file into effect as it is now, or leaves everything as it is and says why in one line.
func (s *hubSettings) reload(g gateway) {
	before := s.current.Load()
	cfg, err := s.read()
	if err == nil {
		err = g.Reload(cfg)
	} else {
		g.Refused()
	}
	if err != nil {
		s.current.Store(before)
		s.refused(err)
		return
	}
	s.log.Info().Strs("servers", servedNames(cfg)).Str("auth", authMode(cfg)).Msg("configuration reloaded")
	if now := s.current.Load(); !reflect.DeepEqual(before.Audit, now.Audit) {
		s.log.Warn().Msg("the section audit has changed: that waits for a restart")
	}
	if before.Store != s.current.Load().Store {
		s.log.Warn().Msg("the section store has changed: that waits for a restart")
	}
	if !reflect.DeepEqual(before.Otel, s.current.Load().Otel) {
		s.log.Warn().Msg("the section otel has changed: that waits for a restart")
	}
	s.warn(cfg.Listen, cfg)
}

func (s *hubSettings) refused(err error) {
	problems := []string{err.Error()}
	if bad, ok := errors.AsType[*configError](err); ok {
		problems = bad.lines()
	}
	s.log.Error().Strs("problems", problems).Str("file", s.path).Msg("configuration refused: the one before stays in effect")
}

// exposedWarning is for whoever starts a gateway without a lock on its door.
const exposedWarning = `
************************************************************************
*  WARNING: ANYONE WHO REACHES THIS ADDRESS CAN USE EVERY SERVER HERE  *
************************************************************************
mcpx hub listens on %s, beyond this machine, and asks nobody who they are.
Whoever can connect can call the tools of: %s.

Do one of these:
  - write an auth section, such as  auth: { token_file: token }
  - ask for client certificates:    tls: { client_ca_file: … }
  - listen on this machine only:    listen: 127.0.0.1:8080

`

// warn warns once for as long as the gateway is exposed. It is no line of the log: no level hides it.
func (s *hubSettings) warn(address string, cfg hub.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !exposed(cfg) || len(cfg.Servers) == 0 {
		s.warned = false
		return
	}
	if !s.warned {
		fmt.Fprintf(s.stderr, exposedWarning, printable(address), strings.Join(servedNames(cfg), ", "))
	}
	s.warned = true
}

// plainWarning is for whoever has others send their tokens to an address that does not hide them.
const plainWarning = `
************************************************************************
*  WARNING: HUB TOKENS REACH THIS ADDRESS IN THE CLEAR                 *
************************************************************************
mcpx hub has tokens for other machines, and listens on %s without TLS.
mcpx itself sends a token over https only; unless something in front of
the hub speaks TLS for it, others cannot use it.

Do one of these:
  - give it a certificate:        tls: { cert_file: …, key_file: … }
  - put a proxy with TLS before it
  - listen on this machine only:  listen: 127.0.0.1:8080

`

// warnOfTokens warns where tokens for other machines exist and the way there is open, and of names in clients that nobody can
// have: such an override would look like protection.
func (s *hubSettings) warnOfTokens(address string, cfg hub.Config, v *hubService) {
	if v.store == nil {
		return
	}
	tokens, err := v.store.Tokens(context.Background())
	if err != nil {
		s.log.Warn().Err(err).Msg("the tokens cannot be listed")
		return
	}
	if len(tokens) > 0 && beyondLoopback(cfg.Listen) && cfg.TLS.CertFile == "" {
		fmt.Fprintf(s.stderr, plainWarning, printable(address))
	}
	if cfg.Auth.Enabled && cfg.Auth.Type == authOAuth {
		return
	}
	for name := range cfg.Clients {
		known := slices.ContainsFunc(tokens, func(t store.Token) bool { return t.Name == name }) ||
			slices.ContainsFunc(cfg.Auth.Clients, func(c auth.Client) bool { return c.Name == name })
		if !known {
			s.log.Warn().Str("client", name).Msg("clients has rules for a name that neither auth.clients nor a hub token has")
		}
	}
}

func servedNames(cfg hub.Config) []string {
	names := make([]string, len(cfg.Servers))
	for i, s := range cfg.Servers {
		names[i] = s.Name
	}
	return names
}

func authMode(cfg hub.Config) string {
	switch {
	case cfg.Auth.Enabled && cfg.TLS.ClientCAFile != "":
		return cfg.Auth.Type + " and client certificates"
	case cfg.Auth.Enabled:
		return cfg.Auth.Type
	case cfg.TLS.ClientCAFile != "":
		return "client certificates"
	default:
		return "none"
	}
}

// serviceLogger writes lines for a log collector to stderr, and lines for people where that is a terminal.
func (a *app) serviceLogger() zerolog.Logger {
	log := a.logger()
	if file, ok := a.err.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return log
		}
	}
	return zerolog.New(a.err).Level(log.GetLevel()).With().Timestamp().Logger()
}
