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
	if err := os.Chmod(folder, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, Options{Socket: path}).Identity(t.Context()); err == nil || !strings.Contains(err.Error(), "others may write") {
		t.Errorf("in a folder like /tmp: %v", err)
	}
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := folderOf(folder, os.Geteuid()+1); os.Geteuid() != 0 && err == nil {
		t.Error("a folder of another user is taken")
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

// Who listens decides, whoever the socket's file and folder belong to.
func TestPeerOfASocket(t *testing.T) {
	folder, err := os.MkdirTemp("", "hub")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	l, err := net.Listen("unix", filepath.Join(folder, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for end, conn := range map[string]net.Conn{"who dials": out, "who listens": in} {
		if err := CheckPeer(conn, os.Geteuid()); err != nil {
			t.Errorf("%s: our own user: %v", end, err)
		}
		if err := CheckPeer(conn, os.Geteuid()+1); canTellPeer && err == nil {
			t.Errorf("%s: another user is taken for us", end)
		}
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
