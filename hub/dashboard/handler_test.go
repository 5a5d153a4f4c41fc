package dashboard_test

import (
	"bufio"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/hub/dashboard"
)

func noonClock() time.Time { return noon }

func do(f *fake, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	dashboard.New(dashboard.Options{Source: f, Now: noonClock}).ServeHTTP(w, r.WithContext(dashboard.WithViewer(r.Context(), dashboard.Viewer{Name: "ana"})))
	return w
}

func TestAnswers(t *testing.T) {
	late := fmt.Errorf("search: %w", context.DeadlineExceeded)
	for _, test := range []struct {
		name, method, address string
		err                   error
		status                int
		text                  string
	}{
		{"overview", "GET", "/dashboard", nil, 200, "Decisions"},
		{"without a body", "HEAD", "/dashboard", nil, 200, ""},
		{"a slash too many", "GET", "/dashboard/", nil, 308, ""},
		{"no page", "GET", "/dashboard/admin", nil, 404, "No such page"},
		{"elsewhere", "GET", "/", nil, 404, "No such page"},
		{"a span that is none", "GET", "/dashboard?span=9y", nil, 200, "24 hours"},
		{"posting to a page", "POST", "/dashboard/fleet", nil, 405, "Not like this"},
		{"a strange method", "<b>", "/dashboard", nil, 405, "&lt;b&gt;"},
		{"approving by a link", "GET", "/dashboard/pins/files/approve", nil, 405, "Not like this"},
		{"a long address", "GET", "/dashboard/search?rule=" + strings.Repeat("a", 9000), nil, 414, "too long"},
		{"an event that is no number", "GET", "/dashboard/events/a/b/-1", nil, 404, "Not found"},
		{"a tool without a name", "GET", "/dashboard/servers/files/tools", nil, 404, "Not found"},
		{"not found", "GET", "/dashboard/servers/none", dashboard.ErrNotFound, 404, "Not found"},
		{"not valid", "GET", "/dashboard/search", fmt.Errorf("%w: take one filter away", dashboard.ErrInvalid), 400, "take one filter away"},
		{"too slow", "GET", "/dashboard", late, 503, "shorter span"},
		{"broken", "GET", "/dashboard/chains", errors.New("disk <full>"), 500, "disk &lt;full&gt;"},
		{"a search that cannot be", "GET", "/dashboard/search?since=soon", nil, 200, "is no time"},
		{"live without a store", "GET", "/dashboard/live", late, 503, "shorter span"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, test.address, nil)
			r.Method = test.method
			w := do(&fake{now: noon, err: test.err}, r)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.text) {
				t.Errorf("got %d, want %d with %q:\n%s", w.Code, test.status, test.text, w.Body)
			}
			header := w.Result().Header
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
				"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY",
			} {
				if header.Get(name) != want {
					t.Errorf("%s is %q, want %q", name, header.Get(name), want)
				}
			}
			policy := header.Get("Content-Security-Policy")
			for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "trusted-types 'none'"} {
				if !strings.Contains(policy, part) {
					t.Errorf("the policy has no %s: %s", part, policy)
				}
			}
			if strings.Contains(policy, "unsafe") || strings.Contains(policy, "data:") {
				t.Errorf("the policy is open: %s", policy)
			}
			if test.status == 405 && header.Get("Allow") == "" {
				t.Error("no Allow")
			}
		})
	}
}

func TestAssetsAreKeptByBrowsers(t *testing.T) {
	page := do(&fake{now: noon}, httptest.NewRequest("GET", "/dashboard", nil)).Body.String()
	paths := regexp.MustCompile(`/dashboard/assets/[0-9a-f]{16}/[a-z.]+`).FindAllString(page, -1)
	if len(paths) < 3 {
		t.Fatalf("the page asks for %q", paths)
	}
	for _, path := range paths {
		w := do(&fake{}, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, %s", path, w.Code, w.Header().Get("Cache-Control"))
		}
		again := httptest.NewRequest("GET", path, nil)
		again.Header.Set("If-None-Match", w.Header().Get("ETag"))
		if w := do(&fake{}, again); w.Code != 304 || w.Body.Len() > 0 {
			t.Errorf("%s again: %d", path, w.Code)
		}
		old := strings.Replace(path, "assets/", "assets/0", 1)
		if w := do(&fake{}, httptest.NewRequest("GET", old, nil)); w.Code != 404 {
			t.Errorf("%s: %d", old, w.Code)
		}
	}
}

