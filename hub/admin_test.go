package hub_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/dashboard"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// startDashboard starts a team whose hub has a dashboard, and returns where that is.
func startDashboard(t *testing.T, cfg hub.Config, options ...teamOption) (*team, string) {
	t.Helper()
	if cfg.Admin.Listen == "" {
		cfg.Admin.Listen = "127.0.0.1:0"
	}
	var at string
	g := startTeam(t, cfg, append(options, func(o *hub.Options, _ *audit.Options) { o.Dashboard = func(url string) { at = url } })...)
	if at == "" {
		t.Fatal("the hub does not say where its dashboard is")
	}
	return g, at
}

// A browser keeps cookies, and follows no redirect by itself.
type browser struct {
	t    testing.TB
	http *http.Client
	at   string // the dashboard
}

func newBrowser(t testing.TB, at string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t: t, at: at, http: &http.Client{Transport: transport, Jar: jar, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// send sends a request to a path, or to a whole URL.
func (b *browser) send(method, path, body string, heads ...string) answer {
	b.t.Helper()
	if strings.HasPrefix(path, "/") {
		u, err := url.Parse(b.at)
		if err != nil {
			b.t.Fatal(err)
		}
		path = u.Scheme + "://" + u.Host + path
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, line := range heads {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Set(name, value)
	}
	response, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

// open logs in by a link.
func (b *browser) open(c *uplink.Client) {
	b.t.Helper()
	link, err := c.Dashboard(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	if got := b.send("GET", link.URL, ""); got.status != 303 || got.header.Get("Location") != "/dashboard" {
		b.t.Fatalf("the link leads to %d %q: %s", got.status, got.header.Get("Location"), got.body)
	}
}

// in reports whether the browser has a session.
func (b *browser) in() bool {
	b.t.Helper()
	return b.send("GET", "/dashboard", "").status == 200
}

// login posts a token to the form.
func (b *browser) login(header string) answer {
	b.t.Helper()
	_, secret, _ := strings.Cut(header, "Bearer ")
	return b.send("POST", "/dashboard/login?next=/dashboard/pins", url.Values{"token": {secret}}.Encode())
}

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

// newBrowserLike is another browser, without cookies.
func newBrowserLike(b *browser) *browser {
	other := *b.http
	other.Jar = nil
	return &browser{t: b.t, at: b.at, http: &other}
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

// A liveView is the stream of events that a page reads.
type liveView struct {
	ticks chan liveTick
	ended chan error
	end   context.CancelFunc
}

// A liveTick is what of an event of the stream is looked at.
type liveTick struct {
	name   string
	Missed int64
	Rows   []struct{ Key string }
}

func (b *browser) live() *liveView {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", b.at+"/live", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	client := *b.http
	client.Timeout = 0
	response, err := client.Do(r)
	if err != nil || response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		b.t.Fatalf("live: %v, %+v", err, response)
	}
	v := &liveView{ticks: make(chan liveTick, 1000), ended: make(chan error, 1), end: cancel}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer response.Body.Close()
		v.ended <- v.read(response.Body)
	})
	b.t.Cleanup(func() { cancel(); reading.Wait() })
	return v
}

func (v *liveView) read(from io.Reader) error {
	lines := bufio.NewReaderSize(from, 1<<20)
	name := ""
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		if after, ok := strings.CutPrefix(line, "event: "); ok {
			name = strings.TrimSpace(after)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			tick := liveTick{name: name}
			if err := json.Unmarshal([]byte(data), &tick); err != nil {
				return fmt.Errorf("%w: %s", err, data)
			}
			v.ticks <- tick
		}
	}
}

// next waits for a tick.
func (v *liveView) next(t testing.TB) liveTick {
	t.Helper()
	select {
	case tick := <-v.ticks:
		return tick
	case err := <-v.ended:
		t.Fatalf("the stream has ended: %v", err)
	case <-time.After(20 * time.Second):
		t.Fatal("nothing comes")
	}
	return liveTick{}
}

// begun waits until the stream is at what arrives from now on.
func (v *liveView) begun(t testing.TB) {
	t.Helper()
	for v.next(t).name != "tick" {
	}
}

func TestRevokedTokenEndsSessionAndStream(t *testing.T) {
	g, at := startDashboard(t, config())
	boss := g.token(store.Token{Name: "boss", Admin: true})
	byForm, byLink, local := newBrowser(t, at), newBrowser(t, at), newBrowser(t, at)
	if got := byForm.login(boss); got.status != 303 {
		t.Fatalf("login: %+v", got)
	}
	byLink.open(g.clientOf(boss))
	local.open(g.client())
	views := []*liveView{byForm.live(), byLink.live()}
	other := local.live()
	for _, v := range append(views, other) {
		v.begun(t)
	}
	if err := g.store.RevokeToken(t.Context(), "boss"); err != nil {
		t.Fatal(err)
	}
	if byForm.in() { // and of the other nobody asks for a page
		t.Error("after its token was revoked the session goes on")
	}
	for i, v := range views {
		select {
		case <-v.ended:
		case <-time.After(10 * time.Second):
			t.Errorf("stream %d goes on", i)
		}
	}
	if byLink.in() || !local.in() {
		t.Errorf("after it was revoked: in by link %v, local %v", byLink.in(), local.in())
	}
	if got := local.send("POST", "/dashboard/logout", ""); got.status != 303 {
		t.Errorf("log-out: %d", got.status)
	}
	select {
	case <-other.ended:
	case <-time.After(10 * time.Second):
		t.Error("after log-out the stream goes on")
	}
}

// A stream that nobody ends does not hold up the end of the hub.
func TestHubEndsLiveStreams(t *testing.T) {
	g, at := startDashboard(t, config())
	b := newBrowser(t, at)
	b.open(g.client())
	v := b.live()
	v.begun(t)
	began := time.Now()
	g.stop()
	<-v.ended
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the hub took %v to end", took)
	}
}

// What is approved on the page reaches wrappers, and is recorded once, with who did it.
func TestApprovalByThePageReachesWrappers(t *testing.T) {
	g, at := startDashboard(t, config())
	laptop := g.clientOf(g.token(store.Token{Name: "laptop"}))
	definition, digest := toolOf(t, "read", "reads")
	seen := uplink.Sightings{Server: "files", Host: "h", Items: []uplink.Sighting{{Kind: "tool", Name: "read", Digest: digest, Definition: uplink.RawJSON(definition)}}}
	if err := laptop.Propose(t.Context(), seen); err != nil {
		t.Fatal(err)
	}
	stream := g.watch(laptop, "files", "")
	stream.next(t, 5*time.Second)
	b := newBrowser(t, at)
	if got := b.login(g.token(store.Token{Name: "boss", Admin: true})); got.status != 303 {
		t.Fatalf("login: %+v", got)
	}
	form := func(digest string) string {
		return url.Values{"kind": {"tool"}, "name": {"read"}, "digest": {digest}}.Encode()
	}
	if got := b.send("POST", "/dashboard/pins/files/approve", form(digest+"0")); got.status != 404 {
		t.Errorf("what nobody saw: %d", got.status)
	}
	if got := b.send("POST", "/dashboard/pins/files/approve", form(digest)); got.status != 303 {
		t.Fatalf("approve: %d %s", got.status, got.body)
	}
	if bundle := stream.next(t, 5*time.Second); len(bundle.Pins) != 1 || bundle.Pins[0].Digest != digest {
		t.Errorf("the wrapper gets %+v", bundle.Pins)
	}
	approvals := 0
	for line := range strings.Lines(g.record.String()) {
		if strings.Contains(line, `"reason":"pin_approved"`) {
			approvals++
			if !strings.Contains(line, `"server":"files","client":"boss"`) || !strings.Contains(line, digest) {
				t.Errorf("recorded: %s", line)
			}
		}
	}
	if approvals != 1 {
		t.Errorf("it is recorded %d times", approvals)
	}
}

// At thousands of events a second those who read hear of every one, although somebody else does not read, and all are stored.
func TestLiveKeepsUpWithEvents(t *testing.T) {
	g, at := startDashboard(t, config())
	b := newBrowser(t, at)
	b.open(g.client())
	readers := []*liveView{b.live(), b.live()}
	for _, v := range readers {
		v.begun(t)
	}
	stuck := dialLive(t, b)
	defer stuck.Close()
	const batches, each = 20, 500
	calls := make([]string, batches*each)
	for i := range calls {
		calls[i] = "read"
	}
	lines := wrote(t, "files", calls...)
	c := g.clientOf(g.token(store.Token{Name: "laptop"}))
	stored := 0
	for at := 0; at < len(lines); at += each {
		ack, err := c.SendEvents(t.Context(), "m-1", []byte(batch(lines[at:min(at+each, len(lines))]...)), false)
		if err != nil {
			t.Fatal(err)
		}
		stored += ack.Stored
	}
	if stored != len(lines) {
		t.Fatalf("%d of %d events are stored", stored, len(lines))
	}
	for i, v := range readers {
		told := int64(0)
		for told < int64(len(lines)) {
			tick := v.next(t)
			if len(tick.Rows) > 40 {
				t.Errorf("reader %d gets %d rows at once", i, len(tick.Rows))
			}
			told += tick.Missed + int64(len(tick.Rows))
		}
		if told > int64(len(lines))+10 { // and what the hub has recorded itself
			t.Errorf("reader %d is told of %d events, and there were %d", i, told, len(lines))
		}
	}
}

// dialLive asks for the stream of events and reads nothing of it.
func dialLive(t *testing.T, b *browser) net.Conn {
	t.Helper()
	u, err := url.Parse(b.at)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).SetReadBuffer(1 << 10); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", b.at+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range b.http.Jar.Cookies(r.URL) {
		r.AddCookie(cookie)
	}
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	return conn
}

