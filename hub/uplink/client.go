package uplink

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// callTimeout bounds each call but Watch.
	callTimeout = time.Minute
	// maxSilence is how long a stream may bring nothing; a hub sends a comment every KeepAlive.
	maxSilence = 3 * KeepAlive
	// zipFrom is the size, in bytes, from which on events are compressed.
	zipFrom = 1 << 10
)

// KeepAlive is how often a hub writes to a stream that has no news.
const KeepAlive = 15 * time.Second

// A Client speaks to one hub. It is safe for concurrent use, and each of its calls ends by itself within a minute, but for Watch.
type Client struct {
	opt     Options
	base    string // of all paths
	agent   string
	http    *http.Client
	silence time.Duration
	zippers zippers
}

// SendEvents sends whole lines of one chain. gap: see HeaderGap. Where the hub wants an earlier event first the error is a
// *BehindError.
func (c *Client) SendEvents(ctx context.Context, chain string, lines []byte, gap bool) (Acknowledgement, error) {
	const what = "send events"
	switch {
	case !ValidChain(chain):
		return Acknowledgement{}, fmt.Errorf("%s: chain %q is not a name", what, chain)
	case len(lines) > MaxBatch:
		return Acknowledgement{}, fmt.Errorf("%s: they have %d bytes, and a hub takes %d at once", what, len(lines), MaxBatch)
	}
	header := http.Header{HeaderChain: {chain}, "Content-Type": {"application/x-ndjson"}}
	if gap {
		header.Set(HeaderGap, GapDeclared)
	}
	body := lines
	if len(lines) >= zipFrom {
		var err error
		if body, err = c.zippers.zip(lines); err != nil {
			return Acknowledgement{}, fmt.Errorf("%s: %w", what, err)
		}
		header.Set(encodingHeader, encodingGzip)
	}
	if len(body) > MaxBatchBody {
		return Acknowledgement{}, fmt.Errorf("%s: they have %d bytes compressed, and a hub takes %d at once", what, len(body), MaxBatchBody)
	}
	var ack Acknowledgement
	err := c.call(ctx, what, request{method: http.MethodPost, path: PathEvents, header: header, body: body, behind: true}, &ack)
	return ack, err
}

// Heartbeat says that a wrapper is alive.
func (c *Client) Heartbeat(ctx context.Context, p Presence) error {
	return c.post(ctx, "say that we are alive", PathAlive, p)
}

// Policy gets the signed bundle of a server; nil if it is still the one with this ETag.
func (c *Client) Policy(ctx context.Context, server, etag string) (document []byte, newTag string, err error) {
	const what = "get policy"
	path, err := under(PathPolicy, server)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", what, err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	header := http.Header{}
	if etag != "" {
		header.Set("If-None-Match", etag)
	}
	response, err := c.do(ctx, what, request{method: http.MethodGet, path: path, header: header})
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	defer drain(response.Body)
	if response.StatusCode == http.StatusNotModified && etag != "" {
		return nil, etag, nil
	}
	if response.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("%s: %w", what, refusal(response))
	}
	document, err = readAll(response.Body, response.ContentLength, MaxDocument)
	if err != nil {
		return nil, "", fmt.Errorf("%s: read answer: %w", what, err)
	}
	return document, response.Header.Get("ETag"), nil
}

// Propose tells the hub what a wrapper has seen.
func (c *Client) Propose(ctx context.Context, s Sightings) error {
	path, err := under(PathPins, s.Server)
	if err != nil {
		return fmt.Errorf("propose pins: %w", err)
	}
	return c.post(ctx, "propose pins", path, s)
}

// Identity asks who we are to the hub.
func (c *Client) Identity(ctx context.Context) (Identity, error) {
	var id Identity
	err := c.call(ctx, "ask who we are", request{method: http.MethodGet, path: PathHub}, &id)
	return id, err
}

// Fleet, Events, Review, Approve, Revoked, Revoke and Restore are for administrators.
func (c *Client) Fleet(ctx context.Context) (Fleet, error) {
	var f Fleet
	err := c.call(ctx, "list wrappers", request{method: http.MethodGet, path: PathWrappers}, &f)
	return f, err
}

// Review returns what was proposed for a server, for all servers with "".
func (c *Client) Review(ctx context.Context, server string) ([]Review, error) {
	var reviews []Review
	err := c.list(ctx, "list proposed pins", PathPins, server, &reviews)
	return reviews, err
}

