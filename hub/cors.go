package hub

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/rs/cors"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// A door keeps out what a browser sends on behalf of a page that nobody trusts (Streamable HTTP, "Security Warning"): every
// request with a foreign Origin, and, where a connection came to a loopback address, every request for another host, which
// is what a page sends whose name was made to point here (DNS rebinding). It answers preflights for the pages that are
// allowed.
//
// A page in a browser always sends an Origin with what can change something, but none when it reads from its own host. On an
// address beyond loopback any Host is taken, since the names of this machine are not known: without auth, a rebound page can
// read there what GET answers.
type door struct {
	any     bool            // every page is allowed
	origins map[string]bool // the pages that are allowed, in normal form
	hosts   map[string]bool // names of this gateway beside those of loopback
	cors    *cors.Cors      // nil: no page of another origin is allowed
}

// newDoor returns the door for a configuration. public is the URL under which clients know the gateway, "" if not known: its
// host, and those of the allowed pages, are taken on loopback too.
func newDoor(cfg CORS, public string) *door {
	d := &door{origins: make(map[string]bool), hosts: make(map[string]bool)}
	d.addHost(public)
	for _, o := range cfg.AllowedOrigins {
		if o == "*" {
			d.any = true
			continue
		}
		d.origins[normalOrigin(o)] = true
		d.addHost(o)
	}
	if len(cfg.AllowedOrigins) == 0 {
		return d
	}
	opt := cors.Options{
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodDelete},
		AllowedHeaders: append([]string{
			"Accept", "Authorization", "Content-Type", "Last-Event-ID", "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Traceparent", "Tracestate",
			"Mcp-Session-Id", "X-API-Key", "X-Request-ID",
		}, cfg.AllowedHeaders...),
		ExposedHeaders: []string{"Mcp-Session-Id", "Retry-After", "WWW-Authenticate", "X-Request-ID"},
		MaxAge:         int(cfg.MaxAge / time.Second),
	} // no credentials: a browser's own ones (cookies, client certificates) are not how one signs in here
	if d.any {
		opt.AllowedOrigins = []string{"*"}
	} else {
		opt.AllowOriginFunc = d.allows // exact; the library's own list would take a * inside a name
	}
	d.cors = cors.New(opt)
	return d
}

func (d *door) addHost(address string) {
	if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
		d.hosts[strings.ToLower(u.Hostname())] = true
	}
}

// admit reports whether a request may go on. If not, it was answered.
func (d *door) admit(w http.ResponseWriter, r *http.Request) bool {
	if !d.any && reachedOnLoopback(r) && !d.ownHost(r.Host) {
		writeError(w, http.StatusForbidden, "host_not_allowed",
			"this address serves requests for localhost only: a name that the gateway is to answer to needs an entry in cors.allowed_origins")
		return false
	}
	if !d.admitsOrigin(r) {
		writeError(w, http.StatusForbidden, "origin_not_allowed",
			"pages of this origin may not use the gateway: cors.allowed_origins does not name it")
		return false
	}
	if d.cors == nil {
		return true
	}
	preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	d.cors.HandlerFunc(w, r) // answers a preflight, else sets headers
	return !preflight
}

// admitsOrigin looks at the Origin, which programs do not send.
func (d *door) admitsOrigin(r *http.Request) bool {
	switch origin := r.Header["Origin"]; len(origin) {
	case 0:
		return true
	case 1:
		return d.any || d.allows(origin[0]) || ownOrigin(origin[0], r.Host)
	default:
		return false
	}
}

func (d *door) allows(origin string) bool { return d.any || d.origins[normalOrigin(origin)] }

// normalOrigin writes an origin as browsers do (RFC 6454 section 6.1): in lower case, without the scheme's own port.
func normalOrigin(origin string) string {
	origin = strings.ToLower(strings.TrimSuffix(origin, "/"))
	switch {
	case strings.HasPrefix(origin, "http://"):
		return strings.TrimSuffix(origin, ":80")
	case strings.HasPrefix(origin, "https://"):
		return strings.TrimSuffix(origin, ":443")
	}
	return origin
}

// ownOrigin reports whether a page comes from the very host that it asks, and that host is this machine. Elsewhere the same
// name proves nothing: whoever owns it may point it anywhere.
func ownOrigin(origin, host string) bool {
	scheme, authority, ok := strings.Cut(origin, "://")
	port := map[string]string{"http": "80", "https": "443"}[strings.ToLower(scheme)]
	if !ok || port == "" {
		return false
	}
	originName, originPort, ok := splitHost(authority, port)
	if !ok || !uplink.LoopbackHost(originName) {
		return false
	}
	name, hostPort, ok := splitHost(host, port)
	return ok && name == originName && hostPort == originPort
}

// ownHost reports whether a Host header names this machine.
func (d *door) ownHost(host string) bool {
	name, _, ok := splitHost(host, "")
	return ok && (uplink.LoopbackHost(name) || d.hosts[name])
}

// splitHost reads host[:port] (RFC 3986 section 3.2, without userinfo). The name is in lower case, without brackets.
func splitHost(authority, defaultPort string) (name, port string, ok bool) {
	name, port = authority, defaultPort
	if bracketed, found := strings.CutPrefix(authority, "["); found {
		inside, rest, closed := strings.Cut(bracketed, "]")
		if addr, err := netip.ParseAddr(inside); !closed || err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", "", false
		}
		name = inside
		if rest != "" {
			if port, ok = strings.CutPrefix(rest, ":"); !ok {
				return "", "", false
			}
		}
	} else if before, after, found := strings.Cut(authority, ":"); found {
		name, port = before, after
	}
	if name == "" || strings.ContainsAny(name, "/\\@?#% \t") || len(port) > 5 || strings.Trim(port, "0123456789") != "" {
		return "", "", false
	}
	return strings.ToLower(name), port, true
}

// reachedOnLoopback reports whether the connection came to a loopback address. One of which that is not known counts as such.
func reachedOnLoopback(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return !ok || addr.IP.IsLoopback()
}