// The pages are those of package dashboard, over what the store has.
func TestPagesShowWhatTheStoreHas(t *testing.T) {
	backend := newBackend(t)
	cfg := config(hub.Server{Name: "served", URL: backend.URL})
	g, at := startDashboard(t, cfg)
	c := g.clientOf(g.token(store.Token{Name: "laptop"}))
	lines := wrote(t, "files", "read", "!write")
	if _, err := c.SendEvents(t.Context(), "m-1", []byte(batch(lines...)), false); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, at)
	b.open(g.client())
	for path, want := range map[string][]string{
		"/dashboard":                        {"files", "served", "local"},
		"/dashboard/fleet":                  {"served", "closed"},
		"/dashboard/servers/files":          {"read", "write"},
		"/dashboard/servers/served":         {"served"},
		"/dashboard/search?decision=deny":   {"write", "rate_limit.rps"},
		"/dashboard/search?server=files":    {"read", "write"},
		"/dashboard/events/laptop/m-1/3":    {"write", "laptop"},
		"/dashboard/chains":                 {"laptop", "m-1"},
		"/dashboard/pins":                   {"</html>"},
		dashboard.AssetsPath + "no-such.js": {"404"},
	} {
		got := b.send("GET", path, "")
		if got.status != 200 && want[0] != "404" {
			t.Errorf("%s: %d: %.300s", path, got.status, got.body)
			continue
		}
		for _, text := range want {
			if !strings.Contains(got.body, text) && text != "404" {
				t.Errorf("%s does not show %q", path, text)
			}
		}
	}
	for path, status := range map[string]int{
		"/dashboard/servers/nobody":             404,
		"/dashboard/events/laptop/m-1/99":       404,
		"/dashboard/events/laptop/m-1/0":        404,
		"/dashboard/search?before=nonsense":     400,
		"/dashboard/events/nobody/m-1/1":        404,
		"/dashboard/servers/files/tools?tool=x": 404,
	} {
		if got := b.send("GET", path, ""); got.status != status {
			t.Errorf("%s: %d, want %d", path, got.status, status)
		}
	}
}

