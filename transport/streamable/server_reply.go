package streamable

import (
	"bytes"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/sse"
)

const (
	writePatience = 30 * time.Second // for a client to read one event, or a body
	slowest       = 64 << 10         // bytes of a long body that it reads in a second at least
	maxUntimed    = 64 << 10         // bytes of a body that the system takes in one go, nearly always
)

// A Reply answers one HTTP request with what follows from its message: one JSON body where the answer comes first, else a
// stream of server-sent events. It belongs to one goroutine.
type Reply struct {
	W      http.ResponseWriter
	Modern bool
	// OneBody is for a client that takes no stream: what is no answer is left out.
	OneBody bool
	// Stream is for what a server says unasked: there is no answer, it is always a stream.
	Stream bool

	streaming bool
	timed     bool // a deadline was set for the body
	done      bool // an answer was written
	buf       []byte
}

// TakesStream reports whether a client's Accept header allows server-sent events.
func TakesStream(h http.Header) bool {
	accept := h["Accept"]
	if len(accept) == 0 {
		return false // what `curl` without options is glad to see is one body
	}
	for _, line := range accept {
		if strings.Contains(line, "text/event-stream") || line == "*/*" && len(h["Mcp-Protocol-Version"]) > 0 {
			return true
		}
	}
	return false
}

// Deliver is a [transport.Yield]. Its error is that the client is gone.
func (r *Reply) Deliver(a transport.Arrival) error {
	m := a.Message
	answer := m != nil && (m.Kind == jsonrpc.Result || m.Kind == jsonrpc.Error)
	switch {
	case answer && !r.streaming && !r.Stream:
		r.done = true
		return r.writeBody(Status(a, r.Modern), a)
	case r.OneBody && !r.Stream:
		return nil
	}
	if err := r.startStream(); err != nil {
		return err
	}
	r.done = r.done || answer
	if m == nil && a.EventID == "" && a.Retry == 0 {
		return r.flush() // the stream is open, no more
	}
	return r.writeEvent(a)
}

// Done reports whether an answer was written.
func (r *Reply) Done() bool { return r.done }

// End takes back what the reply asked of the connection, which may serve other requests.
func (r *Reply) End() {
	if r.streaming || r.timed {
		_ = http.NewResponseController(r.W).SetWriteDeadline(time.Time{}) // see writeEvent
	}
}

// Started reports whether anything was written, so that the status cannot be chosen any more.
func (r *Reply) Started() bool { return r.done || r.streaming }

// Streaming reports whether a stream has begun.
func (r *Reply) Streaming() bool { return r.streaming }

func (r *Reply) writeBody(status int, a transport.Arrival) error {
	h := r.W.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(a.Message.Raw))}
	if wait := retryAfter(a); wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	if len(a.Message.Raw) > maxUntimed {
		patience := writePatience + time.Duration(len(a.Message.Raw)/slowest)*time.Second
		_ = http.NewResponseController(r.W).SetWriteDeadline(time.Now().Add(patience)) // see writeEvent
		r.timed = true
	}
	r.W.WriteHeader(status)
	_, err := r.W.Write(a.Message.Raw)
	return err
}

var jsonType = []string{"application/json"}

func (r *Reply) startStream() error {
	if r.streaming {
		return nil
	}
	r.streaming = true
	h := r.W.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // what stands before us must not collect events (Streamable HTTP, "Receiving Messages")
	r.W.WriteHeader(http.StatusOK)
	return nil
}

func (r *Reply) writeEvent(a transport.Arrival) error {
	e := sse.Event{ID: a.EventID, HasID: a.EventID != "", Retry: a.Retry}
	if e.HasID {
		e.Data = []byte{} // a priming event has data, and it is empty (2025-11-25, "Sending Messages to the Server")
	}
	if a.Message != nil {
		e.Data = escapeSeparators(a.Message.Raw)
	}
	r.buf = sse.Append(r.buf[:0], e)
	_ = http.NewResponseController(r.W).SetWriteDeadline(time.Now().Add(writePatience)) // not every writer can; net/http's can
	if _, err := r.W.Write(r.buf); err != nil {
		return err
	}
	return r.flush()
}

