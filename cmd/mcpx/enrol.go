package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// The words that --hub takes in place of a URL.
const (
	hubNone  = "none"
	hubLocal = audit.LocalHub
)

// A hubTarget is the hub that a wrapper or a command belongs to. It is found without any network or keyring.
type hubTarget struct {
	Destination string                 // of audit chains: the URL, or audit.LocalHub
	URL         string                 // of a team hub
	Socket      string                 // of the local hub
	File        string                 // in place of Socket where the local hub has none: says where it is
	Key         uplink.Key             // that it must sign with; zero: nobody has said
	Principal   string                 // who we are to it; "": nobody has said
	Token       func() (string, error) // may take its time; nil where none is needed, or File has it
	Required    bool                   // nothing may start without its rules
	Pending     int64                  // bytes of audit files that may wait for it
}

// hubFor finds the hub to work with: the one that --hub names, that of the configuration, that of the login, or the local one,
// which may be there or not. It is nil where there is to be none.
func (a *app) hubFor(c *config, flag string) (*hubTarget, error) {
	t := &hubTarget{Required: c.Hub.Required, Pending: c.Hub.Pending}
	named := flag
	if named == "" {
		named = c.Hub.URL
	}
	switch named {
	case hubNone:
		return nil, nil
	case hubLocal:
		return t, t.takeLocal()
	}
	if longestSocket > 0 && filepath.IsAbs(flag) { // of a hub that was started with --socket
		t.Destination, t.Socket = audit.LocalHub, flag
		return t, nil
	}
	enrolled, err := readLogin()
	if err != nil {
		return nil, err
	}
	switch {
	case named == "" && enrolled == nil:
		return t, t.takeLocal()
	case named == "":
		named = enrolled.URL
	default:
		if err := secureURL("url", named); err != nil {
			return nil, fmt.Errorf("the hub's %w", err)
		}
		named = sameHub(named)
	}
	t.URL, t.Destination = named, named
	t.Token = func() (string, error) {
		return "", fmt.Errorf("there is no token for the hub %s: enrol with `mcpx login %s`, or write hub.token_file into the configuration", named, named)
	}
	if enrolled != nil && enrolled.URL == named {
		t.Key, t.Principal, t.Token = enrolled.Key, enrolled.Principal, enrolled.token()
	}
	if c.Hub.URL != "" && sameHub(c.Hub.URL) == named {
		return t, t.configure(c)
	}
	return t, nil
}

// configure takes over what the configuration says of its hub: it goes before what the login says, but for the key, which is
// no matter of opinion.
func (t *hubTarget) configure(c *config) error {
	if c.Hub.Key != "" {
		key, err := uplink.ParseKey(c.Hub.Key)
		if err != nil {
			return fmt.Errorf("hub.key of %s: %w", c.Path, err)
		}
		if !t.Key.IsZero() && t.Key != key {
			return fmt.Errorf("hub.key of %s is not the key that `mcpx login` found at %s: find out which one is right, then change the file or log in again", c.Path, t.URL)
		}
		t.Key = key
	}
	if token := c.Hub.Token; token != "" {
		t.Token, t.Principal = func() (string, error) { return string(token), nil }, ""
	}
	return nil
}

func (t *hubTarget) takeLocal() error {
	door, err := findDoor()
	if err != nil {
		return err
	}
	t.Destination, t.Socket, t.File = audit.LocalHub, door.socket, door.file
	return nil
}

// present reports whether it is worth the while to call the hub: whether something is where a local one would be.
func (t *hubTarget) present() bool {
	if t.URL != "" {
		return true
	}
	_, err := os.Stat(t.Socket + t.File)
	return err == nil
}

// client makes a client of the hub. It dials nothing.
func (t *hubTarget) client() (*uplink.Client, error) {
	opt := uplink.Options{URL: t.URL, Socket: t.Socket, Token: t.Token, Version: buildVersion().Version}
	if t.File != "" {
		address, err := readDoor(t.File)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, uplink.ErrNoHub
		}
		if err != nil {
			return nil, err
		}
		opt.URL = address.URL
		opt.Token = func() (string, error) { return address.Token, nil }
	}
	return uplink.NewClient(opt)
}

func (t *hubTarget) String() string {
	switch {
	case t.URL != "":
		return t.URL
	case t.File != "":
		return t.File
	default:
		return t.Socket
	}
}

// sameHub writes the URL of a hub in the one way in which URLs are compared and remembered.
func sameHub(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if port := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]; port != "" {
		u.Host = strings.TrimSuffix(u.Host, port)
	}
	u.RawQuery, u.Fragment, u.RawPath = "", "", ""
	u.Path = strings.TrimSuffix(path.Clean("/"+u.Path), "/")
	return u.String()
}

// dialPatience is how long a command waits until the hub has said who it is.
const dialPatience = 10 * time.Second

// hubClient finds the hub for a command, and makes sure that it answers and is the one that it should be.
func (a *app) hubClient(flag string) (*uplink.Client, *hubTarget, error) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, nil, err
	}
	t, err := a.hubFor(c, flag)
	if err != nil {
		return nil, nil, err
	}
	if t == nil {
		return nil, nil, fmt.Errorf("--hub %s: this command needs a hub", hubNone)
	}
	client, err := t.client()
	if err != nil {
		return nil, nil, t.explain(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialPatience)
	defer cancel()
	identity, err := client.Identity(ctx)
	if err != nil {
		client.Close()
		return nil, nil, t.explain(err)
	}
	if !t.Key.IsZero() && identity.Key != t.Key {
		client.Close()
		return nil, nil, t.otherKey(identity.Key)
	}
	return client, t, nil
}

func (t *hubTarget) otherKey(got uplink.Key) error {
	return fmt.Errorf("the hub %s signs with another key than it did (%s, not %s): if it was set up anew, log in again with `mcpx login %s`; else somebody stands in its place", t, got, t.Key, t)
}

// explain adds to what went wrong with a hub what to do about it.
func (t *hubTarget) explain(err error) error {
	status, answered := errors.AsType[*uplink.StatusError](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, uplink.ErrNoHub) && t.URL != "":
		return fmt.Errorf("nobody answers at %s: is the hub running, and is that its address? %w", t, err)
	case errors.Is(err, uplink.ErrNoHub):
		return fmt.Errorf("there is no hub at %s: start one with `mcpx hub`, or enrol at your team's with `mcpx login URL`", t)
	case answered && status.Status == http.StatusUnauthorized:
		return fmt.Errorf("the hub %s refuses the token, which may have expired or been revoked: get one with `mcpx hub token create`, then `mcpx login %s`: %w", t, t, err)
	case answered && status.Status == http.StatusNotFound:
		return fmt.Errorf("%s is no hub of mcpx, or one without a store: %w", t, err)
	case answered:
		return err
	default:
		return fmt.Errorf("ask the hub %s: %w", t, err)
	}
}