// The button approves what it stands beside, also where names hold what a form would change.
func TestApproveIsOfExactlyTheDigestOnTheButton(t *testing.T) {
	name := " \r\n\u202e\\u{41}\"<&"
	f := &fake{now: noon, text: name}
	page := do(f, httptest.NewRequest("GET", "/dashboard/pins/a%2Fb", nil)).Body.String()
	forms := formsOf(t, page)
	if len(forms) != 2 { // a change and something new; what is approved has none
		t.Fatalf("the page has %d forms to approve", len(forms))
	}
	for _, form := range forms {
		r := httptest.NewRequest("POST", form.action, strings.NewReader(form.values.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := do(f, r)
		if location := w.Header().Get("Location"); w.Code != 303 || !strings.HasPrefix(location, "/dashboard/pins/a%2Fb?approved=") {
			t.Errorf("got %d, %s", w.Code, location)
		}
	}
	digest := func(b string) string { return "sha256:" + strings.Repeat(b, 32) + name }
	want := []string{
		fmt.Sprintf("%q %q %q %q %q", "ana", "a/b", "tool", "read_file"+name, digest("9b")),
		fmt.Sprintf("%q %q %q %q %q", "ana", "a/b", "prompt", "summarise"+name, digest("c4")),
	}
	if diff := cmp.Diff(want, f.approved); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestApproveRefusesHalfAForm(t *testing.T) {
	for _, test := range []struct{ name, body, kind string }{
		{"no digest", "kind=tool&name=read_file", "application/x-www-form-urlencoded"},
		{"no kind", "digest=sha256:aa&name=read_file", "application/x-www-form-urlencoded"},
		{"nothing", "", "application/x-www-form-urlencoded"},
		{"another type", "kind=tool&name=read_file&digest=sha256:aa", "text/plain"},
		{"no form", "kind=%zz", "application/x-www-form-urlencoded"},
		{"too much", "kind=tool&digest=a&name=" + strings.Repeat("a", 70_000), "application/x-www-form-urlencoded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fake{now: noon}
			r := httptest.NewRequest("POST", "/dashboard/pins/files/approve?kind=tool&name=a&digest=b", strings.NewReader(test.body))
			r.Header.Set("Content-Type", test.kind)
			if w := do(f, r); w.Code != 400 || len(f.approved) > 0 {
				t.Errorf("got %d and approved %v", w.Code, f.approved)
			}
		})
	}
}

type form struct {
	action string
	values url.Values
}

// formsOf reads the forms that approve something as a browser does.
func formsOf(t *testing.T, page string) []form {
	t.Helper()
	var forms []form
	decoder := xml.NewDecoder(strings.NewReader(page))
	for {
		token, err := decoder.Token()
		if err != nil {
			return forms
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		attributes := map[string]string{}
		for _, a := range e.Attr {
			attributes[a.Name.Local] = a.Value
		}
		switch {
		case e.Name.Local == "form" && strings.HasSuffix(attributes["action"], "/approve"):
			forms = append(forms, form{attributes["action"], url.Values{}})
		case e.Name.Local == "input" && len(forms) > 0 && attributes["type"] == "hidden":
			value := strings.ReplaceAll(strings.ReplaceAll(attributes["value"], "\r\n", "\n"), "\n", "\r\n")
			forms[len(forms)-1].values.Set(attributes["name"], value)
		}
	}
}

func TestSearchAsksWhatTheAddressSays(t *testing.T) {
	f := &fake{now: noon}
	do(f, httptest.NewRequest("GET", "/dashboard/search?server=files&outcome=failed&since=6h&before=77&limit=20", nil))
	want := dashboard.Query{Server: "files", Outcome: "failed", Since: noon.Add(-6 * time.Hour), Before: "77", Limit: 20}
	if diff := cmp.Diff(want, f.asked); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// A viewer gets the newest events, then what arrives; the Source is let go when the browser goes.
func TestLive(t *testing.T) {
	f := &fake{now: noon, live: make(chan dashboard.Tick)}
	gone := make(chan struct{})
	pages := dashboard.New(dashboard.Options{Source: f, Now: noonClock})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pages.ServeHTTP(w, r)
		close(gone)
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/dashboard/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("got %s", got)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	next := func(prefix string) string {
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), prefix); ok {
				return text
			}
		}
		t.Fatalf("no %q came: %v", prefix, lines.Err())
		return ""
	}
	if got := next("event: "); got != "recent" {
		t.Fatalf("got %s", got)
	}
	if got := strings.Count(next("data: "), `"key":`); got != 37 { // of 40, less three outcomes that say nothing new
		t.Errorf("the stream begins with %d rows", got)
	}
	late := f.event(0)
	late.Seq = 9001
	f.live <- dashboard.Tick{Events: []dashboard.Event{late}, Missed: 3, PerSec: 5012.4, Total: 12345, Alive: 2}
	data := next("data: ")
	for _, part := range []string{`"missed":3`, `"rate":"5,012"`, `"total":"12,345"`, `"alive":"2"`, `/9001"`} {
		if !strings.Contains(data, part) {
			t.Errorf("no %s in %s", part, data)
		}
	}
	cancel()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the stream does not end with its reader")
	}
}

