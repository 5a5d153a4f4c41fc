package auth

import (
	"net/http"
	"slices"
	"strings"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// WellKnown is where the metadata of a resource without a path is. For others their path is appended (RFC 9728, section 3.1).
const WellKnown = "/.well-known/oauth-protected-resource"

// endpoints is the path below which the gateway serves MCP, whatever a proxy before it makes of it.
const endpoints = "/mcp"

// Metadata serves the documents of RFC 9728: at WellKnown and at WellKnown + "/mcp" that of the gateway, below the latter
// those of the servers that are known. It serves nothing unless the type is oauth. Route WellKnown and all below to it.
func (a *Authenticator) Metadata(known func(server string) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := "", false
		if a.oauth != nil {
			id, ok = a.oauth.resourceAt(r.URL.Path, known)
		}
		switch {
		case !ok:
			answer(w, http.StatusNotFound, `{"error":{"code":"not_found","message":"no such resource"}}`)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			answer(w, http.StatusMethodNotAllowed, `{"error":{"code":"method_not_allowed","message":"use GET"}}`)
		default:
			w.Header().Set("Cache-Control", "public, max-age=300") // a reload may change it
			answer(w, http.StatusOK, a.oauth.metadata(id))
		}
	})
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) //nolint:gosec // JSON, and of the path only the name of a known server; a client that has gone needs no answer
}

// resourceAt returns which resource the document at a path describes.
func (s *resource) resourceAt(path string, known func(server string) bool) (id string, ok bool) {
	rest, ok := strings.CutPrefix(path, WellKnown)
	if !ok {
		return "", false
	}
	rest = strings.TrimSuffix(rest, "/")
	for _, base := range []string{endpoints, s.path} {
		server, below := strings.CutPrefix(rest, base+"/")
		if below && known(server) {
			return s.id + "/" + server, true
		}
	}
	return s.id, rest == "" || rest == endpoints || rest == s.path
}

// metadata returns the document of a resource.
func (s *resource) metadata(id string) string {
	b := jsonrpc.AppendString([]byte(`{"resource":`), id)
	b = appendList(append(b, `,"authorization_servers":`...), s.cfg.servers())
	if len(s.cfg.RequiredScopes) > 0 {
		b = appendList(append(b, `,"scopes_supported":`...), s.cfg.RequiredScopes)
	}
	return string(append(b, `,"bearer_methods_supported":["header"]}`...))
}

func appendList(b []byte, all []string) []byte {
	b = append(b, '[')
	for i, s := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsonrpc.AppendString(b, s)
	}
	return append(b, ']')
}

// metadataURL returns where the document of a server is, or that of the gateway for "" and for what can be no server.
func (s *resource) metadataURL(server string) string {
	at := s.origin + WellKnown + s.path
	if plainName(server) {
		at += "/" + server
	}
	return at
}

// plainName reports whether s has only what names of servers have, so that it needs no escape in a URL and a header.
func plainName(s string) bool {
	return s != "" && len(s) <= 256 && !slices.ContainsFunc([]byte(s), func(c byte) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}