// KeepAlive writes a comment, so that what stands between us and the client does not take the stream for dead.
func (r *Reply) KeepAlive() error {
	if err := r.startStream(); err != nil {
		return err
	}
	_ = http.NewResponseController(r.W).SetWriteDeadline(time.Now().Add(writePatience))
	if _, err := r.W.Write([]byte(":\n\n")); err != nil {
		return err
	}
	return r.flush()
}

func (r *Reply) flush() error { return http.NewResponseController(r.W).Flush() }

// escapeSeparators writes the characters that some clients take for the end of a line as escapes, which mean the same inside
// a JSON string, and stand nowhere else.
func escapeSeparators(raw []byte) []byte {
	if !bytes.Contains(raw, []byte("\u2028")) && !bytes.Contains(raw, []byte("\u2029")) && !bytes.Contains(raw, []byte("\u0085")) {
		return raw
	}
	raw = bytes.ReplaceAll(raw, []byte("\u2028"), []byte(`\u2028`))
	raw = bytes.ReplaceAll(raw, []byte("\u2029"), []byte(`\u2029`))
	return bytes.ReplaceAll(raw, []byte("\u0085"), []byte(`\u0085`))
}

// Status returns the HTTP status of an answer that is the whole body (PROTOCOL of 2026-07-28: Streamable HTTP, "Response").
// A server's own choice stands; what the policy denies is 403 in both eras.
func Status(a transport.Arrival, modern bool) int {
	m := a.Message
	switch {
	case a.Failure != nil:
		return failureStatus(a.Failure)
	case m.Kind != jsonrpc.Error:
		return http.StatusOK
	case m.Own:
		return ownStatus(m, modern)
	case a.Status != 0:
		return a.Status
	case !modern:
		return http.StatusOK
	}
	switch string(m.Field(jsonrpc.Code)) {
	case "-32601":
		return http.StatusNotFound
	case "-32602", "-32020", "-32021", "-32022":
		return http.StatusBadRequest
	default:
		return http.StatusOK
	}
}

func failureStatus(f *transport.Failure) int {
	switch f.Cause {
	case transport.TimedOut:
		return http.StatusGatewayTimeout
	case transport.Overloaded:
		return http.StatusServiceUnavailable
	case transport.SessionGone:
		return http.StatusNotFound
	default:
		return http.StatusBadGateway
	}
}

// ownStatus is the status of an error that mcpx made. The rule that it names says what kind it is.
func ownStatus(m *jsonrpc.Message, modern bool) int {
	rule, _ := jsonrpc.Text(jsonrpc.Member(jsonrpc.Member(m.Failure(), "data"), "rule"))
	layer, _, _ := strings.Cut(string(rule), ".")
	switch code := string(m.Field(jsonrpc.Code)); {
	case layer == "rate_limit":
		return http.StatusTooManyRequests
	case layer == "server":
		return http.StatusBadGateway
	case code == "-32603":
		return http.StatusServiceUnavailable
	case code == "-32601" && modern:
		return http.StatusNotFound
	case layer == "jsonrpc", layer == "protocol", code == "-32700":
		return http.StatusBadRequest
	case code == "-32602" && modern:
		return http.StatusBadRequest
	case code == "-32601", code == "-32602":
		return http.StatusOK // in sessions 404 would mean that the session is gone
	default:
		return http.StatusForbidden
	}
}

// retryAfter is when the same request may succeed, 0 if that is not known.
func retryAfter(a transport.Arrival) time.Duration {
	if a.Failure != nil {
		return a.Failure.RetryAfter
	}
	if !a.Message.Own || a.Message.Kind != jsonrpc.Error {
		return 0
	}
	millis, err := strconv.Atoi(string(jsonrpc.Member(jsonrpc.Member(a.Message.Failure(), "data"), "retry_after_ms")))
	if err != nil {
		return 0
	}
	return time.Duration(millis) * time.Millisecond
}