// Approve approves definitions of a server for all.
func (c *Client) Approve(ctx context.Context, server string, a Approval) error {
	path, err := under(PathPins, server)
	if err != nil {
		return fmt.Errorf("approve pins: %w", err)
	}
	return c.post(ctx, "approve pins", path+"/approve", a)
}

// Revoked returns what was taken away, by server: of one server, or of all with "".
func (c *Client) Revoked(ctx context.Context, server string) (map[string][]Revocation, error) {
	var revoked map[string][]Revocation
	err := c.list(ctx, "list revoked tools", PathRevoke, server, &revoked)
	return revoked, err
}

// Revoke takes a tool away from everybody.
func (c *Client) Revoke(ctx context.Context, server string, r Revocation) error {
	path, err := under(PathRevoke, server)
	if err != nil {
		return fmt.Errorf("revoke tool: %w", err)
	}
	return c.post(ctx, "revoke tool", path, r)
}

// Restore gives it back.
func (c *Client) Restore(ctx context.Context, server, tool string) error {
	const what = "restore tool"
	path, err := under(PathRevoke, server)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if tool == "" {
		return fmt.Errorf("%s: it has no name", what)
	}
	return c.call(ctx, what, request{method: http.MethodDelete, path: path + "/" + escape(tool)}, nil)
}

// list gets what there is about a server, or about all.
func (c *Client) list(ctx context.Context, what, path, server string, answer any) error {
	if server != "" {
		var err error
		if path, err = under(path, server); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return c.call(ctx, what, request{method: http.MethodGet, path: path}, answer)
}

// under returns the path of a call about a server.
func under(path, server string) (string, error) {
	if !ValidServer(server) {
		return "", fmt.Errorf("server %q is not a name that a hub takes: it may have up to %d letters, digits, _, -, . and @", server, maxServer)
	}
	return path + escape(server), nil
}

// escape makes one segment of a path, also of "..", which would lead elsewhere.
func escape(segment string) string {
	escaped := url.PathEscape(segment)
	if strings.Trim(escaped, ".") == "" {
		escaped = strings.ReplaceAll(escaped, ".", "%2E")
	}
	return escaped
}

// A request is what do sends.
type request struct {
	method, path string
	header       http.Header
	body         []byte // nil: none
	behind       bool   // 409 is an Acknowledgement
}

// post sends a document, whose answer says nothing.
func (c *Client) post(ctx context.Context, what, path string, document any) error {
	body, err := Encode(document)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if len(body) > MaxDocument {
		return fmt.Errorf("%s: it would have %d bytes, and a hub takes %d", what, len(body), MaxDocument)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	return c.call(ctx, what, request{method: http.MethodPost, path: path, header: header, body: body}, nil)
}

// call makes one call and reads its answer, unless that is nil.
func (c *Client) call(ctx context.Context, what string, r request, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := c.do(ctx, what, r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	defer drain(response.Body)
	switch status := response.StatusCode; {
	case status == http.StatusConflict && r.behind:
		var ack Acknowledgement
		data, err := readAll(response.Body, response.ContentLength, maxEnvelope)
		if err == nil {
			err = decodeAnswer(data, &ack)
		}
		if err != nil {
			return fmt.Errorf("%s: read answer 409: %w", what, err)
		}
		return fmt.Errorf("%s: %w", what, &BehindError{Acked: ack.Acked})
	case status < 200 || status > 299:
		return fmt.Errorf("%s: %w", what, refusal(response))
	case answer == nil:
		return nil
	}
	data, err := readAll(response.Body, response.ContentLength, MaxDocument)
	if err == nil {
		err = decodeAnswer(data, answer)
	}
	if err != nil {
		return fmt.Errorf("%s: read answer: %w", what, err)
	}
	return nil
}

// do sends a request; the caller closes the answer's body.
func (c *Client) do(ctx context.Context, what string, r request) (*http.Response, error) {
	to, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if r.header != nil {
		to.Header = r.header
	}
	to.Header.Set("User-Agent", c.agent)
	if c.opt.Token != nil {
		token, err := c.opt.Token()
		if err != nil {
			return nil, fmt.Errorf("%s: read hub token: %w", what, err)
		}
		if !validToken(token) {
			return nil, fmt.Errorf("%s: the hub token is empty or has characters that no token has: log in again", what)
		}
		to.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.http.Do(to)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, c.unreachable(err))
	}
	return response, nil
}
