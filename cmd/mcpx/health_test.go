package main

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHealthAsksTheConfiguredAddress(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080/healthz",
		":9000":          "http://127.0.0.1:9000/healthz",
		"0.0.0.0:9000":   "http://127.0.0.1:9000/healthz",
		"[::]:9000":      "http://[::1]:9000/healthz",
		"192.0.2.1:80":   "http://192.0.2.1:80/healthz",
		"localhost:80":   "http://localhost:80/healthz",
	} {
		c := defaults()
		c.Listen = listen
		if p, err := newHealthProbe(c); err != nil || p.url != want {
			t.Errorf("%s: %s, %v; want %s", listen, p.url, err, want)
		}
	}
}

func TestHealthTellsUpFromDown(t *testing.T) {
	status := http.StatusOK
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			t.Errorf("asks for %s", r.URL)
		}
		w.WriteHeader(status)
	})
	plain, secure := httptest.NewServer(serve), httptest.NewTLSServer(serve)
	mutual := httptest.NewUnstartedServer(serve)
	mutual.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	mutual.StartTLS()
	for _, server := range []*httptest.Server{plain, secure, mutual} {
		server.Config.ErrorLog = nil
		defer server.Close()
	}
	leaf := secure.Certificate().Raw // the same for all of httptest
	address := func(s *httptest.Server) string { return s.URL + "/healthz" }
	closed := freeAddress(t)
	for _, test := range []struct {
		name   string
		probe  healthProbe
		status int
		want   string // in the error; "": none
	}{
		{"up", healthProbe{url: address(plain)}, 200, ""},
		{"failing", healthProbe{url: address(plain)}, 503, "503 Service Unavailable"},
		{"elsewhere", healthProbe{url: address(plain)}, 302, "302"},
		{"nobody", healthProbe{url: "http://" + closed + "/healthz"}, 200, "connect"},
		{"its certificate", healthProbe{url: address(secure), leaf: leaf}, 200, ""},
		{"another certificate", healthProbe{url: address(secure), leaf: []byte("other")}, 200, "not the one of the configuration"},
		{"no certificate to compare", healthProbe{url: address(secure)}, 200, "certificate"},
		{"wants ours, which we lack", healthProbe{url: address(mutual), leaf: leaf, mtls: true}, 200, ""},
		{"wants ours unexpectedly", healthProbe{url: address(mutual), leaf: leaf}, 200, "certificate"},
	} {
		status = test.status
		err := test.probe.run(t.Context())
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

// TestHealthOverTLSKnowsTheCertificate goes the whole way from a configuration.
func TestHealthOverTLSKnowsTheCertificate(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	folder := t.TempDir()
	write := func(name string, text []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	write("mcpx.yaml", []byte("listen: "+server.Listener.Addr().String()+"\ntls: { cert_file: cert.pem, key_file: key.pem }\n"+oneServer))
	var out, stderr bytes.Buffer
	a := &app{out: &out, err: &stderr}
	start := time.Now()
	code := a.run([]string{"health", "-c", filepath.Join(folder, "mcpx.yaml")})
	if want := "is not healthy: it answers 404 Not Found"; code != exitFailure || !strings.Contains(stderr.String(), want) {
		t.Errorf("code %d after %v: %s", code, time.Since(start), stderr.String())
	}
}
