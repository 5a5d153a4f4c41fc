package sse

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	// DefaultMaxMessage bounds one message, in bytes.
	DefaultMaxMessage = 64 << 20

	dialTimeout = 30 * time.Second // until the server has named its endpoint
	idleTimeout = 90 * time.Second // of a connection between two messages
	postTimeout = 30 * time.Second // until it has taken a message; the answer comes by the stream
	maxHeader   = 64 << 10         // of a response, in bytes
	maxBody     = 64 << 10         // what is read of the body of a POST's response, which means nothing, in bytes
	maxPreface  = 16               // events before the one that names the endpoint
)

// Options say where the server is. Only URL is required.
type Options struct {
	URL        string            // of the event stream
	Headers    map[string]string // sent with each request, such as credentials
	MaxMessage int               // bytes; 0: DefaultMaxMessage
	MaxDepth   int               // 0: jsonrpc.DefaultMaxDepth
	HTTP       *http.Client      // nil: one of our own; redirects are never followed

	Dial func(ctx context.Context, network, address string) (net.Conn, error) // of our own client; nil: the network
}

// Dial opens a session with a server of the deprecated HTTP+SSE transport. The context bounds the opening, not the session.
//
// There is no way to take up a session again: when its stream ends, Read returns an error that says so.
func Dial(ctx context.Context, opt Options) (transport.Conn, error) {
	base, err := url.Parse(opt.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("open event stream: %q is no http or https URL", opt.URL)
	}
	if opt.MaxMessage <= 0 {
		opt.MaxMessage = DefaultMaxMessage
	}
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	c := &conn{
		opt:     opt,
		http:    client(opt),
		life:    life,
		end:     end,
		scanner: jsonrpc.Scanner{MaxDepth: opt.MaxDepth},
		events:  make(chan []byte),
		taken:   make(chan struct{}),
		failed:  make(chan struct{}, 1),
		ended:   make(chan struct{}),
	}
	impatient := context.AfterFunc(ctx, func() { end(ctx.Err()) })
	late := time.AfterFunc(dialTimeout, func() { end(&transport.Failure{Cause: transport.TimedOut}) })
	err = c.open(base)
	impatient()
	late.Stop()
	if life.Err() != nil {
		err = context.Cause(life)
	}
	if err != nil {
		end(errClosed)
		c.hangUp()
		return nil, fmt.Errorf("open event stream of %q: %w", base.Redacted(), err)
	}
	go c.receive()
	return c, nil
}

// client is a copy that follows no redirect: it would carry our credentials, and the client's messages, elsewhere.
func client(opt Options) *http.Client {
	c := http.Client{Transport: &http.Transport{
		DialContext:            opt.Dial,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  dialTimeout,
		MaxResponseHeaderBytes: maxHeader,
		IdleConnTimeout:        idleTimeout,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}}
	if opt.HTTP != nil {
		c = *opt.HTTP
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Timeout = 0 // it would end the stream
	return &c
}

// hangUp closes connections that nobody else has.
func (c *conn) hangUp() {
	if c.opt.HTTP == nil {
		c.http.CloseIdleConnections()
	}
}

// open asks for the stream and reads it up to the event that names the endpoint.
func (c *conn) open(base *url.URL) error {
	request, err := http.NewRequestWithContext(c.life, http.MethodGet, base.String(), nil)
	if err != nil {
		return err
	}
	c.setHeaders(request)
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Cache-Control", "no-store")
	response, err := c.http.Do(request)
	if err != nil {
		return &transport.Failure{Cause: transport.Unreachable, Err: unwrapURL(err)}
	}
	if err := isStream(response); err != nil {
		response.Body.Close()
		return err
	}
	c.body = response.Body
	c.stream = NewReader(c.body, c.opt.MaxMessage)
	c.endpoint, err = c.readEndpoint(base)
	return err
}

func isStream(r *http.Response) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.StatusCode >= 300 && r.StatusCode < 400:
		return &transport.Failure{Cause: transport.Refused, Status: r.StatusCode,
			Err: fmt.Errorf("it redirects to %q, which is not followed: give that URL if it is right", r.Header.Get("Location"))}
	case r.StatusCode != http.StatusOK:
		return &transport.Failure{Cause: transport.Refused, Status: r.StatusCode}
	case kind != "text/event-stream":
		return &transport.Failure{Cause: transport.BadAnswer, Err: fmt.Errorf("content type %q is no event stream", kind)}
	case r.Header.Get("Content-Encoding") != "":
		return &transport.Failure{Cause: transport.BadAnswer, Err: errors.New("the stream is compressed, which was not asked for")}
	}
	return nil
}

// readEndpoint reads where messages are to be sent: "the server MUST send an `endpoint` event containing a URI".
func (c *conn) readEndpoint(base *url.URL) (string, error) {
	for range maxPreface {
		e, err := c.stream.Next()
		if err != nil {
			return "", &transport.Failure{Cause: transport.BadAnswer, Err: fmt.Errorf("no endpoint event: %w", err)}
		}
		if e.Type != "endpoint" {
			continue
		}
		endpoint, err := base.Parse(strings.TrimSpace(string(e.Data)))
		if err != nil || endpoint.User != nil || origin(endpoint) != origin(base) {
			return "", &transport.Failure{Cause: transport.BadAnswer,
				Err: fmt.Errorf("endpoint %.200q is not of the same origin: messages and credentials are not sent there", e.Data)}
		}
		endpoint.Fragment = ""
		return endpoint.String(), nil
	}
	return "", &transport.Failure{Cause: transport.BadAnswer, Err: errors.New("no endpoint event among the first ones")}
}

// origin is the URL's origin (RFC 6454): scheme, host and port.
func origin(u *url.URL) [3]string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return [3]string{u.Scheme, strings.ToLower(u.Hostname()), port}
}

func (c *conn) setHeaders(r *http.Request) {
	for name, value := range c.opt.Headers {
		r.Header.Set(name, value)
	}
}

// unwrapURL leaves out of an error what net/http puts in front: the URL, which may hold a session's id.
func unwrapURL(err error) error {
	if of, ok := errors.AsType[*url.Error](err); ok {
		return of.Err
	}
	return err
}
