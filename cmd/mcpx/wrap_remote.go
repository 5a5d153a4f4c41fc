package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/rohitgs28/mcpx/wrap"
)

// remoteFlags are what `mcpx wrap` takes for a server that is reached by HTTP.
type remoteFlags struct {
	url        string
	transport  string
	headers    []string
	unsafeHTTP bool
}

// misused reports flags that say how to reach a URL where there is none.
func (f remoteFlags) misused() error {
	switch {
	case len(f.headers) > 0:
		return errors.New("wrap: --header is for a server with a URL")
	case f.transport != "":
		return errors.New("wrap: --transport is for a server with a URL")
	case f.unsafeHTTP:
		return errors.New("wrap: --unsafe-http is for a server with a URL")
	}
	return nil
}

// pickRemote finds the entry that a URL belongs to. As with commands, a URL without an entry is refused where the
// configuration has entries.
func pickRemote(c *config, f wrapFlags) (wrapped, error) {
	u, err := url.Parse(f.remote.url)
	if err != nil || u.Hostname() == "" {
		return wrapped{}, errors.New("wrap: --url is no usable URL: write https://host/path")
	}
	if len(c.Servers) > 0 {
		s, err := matchRemote(c, f.name, u)
		if err != nil {
			return wrapped{}, err
		}
		return remoteEntry(s, f.remote)
	}
	w := wrapped{name: f.name, pins: f.name}
	if f.name == "" {
		w.name = wrap.RemoteName(u)
		w.pins = unnamedRemotePins(w.name, u)
	}
	w.remote, err = f.remote.apply(wrap.Remote{URL: f.remote.url})
	return w, err
}

func matchRemote(c *config, name string, u *url.URL) (*server, error) {
	names := make([]string, 0, len(c.Servers))
	var same []*server
	for i := range c.Servers {
		s := &c.Servers[i]
		names = append(names, s.Name)
		if name != "" && s.Name == name {
			return s, s.mayBeAt(c.Path, u)
		}
		if s.URL != "" && sameURL(s.URL, u) {
			same = append(same, s)
		}
	}
	switch {
	case name != "":
		return nil, fmt.Errorf("wrap: %s has no server %q: it has %s", c.Path, name, choices(names))
	case len(same) == 1:
		return same[0], nil
	case len(same) > 1:
		return nil, fmt.Errorf("wrap: several servers of %s have the URL %q: say which with --name", c.Path, shownURL(u))
	default:
		return nil, fmt.Errorf("wrap: no server of %s has the URL %q: say which with --name (%s), or add an entry", c.Path, shownURL(u), choices(names))
	}
}

// mayBeAt refuses to take an entry for another server than its own: that would get its credentials.
func (s *server) mayBeAt(file string, u *url.URL) error {
	switch {
	case s.Command != "":
		return fmt.Errorf("wrap: entry %q of %s starts a command: leave --url out, or name another entry", s.Name, file)
	case s.URL != "" && !sameURL(s.URL, u):
		return fmt.Errorf("wrap: entry %q of %s has another URL than %q: leave --url out, or name another entry", s.Name, file, shownURL(u))
	}
	return nil
}

// remoteEntry is what an entry with a URL, or with rules for one, says of a server; flags say more.
func remoteEntry(s *server, f remoteFlags) (wrapped, error) {
	w := wrapped{name: s.Name, pins: s.Name, policy: s.Policy}
	r := wrap.Remote{URL: s.URL, Headers: map[string]string{}}
	if s.URL == "" {
		r.URL = f.url
	} else {
		r.Timeout = s.RequestTimeout
	}
	for name, value := range s.Headers {
		r.Headers[name] = string(value)
	}
	switch s.Transport {
	case "", transportHTTP:
	case transportSSE:
		r.SSE = true
	default:
		if f.transport == "" {
			return w, fmt.Errorf("wrap: entry %q has transport %q, which wrap does not speak: use http or sse", s.Name, s.Transport)
		}
	}
	var err error
	w.remote, err = f.apply(r)
	return w, err
}

// apply adds what flags say, which goes before what the entry says.
func (f remoteFlags) apply(r wrap.Remote) (*wrap.Remote, error) {
	switch f.transport {
	case "":
	case transportHTTP, transportSSE:
		r.SSE = f.transport == transportSSE
	default:
		return nil, fmt.Errorf("wrap: unknown --transport %q: use http or sse", f.transport)
	}
	given, err := headersOfFlags(f.headers, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	if r.Headers == nil {
		r.Headers = map[string]string{}
	}
	for name, value := range given {
		for other := range r.Headers {
			if strings.EqualFold(other, name) {
				delete(r.Headers, other)
			}
		}
		r.Headers[name] = string(value)
	}
	r.UnsafeHTTP = f.unsafeHTTP
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("wrap: %w", err)
	}
	return &r, nil
}

// headersOfFlags reads `Name: value`, with variables of the environment in the value. Its errors show no value.
func headersOfFlags(flags []string, lookup func(string) (string, bool)) (map[string]secret, error) {
	headers := map[string]secret{}
	seen := map[string]bool{}
	for i, flag := range flags {
		name, value, ok := strings.Cut(flag, ":")
		if !ok {
			return nil, fmt.Errorf("wrap: --header number %d has no colon: write 'Name: value'", i+1)
		}
		name = strings.TrimSpace(name)
		key := strings.ToLower(name)
		if seen[key] {
			return nil, fmt.Errorf("wrap: --header %s is given twice", name)
		}
		seen[key] = true
		value, _, err := expand(strings.TrimSpace(value), lookup)
		if err != nil {
			return nil, fmt.Errorf("wrap: --header %s: %w", name, err)
		}
		headers[name] = secret(strings.TrimSpace(value))
	}
	if err := (server{Headers: headers}).validHeaders(); err != nil {
		return nil, fmt.Errorf("wrap: --header: %w", err)
	}
	return headers, nil
}

func sameURL(entry string, u *url.URL) bool {
	e, err := url.Parse(entry)
	return err == nil && urlPlace(e) == urlPlace(u) && e.RawQuery == u.RawQuery
}

// urlPlace is the URL less its query, with the scheme's port where none is given.
func urlPlace(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port + "/" + strings.TrimPrefix(u.EscapedPath(), "/")
}

// shownURL leaves out what may be secret: a query often carries a key.
func shownURL(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

// unnamedRemotePins names the pins of a server by URL that nobody named. The query is no part of it: a key in it changes,
// and the server stays the same.
func unnamedRemotePins(name string, u *url.URL) string {
	h := sha256.Sum256([]byte(urlPlace(u)))
	return fmt.Sprintf("%s@%x", name, h[:4])
}
