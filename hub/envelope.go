package hub

import (
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// writeError answers a request that is no MCP message, or none that could be read. code is snake_case and never changes its
// meaning: programs branch on it. message is for people, and says nothing that is not public.
func writeError(w http.ResponseWriter, status int, code, message string) {
	b := append(make([]byte, 0, 128), `{"error":{"code":`...)
	b = jsonrpc.AppendString(b, code)
	b = append(b, `,"message":`...)
	b = jsonrpc.AppendString(b, message)
	writeJSON(w, status, append(b, `}}`...))
}

// writeJSON answers with a JSON document.
func writeJSON(w http.ResponseWriter, status int, document []byte) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(document) + 1)}
	w.WriteHeader(status)
	_, _ = w.Write(append(document, '\n')) //nolint:gosec // JSON that no browser takes for a page; the client may be gone
}

// maxRequestID is the length, in bytes, of the longest X-Request-ID that is taken from a client.
const maxRequestID = 128

// Header values that never change; net/http copies nothing when it writes them.
var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// beginResponse sets what every response carries and returns the request's id: the client's own if it can be written
// anywhere without harm, else a new one.
func beginResponse(w http.ResponseWriter, r *http.Request) string {
	id := requestID(r.Header)
	h := w.Header()
	h["X-Request-Id"] = []string{id}
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	return id
}

func requestID(h http.Header) string {
	if own := h["X-Request-Id"]; len(own) == 1 && validRequestID(own[0]) {
		return own[0]
	}
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil.String() // the system has no randomness; a request is not refused for that
	}
	return id.String()
}

func validRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
