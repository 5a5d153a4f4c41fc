package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	dialTimeout   = 10 * time.Second // and as much for TLS
	headerTimeout = 30 * time.Second // until the hub begins to answer
	idleTimeout   = 90 * time.Second // longer than HeartbeatEvery, or each would dial
	pingAfter     = 20 * time.Second // without a byte on HTTP/2, which finds out about a network that is gone
	maxIdle       = 2                // connections
	maxHeader     = 64 << 10         // of an answer, in bytes
	maxDrain      = 4 << 10          // what is read of an answer that nobody wants, so that its connection can be used again
)

// Options say which hub a Client speaks to, and as whom. One of URL and Socket is required.
type Options struct {
	URL     string                 // https://host[/path], or http to this machine
	Socket  string                 // path of the hub's own socket, in place of URL
	Token   func() (string, error) // is asked before each call; nil: none is sent, as with Socket
	Version string                 // of mcpx, for User-Agent
	TLS     *tls.Config            // nil: the system's authorities
}

// NewClient returns a client; nothing is dialled before its first call.
func NewClient(opt Options) (*Client, error) {
	c := &Client{opt: opt, agent: "mcpx", silence: maxSilence}
	if validToken(opt.Version) {
		c.agent += "/" + opt.Version
	}
	t := &http.Transport{
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true, // what we read is what was sent, and is bounded
	}
	switch {
	case (opt.URL == "") == (opt.Socket == ""):
		return nil, errors.New("connect to hub: name its URL or its socket")
	case opt.Socket != "":
		c.base = "http://localhost"
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, opt.Socket) }
	default:
		u, err := parseURL(opt.URL)
		if err != nil {
			return nil, fmt.Errorf("connect to hub: %w", err)
		}
		c.base = strings.TrimSuffix(u.String(), "/")
		if u.Scheme == "http" {
			t.DialContext = DialLoopback
			break
		}
		t.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
		t.Proxy = http.ProxyFromEnvironment
		t.TLSClientConfig = tlsConfig(opt.TLS)
		t.ForceAttemptHTTP2 = true
		t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: dialTimeout}
	}
	c.http = &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // it would carry the token elsewhere
	}
	return c, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// parseURL reads the address of a hub. Its errors do not show it where it may hold a secret.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("its URL cannot be read: give one such as https://hub.example.com")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("its URL holds a user, a query or a fragment: give one such as https://hub.example.com")
	case u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("%q is not a URL such as https://hub.example.com", text)
	case u.Scheme == "http" && !LoopbackHost(u.Hostname()):
		return nil, fmt.Errorf("%q would send the token in the clear: use https, or http to this machine only", text)
	}
	return u, nil
}

// LoopbackHost reports whether a URL's host says that it is this machine. What the name localhost leads to is for DialLoopback to see.
func LoopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.ToLower(host) == "localhost" || err == nil && ip.Zone() == "" && ip.IsLoopback()
}

func tlsConfig(given *tls.Config) *tls.Config {
	config := given.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	return config
}

// DialLoopback dials this machine only: localhost may be a name for something else.
func DialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		if at, err := netip.ParseAddrPort(address); err != nil || !at.Addr().IsLoopback() {
			return fmt.Errorf("%s is not this machine", address)
		}
		return nil
	}}
	return d.DialContext(ctx, network, address)
}

// dialSocket connects to the hub of this user. A socket of anybody else would get this user's events.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	if err := ownSocket(path); err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := CheckPeer(conn, os.Geteuid()); err != nil { // it was put there since
		_ = conn.Close()
		return nil, fmt.Errorf("%w: nothing is sent there", err)
	}
	return conn, nil
}

// unreachable says in short why there is no answer.
func (c *Client) unreachable(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok { // it names the method and URL, which the caller knows
		err = wrapped.Err
	}
	local := c.opt.Socket != "" || strings.HasPrefix(c.base, "http:")
	if local && (errors.Is(err, fs.ErrNotExist) || connectionRefused(err)) {
		return fmt.Errorf("%w: %w", ErrNoHub, err)
	}
	return err
}

// validToken reports whether a text can stand in a header as one word.
func validToken(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return text != ""
}

// drain reads the little that is left of an answer.
func drain(body io.Reader) {
	_, _ = io.CopyN(io.Discard, body, maxDrain) // it is only about the connection
}