// An event is shown with the other half of its request, and one that was allowed in shadow mode alone is known by its reason, in
// the same words to the rules, to the store and to the pages.
func TestEventsAreShownWithWhatBelongsToThem(t *testing.T) {
	g, at := startDashboard(t, config())
	var out bytes.Buffer
	log, err := audit.Open(audit.Options{Config: audit.Config{Output: "stderr"}, Stderr: &out, Source: "wrap"})
	if err != nil {
		t.Fatal(err)
	}
	link := log.Link(audit.LinkInfo{Server: "files", Client: "ann"})
	trace := []byte("0af7651916cd43dd8448eb211c80319c")
	decided := func(id, tool, reason string) *audit.Event {
		return &audit.Event{Kind: audit.Decision, RequestID: []byte(id), Method: "tools/call", Target: []byte(tool), Decision: "allow", Reason: reason, TraceID: trace}
	}
	ended := func(id, tool, outcome string) *audit.Event {
		return &audit.Event{Kind: audit.Outcome, RequestID: []byte(id), Method: "tools/call", Target: []byte(tool), Outcome: outcome, Latency: 7 * time.Millisecond}
	}
	for _, e := range []*audit.Event{
		decided("1", "first", ""), decided("2", "second", policy.ShadowPrefix+"it is denied"),
		ended("2", "second", "tool_error"), ended("1", "first", "ok"),
	} {
		link.Append(e)
	}
	if err := log.Commit(); err != nil {
		t.Fatal(err)
	}
	log.Close()
	c := g.clientOf(g.token(store.Token{Name: "laptop"}))
	if _, err := c.SendEvents(t.Context(), "m-1", out.Bytes(), false); err != nil {
		t.Fatal(err)
	}
	page, err := g.store.Events(t.Context(), store.Filter{Server: "files", Shadowed: true}, 10, "")
	if err != nil || len(page.Events) != 1 || page.Events[0].Target != "second" {
		t.Fatalf("the store knows what is in shadow mode by other words: %+v, %v", page, err)
	}
	now := time.Now()
	figures, err := g.store.Series(t.Context(), store.Name{Server: "files"}, store.Span{Since: now.Add(-time.Hour), Until: now.Add(time.Hour)})
	if err != nil || len(figures) != 1 || figures[0].Calls != 2 || figures[0].Shadowed != 1 || figures[0].Errors != 1 {
		t.Errorf("figures %+v, %v", figures, err)
	}
	b := newBrowser(t, at)
	b.open(g.client())
	first := page.Events[0].Seq - 1
	for _, row := range []struct {
		path, shows string
		not         string
	}{
		{fmt.Sprintf("/dashboard/events/laptop/m-1/%d", first), fmt.Sprintf("/dashboard/events/laptop/m-1/%d", first+3), ""},
		{fmt.Sprintf("/dashboard/events/laptop/m-1/%d", first+2), fmt.Sprintf("/dashboard/events/laptop/m-1/%d", first+1), ""},
		{"/dashboard/search?decision=shadow", "second", ">first<"},
		{"/dashboard/search?outcome=failed", "second", ">first<"},
		{"/dashboard/search?trace=" + string(trace), "first", ""},
		{"/dashboard/search?client=ann", "first", ""},
		{"/dashboard/servers/files", "second", ""},
		{"/dashboard/servers/files/tools?tool=second", "second", ""},
	} {
		got := b.send("GET", row.path, "")
		if got.status != 200 || !strings.Contains(got.body, row.shows) || row.not != "" && strings.Contains(got.body, row.not) {
			t.Errorf("%s: %d, without %q or with %q", row.path, got.status, row.shows, row.not)
		}
	}
}
