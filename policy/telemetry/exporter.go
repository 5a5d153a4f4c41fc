package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

// How the exporter treats a collector that does not take what it is given.
const (
	maxAttempts  = 5
	firstBackoff = time.Second // doubled with each attempt, and half of it by chance
	maxBackoff   = 16 * time.Second
	maxReply     = 64 << 10 // bytes of an answer that are read
	maxFile      = 1 << 20  // bytes of a PEM file
)

// An exporter posts messages to one address (OTLP 1.x, "OTLP/HTTP"). It is safe for concurrent use.
type exporter struct {
	target  target
	agent   string
	http    *http.Client
	life    context.Context // ends when there is no time left for what is under way
	leaving <-chan struct{} // closed when nothing is tried twice any more
	backoff time.Duration
}

// newExporter reads the certificates of a target; it connects to nobody.
func newExporter(life context.Context, t target, agent string, leaving <-chan struct{}) (*exporter, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.authority != "" {
		text, err := readFile(t.authority)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read the authority of the collector: %q holds no certificate", t.authority)
		}
	}
	if t.certificate != "" || t.key != "" {
		certificate, err := readFile(t.certificate)
		if err != nil {
			return nil, err
		}
		key, err := readFile(t.key)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("read the certificate for the collector %q: %w", t.certificate, err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return &exporter{
		target: t, agent: agent, life: life, leaving: leaving, backoff: firstBackoff,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, TLSClientConfig: conf, ForceAttemptHTTP2: true,
				MaxIdleConns: 2, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 32 << 10,
			},
			// A redirect would take the headers, which may hold a credential, to whoever it names.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a certificate for the collector: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read a certificate for the collector: %w", err)
	}
	return text, nil
}

// A passingError may be gone when the same is sent again.
type passingError struct {
	error
	after time.Duration // what the collector wants us to wait; 0: it says nothing
}

func (e *passingError) Unwrap() error { return e.error }

// send brings a message to the collector, in several attempts where that may help, and returns what it has to say.
func (e *exporter) send(ctx context.Context, m message) (refusal, error) {
	body, err := e.compress(m)
	if err != nil {
		return refusal{}, err
	}
	for attempt := 1; ; attempt++ {
		refused, err := e.post(ctx, body)
		passing, ok := errors.AsType[*passingError](err)
		if !ok || attempt == maxAttempts {
			return refused, err
		}
		wait := min(e.backoff<<(attempt-1), maxBackoff)
		wait = max(wait/2+rand.N(wait/2+1), passing.after) //nolint:gosec // spreads load, guards nothing
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return refusal{}, err
		}
		select {
		case <-ctx.Done():
			return refusal{}, err
		case <-e.leaving:
			return refusal{}, err
		case <-time.After(wait):
		}
	}
}

func (e *exporter) compress(m message) ([]byte, error) {
	if !e.target.gzip {
		return m, nil
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(m)
	if err = errors.Join(err, z.Close()); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return b.Bytes(), nil
}

// post is one attempt.
func (e *exporter) post(ctx context.Context, body []byte) (refusal, error) {
	ctx, cancel := context.WithTimeout(ctx, e.target.timeout)
	defer cancel()
	defer context.AfterFunc(e.life, cancel)()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.target.url, bytes.NewReader(body))
	if err != nil {
		return refusal{}, withoutURL(err)
	}
	for name, value := range e.target.headers {
		r.Header.Set(name, value)
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("User-Agent", e.agent)
	if e.target.gzip {
		r.Header.Set("Content-Encoding", "gzip")
	}
	answer, err := e.http.Do(r)
	if err != nil {
		return refusal{}, &passingError{error: withoutURL(err)}
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxReply)) // half of it says nothing, see readRefusal
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return refusal{}, &passingError{fmt.Errorf("the collector answers %d", answer.StatusCode), retryAfter(answer.Header.Get("Retry-After"))}
	default:
		if answer.StatusCode/100 != 2 {
			return refusal{}, fmt.Errorf("the collector answers %d", answer.StatusCode)
		}
		return readRefusal(text), nil
	}
}

// withoutURL leaves out the address, whose path may hold a credential: some collectors want theirs there.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// retryAfter reads the header of that name: seconds, or a date (RFC 9110, section 10.2.3).
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(date))
	}
	return 0
}

func (e *exporter) close() { e.http.CloseIdleConnections() }
