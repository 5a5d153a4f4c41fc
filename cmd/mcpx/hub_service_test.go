package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestGatewayWithoutAPlaceForAStore goes on only where no store was asked for and none has ever been.
func TestGatewayWithoutAPlaceForAStore(t *testing.T) {
	noFolder := func(t *testing.T, state string) { // a file is in the place of the state folder
		if err := os.WriteFile(state, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spoiled := func(t *testing.T, state string) {
		path := filepath.Join(state, hubName, storeName)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name   string
		spoil  func(t *testing.T, state string)
		config config
		goesOn bool
	}{
		{"a gateway, and no place", noFolder, config{Path: "mcpx.yaml"}, true},
		{"no configuration", noFolder, config{}, false},
		{"a store was asked for", noFolder, config{Path: "mcpx.yaml", Store: storeConfig{Path: "/dev/null/hub.db"}}, false},
		{"a store is there, and spoiled", spoiled, config{Path: "mcpx.yaml"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.spoil(t, setAside(t))
			var log bytes.Buffer
			v := new(hubService)
			err := v.openStore(t.Context(), &test.config, &hubSettings{log: zerolog.New(&log)})
			if v.store != nil {
				_ = v.store.Close()
				t.Error("a store was opened")
			}
			if said := strings.Contains(log.String(), "no place for a store"); (err == nil) != test.goesOn || said != test.goesOn {
				t.Errorf("error %v, log %q; goes on: want %v", err, log.String(), test.goesOn)
			}
		})
	}
}

// TestBusyPort has a hub that nobody configured take another port, and one that was told where to listen fail.
func TestBusyPort(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, test := range []struct {
		name         string
		listen, path string
		listens      bool
	}{
		{"nothing said", "", "", true},
		{"by a flag", busy.Addr().String(), "", false},
		{"with a file", "", "mcpx.yaml", false},
	} {
		s := &hubSettings{listen: test.listen, path: test.path, log: zerolog.Nop()}
		got, err := s.listenAt("tcp", busy.Addr().String())
		if (err == nil) != test.listens {
			t.Errorf("%s: error %v", test.name, err)
		}
		if err != nil {
			continue
		}
		if host, _, _ := net.SplitHostPort(got.Addr().String()); host != "127.0.0.1" {
			t.Errorf("%s: listens on %v, beyond this machine", test.name, got.Addr())
		}
		got.Close()
	}
}

// TestPublicURL guesses how others reach a hub, or says nothing.
func TestPublicURL(t *testing.T) {
	for _, test := range []struct {
		listen, cert, want string
	}{
		{"127.0.0.1:8080", "", "http://127.0.0.1:8080"},
		{":8080", "", ""},
		{"127.0.0.1:0", "", ""},
		{"hub.example.com:443", "cert.pem", "https://hub.example.com"},
		{"hub.example.com:8443", "cert.pem", "https://hub.example.com:8443"},
		{":8443", "nowhere.pem", ""},
	} {
		c := &config{Listen: test.listen, TLS: tlsConfig{CertFile: test.cert}}
		if got := c.publicURL(); got != test.want {
			t.Errorf("%+v: got %q", test, got)
		}
	}
}
