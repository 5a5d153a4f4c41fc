package streamable

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// Revisions that a gateway serves. Those before 2026-07-28 have sessions.
var (
	legacyRevisions = []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"}
	modernRevisions = []string{"2026-07-28"}
)

// modernSince is the first revision without sessions. Revisions are dates, so they compare as text.
const modernSince = "2026-07-28"

// Error codes that only revisions from 2026-07-28 on have (basic, "Error Codes").
const (
	headerMismatch     = -32020
	unsupportedVersion = -32022
)

// Names of headers, as net/http spells them.
const (
	headerVersion   = "Mcp-Protocol-Version"
	headerSession   = "Mcp-Session-Id"
	headerMethod    = "Mcp-Method"
	headerName      = "Mcp-Name"
	headerParam     = "Mcp-Param-"
	headerLastEvent = "Last-Event-Id"
)

// ServerLimits bound what one POST may make us hold.
type ServerLimits struct {
	MaxBody  int // bytes
	MaxDepth int // nesting
}

// An Incoming is the message of a POST, checked as far as that needs no knowledge of sessions. Reset it before it is used again.
type Incoming struct {
	Message jsonrpc.Message // its memory is the Incoming's
	Modern  bool            // a request of revision 2026-07-28 or later, which stands alone
	Session string          // Mcp-Session-Id of a legacy client, "" for none
	Version string          // MCP-Protocol-Version, "" for none
	Params  []string        // Mcp-Param-* headers: name, value, name, value…

	trace   jsonrpc.TraceContext
	body    []byte
	scanner jsonrpc.Scanner
}

// A Rejection is an answer to a POST that holds no message to be judged.
type Rejection struct {
	Status int
	Reason string           // for the record
	Answer *jsonrpc.Message // the error; it carries the request's id where that could be read
}

// ModernHead reports whether a request without a body names a revision that has no sessions.
func ModernHead(h http.Header) bool { return h.Get(headerVersion) >= modernSince }

// Reset makes in ready for the next POST and keeps its memory, unless that is much.
func (in *Incoming) Reset() {
	const most = 4 << 20 // the pool that it waits in gives memory back
	body := in.body
	if cap(body) > most {
		body = nil
	}
	*in = Incoming{body: body[:0], scanner: in.scanner, Params: in.Params[:0]}
}

// Read takes the message out of a POST: nil, or why there is none. What it refuses stands in the transports chapter of the
// specification and, for what two parsers could read differently, in ours.
func (in *Incoming) Read(r *http.Request, limits ServerLimits) *Rejection {
	if status, reason := in.readHead(r.Header); status != 0 {
		return in.reject(status, jsonrpc.InvalidRequest, reason, nil)
	}
	if status, reason := in.readBody(r, limits.MaxBody); status != 0 {
		return in.reject(status, jsonrpc.InvalidRequest, reason, nil)
	}
	in.scanner.MaxDepth = limits.MaxDepth
	m := &in.Message
	_ = in.scanner.Scan(in.body, m) // m carries the fault
	if m.Kind == jsonrpc.Invalid {
		return &Rejection{http.StatusBadRequest, m.Fault.Reason, jsonrpc.NewError(m.ID, m.Fault.Code, "message refused: "+m.Fault.Reason, nil)}
	}
	if in.readTrace(r.Header); in.trace.Traceparent != nil {
		m.Beside = &in.trace
	}
	version, named := m.Text(jsonrpc.MetaVersion)
	in.Modern = in.Version >= modernSince || named
	if in.Modern {
		return in.checkModern(r.Header, version, named)
	}
	if in.Version != "" && !slices.Contains(legacyRevisions, in.Version) {
		return in.reject(http.StatusBadRequest, jsonrpc.InvalidRequest, "MCP-Protocol-Version is none that is served here", nil)
	}
	return nil
}

func (in *Incoming) reject(status, code int, reason string, data []byte) *Rejection {
	var id jsonrpc.ID
	if in.Message.Kind == jsonrpc.Request {
		id = in.Message.ID
	}
	return &Rejection{status, reason, jsonrpc.NewError(id, code, reason, data)}
}

// readHead reads what the headers say beside the message. A header that comes twice could be read either way.
func (in *Incoming) readHead(h http.Header) (status int, reason string) {
	for name, values := range h {
		if !strings.HasPrefix(name, "Mcp-") && name != "Content-Type" && name != "Content-Encoding" {
			continue
		}
		if len(values) > 1 {
			return http.StatusBadRequest, "the header " + name + " comes more than once"
		}
		if strings.HasPrefix(name, headerParam) {
			in.Params = append(in.Params, name, values[0])
		}
	}
	in.Version, in.Session = h.Get(headerVersion), h.Get(headerSession)
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return http.StatusUnsupportedMediaType, "an encoded body is not taken: send it as it is"
	}
	if !jsonBody(h) {
		return http.StatusUnsupportedMediaType, "the Content-Type must be application/json"
	}
	return 0, ""
}

// maxTrace bounds, in bytes, each header of a trace context that is passed on: as much of a tracestate as everybody has to pass on (W3C
// Trace Context, section 3.3.1.5), and of a traceparent far more than any version has.
const maxTrace = 512

// readTrace reads the trace context of the request. One that is not valid, or comes twice, is none.
func (in *Incoming) readTrace(h http.Header) {
	parents := h["Traceparent"]
	if len(parents) != 1 || len(parents[0]) > maxTrace {
		return
	}
	t := jsonrpc.TraceContext{Traceparent: []byte(parents[0])}
	if t.ID() == nil {
		return
	}
	if state := strings.Join(h["Tracestate"], ","); len(state) <= maxTrace {
		t.Tracestate = []byte(state)
	}
	in.trace = t
}

