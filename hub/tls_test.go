package hub

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// An authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue returns a certificate for 127.0.0.1 and its key.
func (a *authority) issue(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func put(t *testing.T, name string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A tlsServer is an http.Server with certificates from files.
type tlsServer struct {
	*certificates
	address string
	log     lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func serveTLS(t *testing.T, files TLS) *tlsServer {
	t.Helper()
	s := &tlsServer{}
	var err error
	if s.certificates, err = newCertificates(files, zerolog.New(&s.log)); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	server := &http.Server{
		TLSConfig: s.config(),
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Proto)) }),
		ErrorLog:  log.New(io.Discard, "", 0), ReadHeaderTimeout: 10 * time.Second,
	}
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return s
}

// again lets the next client's connection read the files.
func (s *tlsServer) again() {
	s.mu.Lock()
	s.checked = time.Time{}
	s.mu.Unlock()
}

// shown returns the name in the certificate that a client is shown, or the error of its handshake or first read.
func (s *tlsServer) shown(config *tls.Config) (string, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", s.address, config)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	// With TLS 1.3 a client learns of its refusal only by reading.
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")); err != nil {
		return "", err
	}
	if _, err := conn.Read(make([]byte, 16)); err != nil {
		return "", err
	}
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func (s *tlsServer) wantShown(t *testing.T, config *tls.Config, want string) {
	t.Helper()
	if got, err := s.shown(config); err != nil || got != want {
		t.Errorf("certificate of %q, %v; want %q", got, err, want)
	}
}

func trusting(a *authority) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool}
}

func TestCertificateIsReadAgainWhenItChanges(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	cert, key := ca.issue(t, "first")
	files := TLS{CertFile: put(t, filepath.Join(dir, "cert.pem"), cert), KeyFile: put(t, filepath.Join(dir, "key.pem"), key)}
	s := serveTLS(t, files)
	s.wantShown(t, trusting(ca), "first")

	cert, key = ca.issue(t, "second")
	put(t, files.CertFile, cert)
	s.again()
	s.wantShown(t, trusting(ca), "first") // the key is still the old one's
	s.again()
	s.wantShown(t, trusting(ca), "first")
	if got := s.log.count("the old one stays"); got != 1 {
		t.Errorf("said %d times that the pair does not fit, want once", got)
	}
	if err := s.reload(); err == nil {
		t.Error("a reload with a pair that does not fit: no error")
	}
	put(t, files.KeyFile, key)
	s.again()
	s.wantShown(t, trusting(ca), "second")

	for name, content := range map[string][]byte{"garbage": []byte("no PEM"), "empty": nil, "large": bytes.Repeat([]byte("x"), maxPEM+1)} {
		put(t, files.CertFile, content)
		s.again()
		s.wantShown(t, trusting(ca), "second")
		if err := s.reload(); err == nil {
			t.Errorf("a reload with a file that is %s: no error", name)
		}
	}
	if err := os.Remove(files.KeyFile); err != nil {
		t.Fatal(err)
	}
	s.again()
	s.wantShown(t, trusting(ca), "second")

	cert, key = ca.issue(t, "third")
	put(t, files.CertFile, cert)
	put(t, files.KeyFile, key)
	if err := s.reload(); err != nil {
		t.Error(err)
	}
	s.wantShown(t, trusting(ca), "third")
}

func TestFilesAreNotReadForEveryClient(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	cert, key := ca.issue(t, "first")
	files := TLS{CertFile: put(t, filepath.Join(dir, "cert.pem"), cert), KeyFile: put(t, filepath.Join(dir, "key.pem"), key)}
	s := serveTLS(t, files)
	cert, key = ca.issue(t, "second")
	put(t, files.CertFile, cert)
	put(t, files.KeyFile, key)
	s.mu.Lock()
	s.checked = time.Now().Add(time.Hour) // a moment ago, for as long as the test takes
	s.mu.Unlock()
	s.wantShown(t, trusting(ca), "first")
}

func TestClientCertificates(t *testing.T) {
	ca, other, dir := newAuthority(t), newAuthority(t), t.TempDir()
	cert, key := ca.issue(t, "server")
	clients := filepath.Join(dir, "clients.pem")
	s := serveTLS(t, TLS{
		CertFile:     put(t, filepath.Join(dir, "cert.pem"), cert),
		KeyFile:      put(t, filepath.Join(dir, "key.pem"), key),
		ClientCAFile: put(t, clients, ca.pem),
	})
	with := func(a *authority) *tls.Config {
		config := trusting(ca)
		pair, err := tls.X509KeyPair(a.issue(t, "client"))
		if err != nil {
			t.Fatal(err)
		}
		// Whatever authorities the server names: a client that means harm does not look at them.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		return config
	}
	ours, theirs := with(ca), with(other)
	s.wantShown(t, ours, "server")
	for name, config := range map[string]*tls.Config{"none": trusting(ca), "another authority's": theirs} {
		if _, err := s.shown(config); err == nil {
			t.Errorf("a client with the certificate %s was let in", name)
		}
	}

	// A session of before must not open the door to a client whose authority is no longer trusted.
	ours.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	s.wantShown(t, ours, "server")
	put(t, clients, other.pem)
	s.again()
	s.wantShown(t, theirs, "server")
	if _, err := s.shown(ours); err == nil {
		t.Error("a client of the authority before was let in")
	}
	put(t, clients, []byte("# nobody\n"))
	if err := s.reload(); err == nil {
		t.Error("a file without an authority: no error")
	}
	s.wantShown(t, theirs, "server")
}

func TestOldTLSIsRefusedAndHTTP2IsSpoken(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	cert, key := ca.issue(t, "server")
	s := serveTLS(t, TLS{CertFile: put(t, filepath.Join(dir, "c"), cert), KeyFile: put(t, filepath.Join(dir, "k"), key)})
	old := trusting(ca)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err := s.shown(old); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	for _, want := range []string{"HTTP/1.1", "HTTP/2.0"} {
		transport := &http.Transport{TLSClientConfig: trusting(ca), ForceAttemptHTTP2: want == "HTTP/2.0"}
		resp, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get("https://" + s.address)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		transport.CloseIdleConnections()
		if resp.Proto != want {
			t.Errorf("spoke %s, want %s", resp.Proto, want)
		}
	}
}

func TestMissingCertificateStopsTheStart(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	cert, key := ca.issue(t, "server")
	good := TLS{CertFile: put(t, filepath.Join(dir, "c"), cert), KeyFile: put(t, filepath.Join(dir, "k"), key)}
	other, _ := ca.issue(t, "other")
	for name, files := range map[string]TLS{
		"no file":        {CertFile: filepath.Join(dir, "none"), KeyFile: good.KeyFile},
		"no key":         {CertFile: good.CertFile},
		"another's key":  {CertFile: put(t, filepath.Join(dir, "o"), other), KeyFile: good.KeyFile},
		"no client CA":   {CertFile: good.CertFile, KeyFile: good.KeyFile, ClientCAFile: filepath.Join(dir, "none")},
		"key for the CA": {CertFile: good.CertFile, KeyFile: good.KeyFile, ClientCAFile: good.KeyFile},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newCertificates(files, zerolog.Nop())
			if err == nil || strings.Contains(err.Error(), "PRIVATE") {
				t.Errorf("got %v", err)
			}
		})
	}
}
