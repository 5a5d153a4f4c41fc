package uplink

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestURLs(t *testing.T) {
	for _, row := range []struct {
		url string
		ok  bool
	}{
		{"https://hub.example.com", true},
		{"https://hub.example.com:8443/base/", true},
		{"http://127.0.0.1:8080", true},
		{"http://127.1.2.3", true},
		{"http://[::1]:8080", true},
		{"http://localhost:8080", true},
		{"http://LOCALHOST", true},
		{"http://hub.example.com", false},
		{"http://10.0.0.1", false},
		{"http://localhost.example.com", false},
		{"http://127.0.0.1.example.com", false},
		{"http://[::ffff:10.0.0.1]", false},
		{"https://ann:pw@hub.example.com", false},
		{"https://hub.example.com?token=x", false},
		{"https://hub.example.com?", false},
		{"https://hub.example.com#x", false},
		{"https://", false},
		{"hub.example.com", false},
		{"unix:///run/hub.sock", false},
		{"ftp://localhost", false},
		{"https://a\x00b", false},
		{"", false},
	} {
		_, err := NewClient(Options{URL: row.url})
		if (err == nil) != row.ok {
			t.Errorf("%q: %v", row.url, err)
		}
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("%v shows a password", err)
		}
	}
	if _, err := NewClient(Options{URL: "https://x", Socket: "/x"}); err == nil {
		t.Error("took a URL and a socket")
	}
}

func TestLoopbackNamesMustLeadToThisMachine(t *testing.T) {
	if _, err := DialLoopback(t.Context(), "tcp", "192.0.2.1:80"); err == nil || !strings.Contains(err.Error(), "not this machine") {
		t.Errorf("got %v", err)
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(answers(200, `{"principal":"ann"}`)))
	server.Config.ErrorLog = discardLog() // of the handshakes that are meant to fail
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	trusted := server.Client().Transport.(*http.Transport).TLSClientConfig
	if id, err := dial(t, Options{URL: server.URL, TLS: trusted}).Identity(t.Context()); err != nil || id.Principal != "ann" {
		t.Errorf("got %+v, %v", id, err)
	}
	if _, err := dial(t, Options{URL: server.URL}).Identity(t.Context()); err == nil {
		t.Error("an unknown authority is trusted")
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := dial(t, Options{URL: "http://" + l.Addr().String()}).Identity(t.Context()); !errors.Is(err, ErrNoHub) {
		t.Errorf("got %v", err)
	}
}
