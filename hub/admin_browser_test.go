package hub_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
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

// newBrowserLike is another browser, without cookies.
func newBrowserLike(b *browser) *browser {
	other := *b.http
	other.Jar = nil
	return &browser{t: b.t, at: b.at, http: &other}
}
