package hub

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

const (
	// certificateFresh is how long the files are not looked at again.
	certificateFresh = time.Second
	// maxPEM bounds a certificate file, in bytes.
	maxPEM = 1 << 20
)

// certificates are what the gateway shows to its clients, and asks of them. The files are looked at when a client connects,
// so that whoever renews them need not tell us. What cannot be used is logged, and the old ones stay.
type certificates struct {
	files TLS
	log   zerolog.Logger

	current atomic.Pointer[tls.Config]

	mu      sync.Mutex
	checked time.Time // when the files were read last; guarded by mu
	content [3][]byte // of the files when they were read last, whether it could be used or not; guarded by mu
	problem error     // with that content; guarded by mu
	said    string    // the problem that was logged last; guarded by mu
}

// newCertificates reads the files.
func newCertificates(files TLS, log zerolog.Logger) (*certificates, error) {
	c := &certificates{files: files, log: log}
	if err := c.reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Check reports why the files cannot be used, if they cannot; none are fine.
func (t TLS) Check() error {
	if t == (TLS{}) {
		return nil
	}
	_, err := newCertificates(t, zerolog.Nop())
	return err
}

// config is for http.Server.TLSConfig, to be served with ServeTLS and no file names.
func (c *certificates) config() *tls.Config {
	first := c.current.Load().Clone()
	first.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c.refresh()
		return c.current.Load(), nil
	}
	return first
}

// refresh reads the files again if that was not done a moment ago. What is wrong with them is said once.
func (c *certificates) refresh() {
	if !c.mu.TryLock() {
		return // somebody is at it
	}
	defer c.mu.Unlock()
	if time.Since(c.checked) < certificateFresh {
		return
	}
	err := c.read()
	if err == nil {
		c.said = ""
		return
	}
	if c.said != err.Error() {
		c.said = err.Error()
		c.log.Error().Err(err).Msg("the new certificate cannot be used: the old one stays")
	}
}

// reload reads the files now.
func (c *certificates) reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

// read is called with the lock held.
func (c *certificates) read() error {
	c.checked = time.Now()
	var content [3][]byte
	for i, name := range [...]string{c.files.CertFile, c.files.KeyFile, c.files.ClientCAFile} {
		if name == "" {
			continue
		}
		data, err := readPEM(name)
		if err != nil {
			return err
		}
		content[i] = data
	}
	if slices.EqualFunc(c.content[:], content[:], bytes.Equal) {
		return c.problem
	}
	fresh, err := c.build(content)
	c.content, c.problem = content, err
	if err != nil {
		return err
	}
	if c.current.Swap(fresh) != nil {
		c.log.Info().Time("not_after", fresh.Certificates[0].Leaf.NotAfter).Msg("certificate reloaded")
	}
	return nil
}

func (c *certificates) build(content [3][]byte) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(content[0], content[1])
	if err != nil {
		return nil, fmt.Errorf("load certificate %q with key %q: %w", c.files.CertFile, c.files.KeyFile, err)
	}
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{pair},
		NextProtos:   []string{"h2", "http/1.1"},
	}
	if c.files.ClientCAFile == "" {
		return config, nil
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(content[2]) {
		return nil, fmt.Errorf("load client CA %q: there is no certificate in it", c.files.ClientCAFile)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}

func readPEM(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open certificate file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err != nil {
		return nil, fmt.Errorf("read certificate file: %w", err)
	}
	if len(data) > maxPEM {
		return nil, errors.New("read certificate file: it is larger than a megabyte")
	}
	return data, nil
}
