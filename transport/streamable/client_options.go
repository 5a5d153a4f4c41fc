package streamable

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	defaultMaxMessage  = 64 << 20 // bytes, as of stdio
	defaultTimeout     = 60 * time.Second
	defaultIdleTimeout = 60 * time.Second
	defaultMaxIdle     = 1024 // what does not fit is dialed again and again: it must be as large as the load

	dialTimeout = 10 * time.Second // with the TLS handshake
)

// ClientOptions say how one server is reached.
type ClientOptions struct {
	URL     string            // http or https, without user and password
	Headers map[string]string // sent with every request; Host replaces the URL's

	MaxMessage  int           // bytes of one message of the server; 0: 64 MiB
	MaxDepth    int           // nesting of one message; 0: jsonrpc.DefaultMaxDepth
	Timeout     time.Duration // that may pass without a byte, per request; 0: a minute
	IdleTimeout time.Duration // after which a connection that nobody uses is closed; 0: a minute
	MaxIdle     int           // connections that are kept while nobody uses them; 0: 1024

	TLS  *tls.Config                                                          // nil: the system's authorities
	Dial func(ctx context.Context, network, address string) (net.Conn, error) // nil: the network; proxies of the environment are not used
}

func (o ClientOptions) withDefaults() ClientOptions {
	if o.MaxMessage <= 0 {
		o.MaxMessage = defaultMaxMessage
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = defaultIdleTimeout
	}
	if o.MaxIdle <= 0 {
		o.MaxIdle = defaultMaxIdle
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	return o
}

// An origin is where requests go, and what is the same in all of them.
type origin struct {
	address         string      // host:port
	tls             *tls.Config // nil: plain
	post, get, drop []byte      // heads up to the fields that differ from request to request
}

// newOrigin checks what is asked for. Its errors show neither the URL nor a header's value: both may hold secrets.
func newOrigin(o ClientOptions) (origin, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return origin{}, errors.New("parse URL: it is none")
	}
	port := u.Port()
	switch u.Scheme {
	case "http":
		port = cmp.Or(port, "80")
	case "https":
		port = cmp.Or(port, "443")
	default:
		return origin{}, errors.New("the URL must begin with http:// or https://")
	}
	target, host := u.RequestURI(), u.Host
	if u.User != nil {
		return origin{}, errors.New("the URL holds a user: put credentials into headers")
	}
	if u.Hostname() == "" || !visible(host) || !visible(target) {
		return origin{}, errors.New("the URL has no host, or characters that must be escaped")
	}
	fixed, host, err := staticHead(o.Headers, host)
	if err != nil {
		return origin{}, err
	}
	head := func(method, fields string) []byte {
		return []byte(method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + fixed + fields)
	}
	from := origin{
		address: net.JoinHostPort(u.Hostname(), port),
		post:    head("POST", "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"),
		get:     head("GET", "Accept: text/event-stream\r\n"),
		drop:    head("DELETE", ""),
	}
	if u.Scheme == "https" {
		from.tls = tlsConfig(o.TLS, u.Hostname())
	}
	return from, nil
}

func tlsConfig(given *tls.Config, name string) *tls.Config {
	config := given.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if config.ServerName == "" {
		config.ServerName = name
	}
	if config.MinVersion < tls.VersionTLS12 {
		config.MinVersion = tls.VersionTLS12
	}
	if config.ClientSessionCache == nil {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	config.NextProtos = []string{"http/1.1"}
	return config
}

// ours are the fields that say what is sent, so nobody else can.
var ours = []string{
	"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "keep-alive",
	"last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id", "te", "traceparent", "tracestate", "trailer",
	"transfer-encoding", "upgrade",
}

// CheckHeader returns why a header cannot be sent with every request, nil if it can. The error names no value, which may be a
// secret.
func CheckHeader(name, value string) error {
	lower := strings.ToLower(name)
	switch {
	case !token(name):
		return errors.New("is no header name")
	case slices.Contains(ours, lower):
		return errors.New("is set by the transport: remove it")
	case !fieldValue(value):
		return errors.New("holds a control character such as a line break or NUL, or has space around it")
	case lower == "host" && !visible(value):
		return errors.New("is no host")
	}
	return nil
}

// staticHead returns the header lines of every request, and the host.
func staticHead(headers map[string]string, host string) (lines, as string, err error) {
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names) // the same configuration makes the same bytes
	var b strings.Builder
	b.WriteString("Accept-Encoding: identity\r\n")
	agent := "User-Agent: mcpx\r\n"
	for _, name := range names {
		value := headers[name]
		if err := CheckHeader(name, value); err != nil {
			return "", "", fmt.Errorf("header %q: %w", name, err)
		}
		switch strings.ToLower(name) {
		case "host":
			host = value
			continue
		case "user-agent":
			agent = ""
		}
		b.WriteString(name + ": " + value + "\r\n")
	}
	return agent + b.String(), host, nil
}

// token reports whether text is one of RFC 9110 section 5.6.2.
func token[T string | []byte](text T) bool {
	for i := range len(text) {
		if !tokenBytes[text[i]] {
			return false
		}
	}
	return len(text) > 0
}

var tokenBytes = func() (table [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		table[c] = true
	}
	return table
}()

// visible reports whether text is visible ASCII and nothing else.
func visible[T string | []byte](text T) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return len(text) > 0
}

// fieldValue reports whether text can stand in a header as it is (RFC 9110 section 5.5).
func fieldValue[T string | []byte](text T) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return len(text) == 0 || text[0] > ' ' && text[len(text)-1] > ' '
}
