//go:build unix

package uplink

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSocket(t *testing.T) {
	folder, err := os.MkdirTemp("", "hub") // t.TempDir is too long for a socket on some systems
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	path := filepath.Join(folder, "hub.sock")
	c := dial(t, Options{Socket: path})
	if _, err := c.Identity(t.Context()); !errors.Is(err, ErrNoHub) {
		t.Errorf("nothing there: %v", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "localhost" || r.Header.Get("Authorization") != "" {
			t.Errorf("host %q, authorization %q", r.Host, r.Header.Get("Authorization"))
		}
		answers(200, `{"principal":"local"}`)(w, r)
	}))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	if id, err := c.Identity(t.Context()); err != nil || id.Principal != LocalPrincipal {
		t.Errorf("got %+v, %v", id, err)
	}
	if err := socketOf(path, os.Geteuid()+1); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("socket of another user: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as kill -9 leaves it
	server.Close()
	if _, err := c.Identity(t.Context()); !errors.Is(err, ErrNoHub) {
		t.Errorf("nobody behind it: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Identity(t.Context()); err == nil || errors.Is(err, ErrNoHub) {
		t.Errorf("no socket: %v", err)
	}
}

func TestLoadKeyRefusesAKeyThatOthersCanRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.key")
	if _, err := LoadKey(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("made as %v, %v", info.Mode(), err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKey(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}
