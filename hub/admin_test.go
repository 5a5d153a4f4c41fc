package hub_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

func TestNothingIsShownWithoutASession(t *testing.T) {
	_, at := startDashboard(t, config())
	b := newBrowser(t, at)
	for _, row := range []struct {
		method, path string
		status       int
		location     string
	}{
		{"GET", "/dashboard", 303, "/dashboard/login?next=%2Fdashboard"},
		{"HEAD", "/dashboard", 303, "/dashboard/login?next=%2Fdashboard"},
		{"GET", "/dashboard/search?decision=deny&server=a", 303, "/dashboard/login?next=%2Fdashboard%2Fsearch%3Fdecision%3Ddeny%26server%3Da"},
		{"GET", "/dashboard/events/p/c/1", 303, "/dashboard/login?next=%2Fdashboard%2Fevents%2Fp%2Fc%2F1"},
		{"GET", "/dashboard/no/such/page", 303, "/dashboard/login?next=%2Fdashboard%2Fno%2Fsuch%2Fpage"},
		{"GET", "/dashboard/live", 401, ""},
		{"POST", "/dashboard/pins/files/approve", 401, ""},
		{"POST", "/dashboard/logout", 401, ""},
		{"DELETE", "/dashboard", 401, ""},
		{"GET", "/dashboard/login", 200, ""},
		{"GET", "/dashboard/login?code=", 401, ""},
		{"GET", "/dashboard/login?code=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 401, ""},
		{"PUT", "/dashboard/login", 405, ""},
		{"GET", "/", 303, "/dashboard"},
		{"GET", "/v1/wrappers", 404, ""},
		{"GET", "/metrics", 404, ""},
		{"POST", "/mcp/x", 404, ""},
	} {
		got := b.send(row.method, row.path, "")
		if got.status != row.status || got.header.Get("Location") != row.location {
			t.Errorf("%s %s: %d %q, want %d %q", row.method, row.path, got.status, got.header.Get("Location"), row.status, row.location)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
			if got.header.Get(name) != want {
				t.Errorf("%s %s: %s %q", row.method, row.path, name, got.header.Get(name))
			}
		}
		if policy := got.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || got.header.Get("X-Request-Id") == "" {
			t.Errorf("%s %s: policy %q", row.method, row.path, policy)
		}
		if (got.status == 401) != (got.header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s %s: %d with WWW-Authenticate %q", row.method, row.path, got.status, got.header.Get("WWW-Authenticate"))
		}
		if len(got.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s %s sets a cookie", row.method, row.path)
		}
	}
}

// recorded reports whether the hub's own log has an event of somebody.
func (g *team) recorded(who, reason string) bool {
	for line := range strings.Lines(g.record.String()) {
		if strings.Contains(line, `"client":"`+who+`",`) && strings.Contains(line, `"reason":"`+reason+`",`) {
			return true
		}
	}
	return false
}

func TestLinkLogsInOnce(t *testing.T) {
	g, at := startDashboard(t, config())
	link, err := g.client().Dashboard(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(link.URL, at+"/login?code=") || !link.Local || time.Until(link.Expires) > time.Minute || time.Until(link.Expires) < 30*time.Second {
		t.Errorf("link %+v for a dashboard at %s", link, at)
	}
	b := newBrowser(t, at)
	if got := b.send("HEAD", link.URL, ""); got.status != 200 { // what only looks does not use it up
		t.Errorf("HEAD: %d", got.status)
	}
	got := b.send("GET", link.URL+"&next=/dashboard/fleet", "")
	if got.status != 303 || got.header.Get("Location") != "/dashboard/fleet" {
		t.Fatalf("the link: %d %q", got.status, got.header.Get("Location"))
	}
	u, _ := url.Parse(at)
	cookie, err := http.ParseSetCookie(got.header.Get("Set-Cookie"))
	if err != nil || cookie.Name != "mcpx_session_"+u.Port() || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode ||
		cookie.Path != "/dashboard" || cookie.Secure || len(cookie.Value) != 43 || cookie.Domain != "" {
		t.Errorf("cookie %+v, %v", cookie, err)
	}
	if !b.in() {
		t.Error("who has opened the link is not in")
	}
	other := newBrowser(t, at)
	if got := other.send("GET", link.URL, ""); got.status != 401 || other.in() {
		t.Errorf("used again: %d", got.status)
	}
	if got := b.send("GET", "/dashboard/login?next=/dashboard/chains", ""); got.status != 303 || got.header.Get("Location") != "/dashboard/chains" {
		t.Errorf("the form for who is in: %d %q", got.status, got.header.Get("Location"))
	}
	if got := b.send("POST", "/dashboard/logout", ""); got.status != 303 || got.header.Get("Location") != "/dashboard/login" || b.in() {
		t.Errorf("log-out: %d %q", got.status, got.header.Get("Location"))
	}
	old := newBrowser(t, at)
	if got := old.send("GET", "/dashboard", "", "Cookie: "+cookie.Name+"="+cookie.Value); got.status != 303 {
		t.Errorf("with the cookie of a session that was ended: %d", got.status)
	}
	for reason, want := range map[string]int{"dashboard_login": 1, "dashboard_login_failed": 1, "dashboard_logout": 1} {
		if n := strings.Count(g.record.String(), `"reason":"`+reason+`"`); n != want {
			t.Errorf("%s is recorded %d times, not %d", reason, n, want)
		}
	}
	if !g.recorded("local", "dashboard_login") || strings.Contains(g.record.String()+g.log.String(), cookie.Value) {
		t.Errorf("recorded:\n%s", g.record)
	}
	if code := strings.TrimPrefix(link.URL, at+"/login?code="); strings.Contains(g.record.String()+g.log.String(), code) {
		t.Error("a code is in a log")
	}
}

func TestTokensOfAdministratorsLogIn(t *testing.T) {
	g, at := startDashboard(t, config())
	for _, row := range []struct {
		name   string
		header string
		status int
		says   string
	}{
		{"an administrator", g.token(store.Token{Name: "boss", Admin: true}), 303, ""},
		{"an administrator of some servers", g.token(store.Token{Name: "some", Admin: true, Servers: []string{"a*"}}), 403, "limited"},
		{"no administrator", g.token(store.Token{Name: "ann"}), 403, "--admin"},
		{"nobody", "Authorization: Bearer mcpx_" + strings.Repeat("A", 43), 401, "not known"},
		{"not even a token", "Authorization: Bearer x", 401, "not known"},
		{"nothing", "", 401, "token"},
		{"too much", "Authorization: Bearer " + strings.Repeat("a", 5000), 401, "token"},
	} {
		b := newBrowser(t, at)
		got := b.login(row.header)
		if got.status != row.status || !strings.Contains(got.body, row.says) || b.in() != (row.status == 303) {
			t.Errorf("%s: %d, want %d and %q: %s", row.name, got.status, row.status, row.says, got.body)
		}
		if row.status == 303 && got.header.Get("Location") != "/dashboard/pins" {
			t.Errorf("%s goes to %q", row.name, got.header.Get("Location"))
		}
		c := g.clientOf(row.header)
		link, err := c.Dashboard(t.Context())
		if (err == nil) != (row.status == 303) {
			t.Errorf("%s asks for a link: %+v, %v", row.name, link, err)
		}
	}
	if !g.recorded("boss", "dashboard_login") {
		t.Errorf("who has logged in is not recorded:\n%s", g.record)
	}
	for name, want := range map[string]string{"boss2": at, "ann2": ""} {
		id, err := g.clientOf(g.token(store.Token{Name: name, Admin: want != ""})).Identity(t.Context())
		if err != nil || id.Dashboard != want {
			t.Errorf("%s is told of the dashboard %q, %v", name, id.Dashboard, err)
		}
	}
}

func TestAttemptsToLogInArePaced(t *testing.T) {
	g, at := startDashboard(t, config())
	b := newBrowser(t, at)
	refused := 0
	for range 30 {
		if got := b.login("Bearer wrong"); got.status == http.StatusTooManyRequests {
			refused++
			if got.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
	}
	if refused < 10 || refused == 30 {
		t.Errorf("%d of 30 attempts are refused", refused)
	}
	if newBrowser(t, at).open(g.client()); g.metric("mcpx_auth_failures_total") == "0" { // who has a link is not held up
		t.Error("failures are not counted")
	}
}

func TestOtherSitesCannotUseTheDashboard(t *testing.T) {
	g, at := startDashboard(t, config())
	b := newBrowser(t, at)
	b.open(g.client())
	u, _ := url.Parse(at)
	own := "http://" + u.Host
	for _, row := range []struct {
		name, method, path string
		heads              []string
		status             int
	}{
		{"our own page", "POST", "/dashboard/pins/files/approve", []string{"Origin: " + own, "Sec-Fetch-Site: same-origin"}, 400},
		{"another site, as a browser says it", "POST", "/dashboard/logout", []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, 403},
		{"another port of this machine", "POST", "/dashboard/logout", []string{"Origin: http://127.0.0.1:1", "Sec-Fetch-Site: same-site"}, 403},
		{"another site, as an old browser says it", "POST", "/dashboard/logout", []string{"Origin: https://evil.example"}, 403},
		{"a sandboxed page", "POST", "/dashboard/logout", []string{"Origin: null"}, 403},
		{"to log in", "POST", "/dashboard/login", []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, 403},
		{"a link on another site", "GET", "/dashboard/search?decision=deny", []string{"Sec-Fetch-Site: cross-site"}, 200},
		{"a name that was rebound", "GET", "/dashboard", []string{"Host: evil.example:" + u.Port()}, 421},
		{"an address that is not ours", "GET", "/dashboard", []string{"Host: 192.0.2.1"}, 421},
		{"a name like ours", "GET", "/dashboard", []string{"Host: localhost.evil.example"}, 421},
		{"userinfo", "GET", "/dashboard", []string{"Host: localhost@evil.example"}, 421},
		{"our name by another port", "GET", "/dashboard", []string{"Host: localhost:9999"}, 303}, // ssh -L; it is another site to the cookie
		{"log-out is no link", "GET", "/dashboard/logout", nil, 405},
	} {
		got := b.send(row.method, row.path, "", row.heads...)
		if got.status != row.status && !(row.status == 421 && got.status == 400) { // net/http refuses some by itself
			t.Errorf("%s: %d, want %d: %.200s", row.name, got.status, row.status, got.body)
		}
	}
	if !b.in() {
		t.Error("another site has ended the session")
	}
}

// Beyond loopback the hub's own certificate is used, and no name but those that are known.
func TestDashboardBeyondLoopbackUsesTLS(t *testing.T) {
	example := httptest.NewTLSServer(nil)
	defer example.Close()
	pair, folder := example.TLS.Certificates[0], t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config()
	cfg.TLS = hub.TLS{CertFile: filepath.Join(folder, "cert.pem"), KeyFile: filepath.Join(folder, "key.pem")}
	cfg.Admin.Listen = "0.0.0.0:0"
	for name, block := range map[string]*pem.Block{
		cfg.TLS.CertFile: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, cfg.TLS.KeyFile: {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g, at := startDashboard(t, cfg)
	if !strings.HasPrefix(at, "https://127.0.0.1:") {
		t.Errorf("it is at %s", at)
	}
	b := newBrowser(t, at)
	b.http.Transport.(*http.Transport).TLSClientConfig = example.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	link, err := g.client().Dashboard(t.Context())
	if err != nil || link.Local {
		t.Fatalf("%+v, %v", link, err)
	}
	got := b.send("GET", link.URL, "")
	if cookie, err := http.ParseSetCookie(got.header.Get("Set-Cookie")); err != nil || !cookie.Secure || !b.in() {
		t.Errorf("%d, cookie %+v, %v", got.status, cookie, err)
	}
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for host, status := range map[string]int{own: 303, "192.0.2.1": 303, "localhost": 303, "evil.example": 421, own + ".evil.example": 421} {
		if got := newBrowserLike(b).send("GET", "/dashboard", "", "Host: "+host); got.status != status {
			t.Errorf("host %s: %d, want %d", host, got.status, status)
		}
	}
}

// spare is what a hub needs that is not going to serve.
func (g *team) spare() hub.Options {
	g.t.Helper()
	record, err := audit.Open(audit.Options{Config: audit.Config{Output: "stderr"}, Stderr: io.Discard, Source: "hub"})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { record.Close() })
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return hub.Options{Store: g.store, Record: record, Key: key}
}

func TestDashboardIsKnownByItsURL(t *testing.T) {
	cfg := config()
	cfg.Admin.URL = "https://hub.example.com:8443"
	g, at := startDashboard(t, cfg)
	if at != cfg.Admin.URL+"/dashboard" {
		t.Errorf("it is at %q", at)
	}
	link, err := g.client().Dashboard(t.Context())
	if err != nil || !strings.HasPrefix(link.URL, at+"/login?code=") || link.Local {
		t.Errorf("link %+v, %v", link, err)
	}
	for _, bad := range []string{"hub.example.com", "ftp://hub.example.com", "https://hub.example.com/path", "https://u@hub.example.com", "https://"} {
		cfg.Admin = hub.Admin{Listen: "127.0.0.1:0", URL: bad}
		if _, err := hub.New(t.Context(), cfg, g.spare()); err == nil || !strings.Contains(err.Error(), "admin.url") {
			t.Errorf("url %q: %v", bad, err)
		}
	}
}

func TestDashboardDoesNotMoveWhileTheHubRuns(t *testing.T) {
	cfg := config()
	cfg.Admin.Listen = "127.0.0.1:0"
	g, _ := startDashboard(t, cfg)
	for _, other := range []hub.Admin{{}, {Listen: "127.0.0.1:8081"}, {Listen: cfg.Admin.Listen, URL: "https://hub.example.com"}} {
		next := cfg
		next.Admin = other
		if err := g.hub.Reload(next); err == nil || !strings.Contains(err.Error(), "admin") {
			t.Errorf("%+v: %v", other, err)
		}
	}
	if err := g.hub.Reload(cfg); err != nil {
		t.Error(err)
	}
}

func TestHubWithoutDashboardSaysSo(t *testing.T) {
	g := startTeam(t, config())
	_, err := g.client().Dashboard(t.Context())
	if refused, ok := errors.AsType[*uplink.StatusError](err); !ok || refused.Code != uplink.CodeNoDashboard {
		t.Errorf("%v", err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := config()
	cfg.Admin.Listen = taken.Addr().String()
	h, err := hub.New(t.Context(), cfg, g.spare())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "admin.listen") {
		t.Errorf("an address that is taken: %v", err)
	}
}