func TestLoginPage(t *testing.T) {
	w := httptest.NewRecorder()
	dashboard.LoginPage(w, http.StatusForbidden, "no token\u202e of <b>ours</b>")
	page := w.Body.String()
	if _, err := shape(page); err != nil {
		t.Fatal(err)
	}
	if r, found := unseen(page); found || w.Code != 403 || strings.Contains(page, "<b>") || !strings.Contains(page, `<form method="post">`) {
		t.Errorf("got %d, %U:\n%s", w.Code, r, page)
	}
	if w.Header().Get("Content-Security-Policy") == "" {
		t.Error("no policy")
	}
}

func BenchmarkOverview(b *testing.B) {
	pages := dashboard.New(dashboard.Options{Source: &fake{now: noon}, Now: noonClock})
	r := httptest.NewRequest("GET", "/dashboard", nil)
	b.ReportAllocs()
	for b.Loop() {
		pages.ServeHTTP(httptest.NewRecorder(), r)
	}
}

func BenchmarkTick(b *testing.B) {
	f := &fake{now: noon}
	tick := dashboard.Tick{Events: f.events(40)}
	b.ReportAllocs()
	for b.Loop() {
		dashboard.AppendTick(noon, tick)
	}
}

// Whoever uses a wrapper has not logged in to a hub as a client: the list says what the client calls itself.
func TestClientOfAWrapper(t *testing.T) {
	f := &fake{now: noonClock()}
	for _, test := range []struct {
		event dashboard.Event
		want  []string // in the row, in this order
	}{
		{dashboard.Event{Client: "ci-bot", ClientName: "opencode"}, []string{"client=ci-bot", "opencode"}},
		{dashboard.Event{ClientName: "claude-code"}, []string{"claude-code"}},
		{dashboard.Event{Kind: "lifecycle", Reason: "server_started"}, []string{"server_started"}},
	} {
		f.recent = []dashboard.Event{test.event}
		page := do(f, httptest.NewRequest("GET", "/dashboard/search", nil)).Body.String()
		rest := page[strings.Index(page, "<tbody>"):]
		for _, want := range test.want {
			_, after, found := strings.Cut(rest, want)
			if !found {
				t.Errorf("%+v: %q is not in its row:\n%s", test.event, want, rest)
			}
			rest = after
		}
		live := do(f, httptest.NewRequest("GET", "/dashboard", nil)).Body.String()
		if _, rows, _ := strings.Cut(live, `id="live-rows"`); !strings.Contains(rows, test.want[0]) {
			t.Errorf("%+v: %q is not in the live list", test.event, test.want[0])
		}
	}
}
