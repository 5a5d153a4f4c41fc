package streamable

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A session is what a legacy server has told in its answer to initialize. It does not change.
type session struct {
	id    string // "": the server keeps none
	lines string // the headers of all later requests
}

func newSession(id string, version []byte) *session {
	s := &session{id: id}
	if id != "" {
		s.lines = headerSession + ": " + id + "\r\n"
	}
	if visible(version) {
		s.lines += headerVersion + ": " + string(version) + "\r\n"
	}
	return s
}

type paramsKey struct{}

// WithParams returns a context whose requests carry these headers besides: name, value, name, value… They are meant to be
// the Mcp-Param-* headers of a client's own request, which an intermediary must pass on (2026-07-28, Streamable HTTP,
// "Server Behavior for Custom Headers").
func WithParams(ctx context.Context, pairs []string) context.Context {
	return context.WithValue(ctx, paramsKey{}, pairs)
}

// post makes the head of the request that carries m.
func (x *exchange) post(ctx context.Context, m *jsonrpc.Message) error {
	b := append(x.out[:0], x.pool.origin.post...)
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(m.Raw)), 10)
	b = append(b, "\r\n"...)
	x.session = nil
	version, named := m.Text(jsonrpc.MetaVersion)
	x.modern = named && (m.Kind == jsonrpc.Request || m.Kind == jsonrpc.Notification)
	switch {
	case x.modern:
		var err error
		if b, err = appendMirrored(b, m, version); err != nil {
			return err
		}
	case m.Method != "initialize":
		if x.session = x.client.session.Load(); x.session != nil {
			b = append(b, x.session.lines...)
		}
	}
	b = appendTrace(b, m)
	b, err := appendParams(ctx, b)
	x.out = append(b, "\r\n"...)
	return err
}

// appendTrace appends the trace context of a message, where it has a valid one, as HTTP carries it (W3C Trace Context, section 3).
func appendTrace(b []byte, m *jsonrpc.Message) []byte {
	t := m.TraceContext()
	if t.ID() == nil || len(t.Traceparent) > maxTrace || !visible(t.Traceparent) {
		return b
	}
	b = append(append(append(b, "traceparent: "...), t.Traceparent...), "\r\n"...)
	if len(t.Tracestate) == 0 || len(t.Tracestate) > maxTrace || !plain(t.Tracestate) {
		return b
	}
	return append(append(append(b, "tracestate: "...), t.Tracestate...), "\r\n"...)
}

// bare makes the head of a request without a body, which always belongs to a session.
func (x *exchange) bare(head []byte, after string) {
	b := append(x.out[:0], head...)
	if x.session = x.client.session.Load(); x.session != nil {
		b = append(b, x.session.lines...)
	}
	if after != "" && fieldValue(after) {
		b = append(b, headerLastEvent+": "...)
		b = append(b, after...)
		b = append(b, "\r\n"...)
	}
	x.modern = false
	x.out = append(b, "\r\n"...)
}

// appendMirrored appends what a request without a session says in headers too (2026-07-28, Streamable HTTP, "Standard
// Request Headers"). Its clients have no way to say there what the specification cannot carry.
func appendMirrored(b []byte, m *jsonrpc.Message, version []byte) ([]byte, error) {
	if !visible(version) || !visible(m.Method) {
		return b, &transport.Failure{Cause: transport.Unsupported, Err: transport.Unsent{Err: errors.New("a version or method that no header can carry")}}
	}
	b = append(b, headerVersion+": "...)
	b = append(b, version...)
	b = append(b, "\r\n"+headerMethod+": "...)
	b = append(b, m.Method...)
	b = append(b, "\r\n"...)
	field, has := nameField(m.Method)
	if !has {
		return b, nil
	}
	if name, ok := m.Text(field); ok {
		b = append(b, headerName+": "...)
		b = appendEncoded(b, name)
		b = append(b, "\r\n"...)
	}
	return b, nil
}

// appendEncoded appends a value as a header can carry it ("Value Encoding").
func appendEncoded(b, value []byte) []byte {
	if plain(value) {
		return append(b, value...)
	}
	b = append(b, encodedPrefix...)
	b = base64.StdEncoding.AppendEncode(b, value)
	return append(b, encodedSuffix...)
}

// plain reports whether a header can carry the value as it is: visible ASCII and space between, and no mark of ours.
func plain(value []byte) bool {
	for _, c := range value {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return len(value) == 0 ||
		value[0] != ' ' && value[len(value)-1] != ' ' && (len(value) < len(encodedPrefix) || string(value[:len(encodedPrefix)]) != encodedPrefix)
}

// appendParams appends the headers that the context brings. Nothing in them can become another header.
func appendParams(ctx context.Context, b []byte) ([]byte, error) {
	pairs := ParamsOf(ctx)
	for i := 0; i+1 < len(pairs); i += 2 {
		name, value := pairs[i], pairs[i+1]
		if len(name) <= len(headerParam) || !strings.EqualFold(name[:len(headerParam)], headerParam) || !token(name) || !fieldValue(value) {
			return b, &transport.Failure{Cause: transport.Unsupported, Err: transport.Unsent{Err: errors.New("an Mcp-Param header that is none")}}
		}
		b = append(b, name...)
		b = append(b, ": "...)
		b = append(b, value...)
		b = append(b, "\r\n"...)
	}
	return b, nil
}
