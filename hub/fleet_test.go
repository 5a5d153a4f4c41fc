package hub_test

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// A team is a hub with a store, on the network and on its own socket.
type team struct {
	*gateway
	store  *store.Store
	key    uplink.Key
	local  string // path of the socket, or address of the local listener
	broken *atomic.Bool
	pins   *integrity.File
}

// A teamOption changes how a team starts.
type teamOption func(*hub.Options, *audit.Options)

func startTeam(t *testing.T, cfg hub.Config, options ...teamOption) *team {
	t.Helper()
	dir := shortDir(t)
	g := &team{gateway: &gateway{t: t, record: new(syncBuffer), log: new(syncBuffer)}, local: filepath.Join(dir, "s", "hub.sock"), broken: new(atomic.Bool)}
	var err error
	if g.store, err = store.Open(t.Context(), store.Options{Path: filepath.Join(dir, "hub.db")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.store.Close() })
	if g.pins, err = integrity.Open(filepath.Join(dir, "mcpx.lock")); err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	g.key = uplink.PublicKey(key)
	listening := make(chan string, 1)
	opt := hub.Options{
		Log: zerolog.New(g.log), Version: "test", Store: g.store, Key: key,
		Pins:    func(server string) (*integrity.Pins, error) { return g.pins.Server(server, cfg.Inspection), nil },
		Started: func(addr string) { listening <- addr },
	}
	logging := audit.Options{Config: audit.Config{Output: "stderr"}, Stderr: fragile{g.record, g.broken}, Source: "hub"}
	for _, change := range options {
		change(&opt, &logging)
	}
	record, err := audit.Open(logging)
	if err != nil {
		t.Fatal(err)
	}
	opt.Record = record
	if opt.Local == nil {
		if opt.Local, err = hub.ListenSocket(g.local); err != nil {
			t.Fatal(err)
		}
	} else {
		g.local = opt.Local.Addr().String()
	}
	if g.hub, err = hub.New(t.Context(), cfg, opt); err != nil {
		t.Fatal(err)
	}
	g.url, g.stop = serveUntilEnd(t, g.hub, listening, record)
	return g
}

// shortDir is a folder whose path leaves room for the name of a socket.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mcpx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A fragile writer can be made to fail.
type fragile struct {
	to     io.Writer
	broken *atomic.Bool
}

func (f fragile) Write(p []byte) (int, error) {
	if f.broken.Load() {
		return 0, errors.New("the disk is full")
	}
	return f.to.Write(p)
}

// token makes a hub token and returns its header.
func (g *team) token(token store.Token) string {
	g.t.Helper()
	secret, err := g.store.CreateToken(g.t.Context(), token)
	if err != nil {
		g.t.Fatal(err)
	}
	return "Authorization: Bearer " + secret
}

// client returns a client of the hub's own user.
func (g *team) client() *uplink.Client {
	g.t.Helper()
	c, err := uplink.NewClient(uplink.Options{Socket: g.local, Version: "test"})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(c.Close)
	return c
}

// clientOf returns a client over the network.
func (g *team) clientOf(header string) *uplink.Client {
	g.t.Helper()
	_, secret, _ := strings.Cut(header, "Bearer ")
	c, err := uplink.NewClient(uplink.Options{URL: g.url, Version: "test", Token: func() (string, error) { return secret, nil }})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(c.Close)
	return c
}

// metric returns the value of a series, "" if it is not there.
func (g *team) metric(series string) string {
	g.t.Helper()
	for line := range strings.SplitSeq(g.do("GET", "/metrics", "").body, "\n") {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return value
		}
	}
	return ""
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("within 10 s there was not %s", what)
		case <-tick.C:
		}
	}
}

// toolOf is a definition as backends have it, and its digest.
func toolOf(t testing.TB, name, description string) (definition, digest string) {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"name": name, "description": description, "inputSchema": map[string]any{"type": "object"}})
	if err != nil {
		t.Fatal(err)
	}
	digest, err = integrity.DigestOf(integrity.Target{Kind: integrity.Tools, Name: name}, raw)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw), digest
}