// jsonBody reports whether a body may be taken for JSON. What `curl -d` calls a form is, unless a browser sends it: there it
// would be a way around the preflight request.
func jsonBody(h http.Header) bool {
	value := h.Get("Content-Type")
	switch value {
	case "application/json", "":
		return true
	case "application/x-www-form-urlencoded":
		return len(h["Origin"]) == 0
	}
	media, params, err := mime.ParseMediaType(value)
	charset, given := params["charset"]
	return err == nil && media == "application/json" && (!given || strings.EqualFold(charset, "utf-8"))
}

func (in *Incoming) readBody(r *http.Request, limit int) (status int, reason string) {
	const tooLarge = "the body is too large (limits.max_body)"
	if r.ContentLength > int64(limit) {
		return http.StatusRequestEntityTooLarge, tooLarge
	}
	var err error
	if r.ContentLength >= 0 {
		in.body = slices.Grow(in.body[:0], int(r.ContentLength))[:r.ContentLength]
		_, err = io.ReadFull(r.Body, in.body)
	} else {
		buf := bytes.NewBuffer(in.body[:0])
		_, err = buf.ReadFrom(io.LimitReader(r.Body, int64(limit)+1))
		in.body = buf.Bytes()
	}
	switch {
	case len(in.body) > limit:
		return http.StatusRequestEntityTooLarge, tooLarge
	case err != nil:
		return http.StatusBadRequest, "the body ended too early"
	}
	return 0, ""
}

// checkModern holds the mirrored headers against the body (2026-07-28, Streamable HTTP, "Standard Request Headers"), in the order
// that the specification gives the errors.
func (in *Incoming) checkModern(h http.Header, version []byte, named bool) *Rejection {
	m := &in.Message
	if m.Kind != jsonrpc.Request && m.Kind != jsonrpc.Notification {
		return in.reject(http.StatusBadRequest, jsonrpc.InvalidRequest, "a client has no answers to send in this revision", nil)
	}
	if m.Kind == jsonrpc.Notification && !named {
		version = []byte(in.Version) // only requests must carry _meta
	} else if !named {
		return in.reject(http.StatusBadRequest, jsonrpc.InvalidParams, "_meta lacks io.modelcontextprotocol/protocolVersion", nil)
	}
	if in.Version != string(version) {
		return in.reject(http.StatusBadRequest, headerMismatch, "MCP-Protocol-Version is not what _meta says", nil)
	}
	if !slices.Contains(modernRevisions, in.Version) {
		return in.reject(http.StatusBadRequest, unsupportedVersion, "unsupported protocol version", versionData(version))
	}
	if reason := in.mirrored(h); reason != "" {
		return in.reject(http.StatusBadRequest, headerMismatch, reason, nil)
	}
	capabilities := jsonrpc.Member(m.Field(jsonrpc.Meta), "io.modelcontextprotocol/clientCapabilities")
	if m.Kind == jsonrpc.Request && (len(capabilities) == 0 || capabilities[0] != '{') {
		return in.reject(http.StatusBadRequest, jsonrpc.InvalidParams, "_meta lacks io.modelcontextprotocol/clientCapabilities", nil)
	}
	return nil
}

func versionData(requested []byte) []byte {
	data := []byte(`{"supported":[`)
	for i, v := range modernRevisions {
		if i > 0 {
			data = append(data, ',')
		}
		data = jsonrpc.AppendString(data, v)
	}
	data = append(data, `],"requested":`...)
	return append(jsonrpc.AppendString(data, requested), '}')
}

// mirrored says what is wrong with Mcp-Method and Mcp-Name, "" if nothing is. A notification need not have them.
func (in *Incoming) mirrored(h http.Header) string {
	m := &in.Message
	method, given := h[headerMethod]
	switch {
	case !given && m.Kind == jsonrpc.Notification:
		return ""
	case !given:
		return "the header Mcp-Method is missing"
	case method[0] != m.Method:
		return "Mcp-Method is not the method of the body"
	}
	field, has := nameField(m.Method)
	if !has {
		return ""
	}
	name, given := h[headerName]
	if !given {
		return "the header Mcp-Name is missing"
	}
	want, ok := m.Text(field)
	got, valid := decodeHeader(name[0])
	if !ok || !valid || got != string(want) {
		return "Mcp-Name is not what the body names"
	}
	return ""
}

// nameField returns the member of params that Mcp-Name repeats.
func nameField(method string) (jsonrpc.Field, bool) {
	switch method {
	case "tools/call", "prompts/get":
		return jsonrpc.Name, true
	case "resources/read":
		return jsonrpc.URI, true
	case "tasks/get", "tasks/update", "tasks/cancel":
		return jsonrpc.TaskID, true
	}
	return 0, false
}

// The marks around a value that no header could hold as it is (2026-07-28, Streamable HTTP, "Value Encoding").
const encodedPrefix, encodedSuffix = "=?base64?", "?="

func decodeHeader(value string) (text string, ok bool) {
	inner, begins := strings.CutPrefix(value, encodedPrefix)
	inner, ends := strings.CutSuffix(inner, encodedSuffix)
	if !begins || !ends {
		return value, true // it says what it says
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(inner)
	return string(raw), err == nil
}
