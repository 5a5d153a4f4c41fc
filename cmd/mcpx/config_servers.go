package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/streamable"
)

// A server is one entry of `servers:`. One with neither URL nor command holds rules for wrappers.
type server struct {
	Name           string            `yaml:"name"`
	URL            string            `yaml:"url"`
	Transport      string            `yaml:"transport"` // http | stdio | sse | websocket; "" only without URL and command
	Command        string            `yaml:"command"`
	Args           []string          `yaml:"args,scalars"`
	Env            map[string]string `yaml:"env,scalars"`
	Workdir        string            `yaml:"workdir"`
	RequestTimeout time.Duration     `yaml:"request_timeout"`
	Isolation      string            `yaml:"isolation"` // shared | client | session
	Headers        map[string]secret `yaml:"headers"`
	Mode           string            `yaml:"mode"` // enforce (default) | shadow
	Policy         policy.Config     `yaml:"policy"`

	path string // where the entry stands in the file, such as servers[1]
}

const (
	transportHTTP      = "http"
	transportStdio     = "stdio"
	transportSSE       = "sse"
	transportWebSocket = "websocket"
)

const (
	modeEnforce = "enforce"
	modeShadow  = "shadow"
)

var headerName = lazyRegexp("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// withDefaults gives what the file left open. Relative folders start at the file's folder.
func (s server) withDefaults(folder string) server {
	if s.Transport == "" && s.URL != "" {
		s.Transport = transportHTTP
	}
	if s.Transport == "" && s.Command != "" {
		s.Transport = transportStdio
	}
	if s.Isolation == "" {
		s.Isolation = "shared"
	}
	if s.RequestTimeout == 0 {
		s.RequestTimeout = 30 * time.Second
	}
	s.Policy.Shadow = s.Mode == modeShadow
	if s.Workdir != "" && !filepath.IsAbs(s.Workdir) && !strings.HasPrefix(s.Workdir, "~") {
		s.Workdir = filepath.Join(folder, s.Workdir)
	}
	return s
}

func (s server) Validate() error {
	errs := []error{
		s.validName(),
		s.validPeer(),
		oneOf("isolation", s.Isolation, "shared", "client", "session"),
		oneOf("mode", cmp.Or(s.Mode, modeEnforce), modeEnforce, modeShadow),
		noTilde("workdir", s.Workdir),
		s.validEnv(),
		s.validHeaders(),
	}
	for _, err := range leaves(s.Policy.Validate()) {
		errs = append(errs, fmt.Errorf("policy.%w", err))
	}
	return errors.Join(errs...)
}

func (s server) validName() error {
	switch {
	case s.Name == "":
		return errors.New("name: is missing")
	case !policy.IsServerName(s.Name):
		return fmt.Errorf("name: %q is no server name: use a-z, 0-9, _ and -, and start with a letter or digit", s.Name)
	default:
		return nil
	}
}

// validPeer checks how the server is reached: by URL, by command, or, for wrappers, not at all.
func (s server) validPeer() error {
	switch {
	case s.URL != "" && s.Command != "":
		return errors.New("command: stands beside url: keep one of the two")
	case s.URL != "":
		return s.validRemote()
	case s.Command != "":
		return s.validChild()
	}
	for _, alone := range []struct {
		key string
		set bool
	}{
		{"args", s.Args != nil},
		{"env", s.Env != nil},
		{"workdir", s.Workdir != ""},
		{"headers", s.Headers != nil},
		{"transport", s.Transport != ""},
	} {
		if alone.set {
			return fmt.Errorf("%s: means nothing without command or url: add one, or keep only name and policy", alone.key)
		}
	}
	return nil
}

func (s server) validRemote() error {
	errs := []error{oneOf("transport", s.Transport, transportHTTP, transportSSE, transportWebSocket)}
	if s.Transport == transportStdio {
		errs[0] = errors.New("transport: stdio needs command, not url")
	}
	for key, set := range map[string]bool{"args": s.Args != nil, "env": s.Env != nil, "workdir": s.Workdir != ""} {
		if set {
			errs = append(errs, fmt.Errorf("%s: is for servers with a command, this one has a url", key))
		}
	}
	schemes := []string{"http", "https"}
	if s.Transport == transportWebSocket {
		schemes = []string{"ws", "wss"}
	}
	u, err := url.Parse(s.URL)
	switch {
	case err != nil, u.Host == "", u.Fragment != "":
		errs = append(errs, errors.New("url: is no usable URL: write "+schemes[0]+"://host:port/path"))
	case u.User != nil:
		errs = append(errs, errors.New("url: holds a credential: put it into headers"))
	case !slices.Contains(schemes, u.Scheme):
		errs = append(errs, oneOf("url", u.Scheme, schemes...))
	}
	return errors.Join(errs...)
}

func (s server) validChild() error {
	var errs []error
	if s.Transport != transportStdio {
		errs = append(errs, fmt.Errorf("transport: unknown value %q for a command: use stdio", s.Transport))
	}
	if s.Headers != nil {
		errs = append(errs, errors.New("headers: are for servers with a url, this one has a command"))
	}
	for i, arg := range append([]string{s.Command}, s.Args...) {
		if strings.ContainsRune(arg, 0) {
			errs = append(errs, fmt.Errorf("%s: holds a NUL character", []string{"command", "args"}[min(i, 1)]))
		}
	}
	return errors.Join(errs...)
}

func (s server) validEnv() error {
	var errs []error
	for name, value := range s.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			errs = append(errs, fmt.Errorf("env.%s: is no environment variable: names hold no =, values no NUL", name))
		}
	}
	return errors.Join(errs...)
}

func (s server) validHeaders() error {
	var errs []error
	for name, value := range s.Headers {
		switch err := streamable.CheckHeader(name, string(value)); {
		case err != nil:
			errs = append(errs, fmt.Errorf("headers.%s: %w", name, err))
		case strings.EqualFold(name, "host"): // it would redirect every request
			errs = append(errs, fmt.Errorf("headers.%s: is set by the transport: remove it", name))
		case value == "":
			errs = append(errs, fmt.Errorf("headers.%s: is empty", name))
		}
	}
	return errors.Join(errs...)
}

// noTilde refuses a path that only a shell would expand.
func noTilde(key, path string) error {
	if strings.HasPrefix(path, "~") {
		return fmt.Errorf("%s: ~ is not expanded: write ${HOME}", key)
	}
	return nil
}

// shadowed names the servers whose rules are told, not enforced.
func (c *config) shadowed() []string {
	var names []string
	for _, s := range c.Servers {
		if s.Mode == modeShadow {
			names = append(names, s.Name)
		}
	}
	return names
}
