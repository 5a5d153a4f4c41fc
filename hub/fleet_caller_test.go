package hub_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/auth"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

func TestEveryCallNeedsAHubToken(t *testing.T) {
	b := newBackend(t)
	cfg := config(hub.Server{Name: "b", URL: b.URL})
	cfg.Auth = auth.Config{Enabled: true, Type: auth.Bearer, Clients: []auth.Client{{Name: "ann", Token: "token-of-ann"}}}
	g := startTeam(t, cfg)
	admin, laptop := g.token(store.Token{Name: "boss", Admin: true}), g.token(store.Token{Name: "laptop", Servers: []string{"files*"}})
	old := g.token(store.Token{Name: "old", Expires: time.Now().Add(time.Hour)})
	if err := g.store.RevokeToken(t.Context(), "old"); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, method, path string
		heads              []string
		status             int
	}{
		{"no token", "GET", "/v1/hub", nil, 401},
		{"no token, no such call", "GET", "/v1/nothing", nil, 401},
		{"an unknown token", "GET", "/v1/hub", []string{"Authorization: Bearer mcpx_0123456789012345678901234567890123456789012"}, 401},
		{"another scheme", "GET", "/v1/hub", []string{"Authorization: Basic YTpi"}, 401},
		{"a client's credential", "GET", "/v1/hub", []string{"Authorization: Bearer token-of-ann"}, 401},
		{"a revoked token", "GET", "/v1/hub", []string{old}, 401},
		{"a token", "GET", "/v1/hub", []string{laptop}, 200},
		{"a token in another header", "GET", "/v1/hub", []string{strings.Replace(laptop, "Authorization: Bearer", "X-API-Key:", 1)}, 401},
		{"a page of the web", "GET", "/v1/hub", []string{laptop, "Origin: https://evil.example"}, 403},
		{"no such call", "GET", "/v1/nothing", []string{laptop}, 404},
		{"a call with a tail", "GET", "/v1/hub/", []string{laptop}, 404},
		{"another method", "DELETE", "/v1/events", []string{laptop}, 405},
		{"its server's policy", "GET", "/v1/policy/files2", []string{laptop}, 200},
		{"another server's policy", "GET", "/v1/policy/b", []string{laptop}, 403},
		{"the policy of no name", "GET", "/v1/policy/%2e%2e", []string{laptop}, 400},
		{"another server's pins", "POST", "/v1/pins/b", []string{laptop}, 403},
		{"wrappers, not as an administrator", "GET", "/v1/wrappers", []string{laptop}, 403},
		{"review, not as an administrator", "GET", "/v1/pins/files", []string{laptop}, 403},
		{"approve, not as an administrator", "POST", "/v1/pins/files/approve", []string{laptop}, 403},
		{"revoke, not as an administrator", "POST", "/v1/revoked/files", []string{laptop}, 403},
		{"restore, not as an administrator", "DELETE", "/v1/revoked/files/x", []string{laptop}, 403},
		{"wrappers", "GET", "/v1/wrappers", []string{admin}, 200},
		{"all pins", "GET", "/v1/pins/", []string{admin}, 200},
		{"a hub token is no client's credential", "POST", "/mcp/b", []string{laptop}, 401},
		{"nor does it open the pages", "GET", "/servers", []string{admin}, 401},
		{"a client's credential still serves", "POST", "/mcp/b", []string{"Authorization: Bearer token-of-ann"}, 200},
	} {
		got := g.do(row.method, row.path, listTools, row.heads...)
		if got.status != row.status {
			t.Errorf("%s: status %d, want %d: %s", row.name, got.status, row.status, got.body)
		}
		if challenge := got.header.Get("WWW-Authenticate"); (got.status == 401) != (challenge != "") {
			t.Errorf("%s: status %d with WWW-Authenticate %q", row.name, got.status, challenge)
		}
	}
	for name, tc := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"two credentials":         {func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer a", "Bearer b"} }, 400},
		"a name that was rebound": {func(r *http.Request) { r.Host = "evil.example" }, 403},
	} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", g.url+"/v1/hub", nil)
		tc.change(r)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tc.status {
			t.Errorf("%s: status %d, want %d", name, resp.StatusCode, tc.status)
		}
	}
	id, err := g.clientOf(laptop).Identity(t.Context())
	if err != nil || id.Principal != "laptop" || id.Admin || id.Key != g.key || len(id.Servers) != 1 {
		t.Errorf("identity %+v, %v", id, err)
	}
}

// get asks a hub's own user's listener.
func (g *team) get(network, path string, heads ...string) int {
	g.t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, g.local)
	}}}
	r, _ := http.NewRequestWithContext(g.t.Context(), "GET", "http://localhost"+path, nil)
	for _, line := range heads {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	resp, err := c.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestOwnUserNeedsNoToken(t *testing.T) {
	b := newBackend(t)
	cfg := config(hub.Server{Name: "b", URL: b.URL})
	cfg.Auth = auth.Config{Enabled: true, Type: auth.Bearer, Token: "secret-of-all"}
	g := startTeam(t, cfg)
	for path, want := range map[string]int{
		"/v1/hub": 200, "/v1/wrappers": 200, "/healthz": 200, "/readyz": 200, "/metrics": 200,
		"/mcp/b": 404, "/servers": 404, "/health": 404, "/.well-known/oauth-protected-resource": 404, "/": 404,
	} {
		if got := g.get("unix", path); got != want {
			t.Errorf("GET %s: %d, want %d", path, got, want)
		}
	}
	id, err := g.client().Identity(t.Context())
	if err != nil || id.Principal != uplink.LocalPrincipal || !id.Admin {
		t.Errorf("identity %+v, %v", id, err)
	}
	if info, err := os.Stat(g.local); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	if info, err := os.Stat(filepath.Dir(g.local)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its folder is %v, %v", info, err)
	}
	g.stop()
	if _, err := os.Stat(g.local); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// Where there are no Unix sockets the own user comes by loopback, which others can reach too.
func TestOwnUserOnLoopbackNeedsItsToken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := startTeam(t, config(), func(opt *hub.Options, _ *audit.Options) { opt.Local, opt.LocalToken = l, "token-of-this-user" })
	own := "Authorization: Bearer token-of-this-user"
	for _, row := range []struct {
		path  string
		heads []string
		want  int
	}{
		{"/v1/hub", nil, 401},
		{"/v1/hub", []string{"Authorization: Bearer token-of-this-use"}, 401},
		{"/v1/hub", []string{own}, 200},
		{"/v1/hub", []string{own, "Origin: https://evil.example"}, 403},
		{"/metrics", nil, 401},
		{"/metrics", []string{own}, 200},
		{"/healthz", nil, 200},
	} {
		if got := g.get("tcp", row.path, row.heads...); got != row.want {
			t.Errorf("GET %s %q: %d, want %d", row.path, row.heads, got, row.want)
		}
	}
	if got := g.do("GET", "/v1/hub", "", own); got.status != 401 {
		t.Errorf("the token opens the network's listener too: %d", got.status)
	}
}
