package hub

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub/store"
)

func TestCodesWorkOnceAndForAMinute(t *testing.T) {
	var c codes
	now := time.Now()
	who := &caller{Token: store.Token{Name: "ann"}}
	text, until := c.create(who, now)
	if until != now.Add(time.Minute) || len(text) != 43 {
		t.Errorf("a code of %d characters until %v", len(text), until)
	}
	for _, wrong := range []string{"", text[1:], text + "A", strings.ToUpper(text)} {
		if c.redeem(wrong, now) != nil {
			t.Errorf("%q is taken", wrong)
		}
	}
	if c.redeem(text, now.Add(59*time.Second)) != who {
		t.Error("it is not taken after 59 s")
	}
	if c.redeem(text, now) != nil {
		t.Error("it is taken twice")
	}
	late, _ := c.create(who, now)
	if c.redeem(late, now.Add(61*time.Second)) != nil || c.redeem(late, now) != nil {
		t.Error("it is taken after 61 s, or after it was tried then")
	}
}

func TestCodesAreBounded(t *testing.T) {
	var c codes
	now := time.Now()
	first, _ := c.create(nil, now)
	second, _ := c.create(localCaller(), now)
	for range maxCodes - 1 {
		c.create(nil, now)
	}
	if len(c.open) != maxCodes {
		t.Errorf("%d are open, not %d", len(c.open), maxCodes)
	}
	if c.redeem(first, now) != nil || c.redeem(second, now) == nil {
		t.Error("the oldest is not the one that is forgotten")
	}
	if c.create(nil, now.Add(2*time.Minute)); len(c.open) != 1 {
		t.Errorf("%d are kept after their time", len(c.open))
	}
}

func TestSessionsEnd(t *testing.T) {
	began := time.Now()
	for _, row := range []struct {
		name string
		used []time.Duration // after it began
		want bool            // the last of them finds it
	}{
		{"in use", []time.Duration{time.Minute}, true},
		{"shortly before it is idle", []time.Duration{12*time.Hour - 1}, true},
		{"idle", []time.Duration{12 * time.Hour}, false},
		{"use keeps it", []time.Duration{11 * time.Hour, 22 * time.Hour, 33 * time.Hour}, true},
		{"idle after use", []time.Duration{11 * time.Hour, 23 * time.Hour}, false},
		{"a week", func() (all []time.Duration) {
			for at := 11 * time.Hour; at < 7*24*time.Hour; at += 11 * time.Hour {
				all = append(all, at)
			}
			return append(all, 7*24*time.Hour)
		}(), false},
	} {
		s := newAdminSessions()
		id, x := s.begin(localCaller(), began)
		var found *adminSession
		for _, at := range row.used {
			found = s.find(id, began.Add(at))
		}
		if (found == x) != row.want || found != nil != row.want {
			t.Errorf("%s: found %v", row.name, found != nil)
		}
		select {
		case <-x.over:
			if row.want {
				t.Errorf("%s: it is over", row.name)
			}
		default:
			if !row.want {
				t.Errorf("%s: it goes on", row.name)
			}
		}
	}
}

func TestSessionsAreBoundedAndTheIdleOneGoes(t *testing.T) {
	s := newAdminSessions()
	now := time.Now()
	_, first := s.begin(localCaller(), now)
	_, second := s.begin(localCaller(), now.Add(time.Second))
	for i := range maxAdminSessions - 2 {
		s.begin(localCaller(), now.Add(time.Duration(i+2)*time.Second))
	}
	s.use(first, now.Add(time.Hour))
	s.begin(localCaller(), now.Add(time.Hour))
	if len(s.open) != maxAdminSessions || !s.use(first, now.Add(time.Hour)) || s.use(second, now.Add(time.Hour)) {
		t.Errorf("%d sessions; the one that was used the longest ago is not the one that ended", len(s.open))
	}
	s.end(first)
	s.end(first) // is no harm
	if s.use(first, now.Add(time.Hour)) {
		t.Error("a session that has ended is in use")
	}
}

func TestAfterLoginOnlyPagesFollow(t *testing.T) {
	for next, want := range map[string]string{
		"":                                           "/dashboard",
		"/dashboard":                                 "/dashboard",
		"/dashboard/search?decision=deny&a=":         "/dashboard/search?decision=deny&a=",
		"/dashboard/events/a%2Fb/c/7":                "/dashboard/events/a%2Fb/c/7",
		"/dashboard/pins/x#frag":                     "/dashboard/pins/x",
		"/dashboards":                                "/dashboard",
		"/v1/wrappers":                               "/dashboard",
		"/dashboard/../v1/wrappers":                  "/dashboard",
		"/dashboard/login":                           "/dashboard",
		"/dashboard/logout":                          "/dashboard",
		"/dashboard/live":                            "/dashboard",
		"//evil.example/dashboard":                   "/dashboard",
		"/\\evil.example/dashboard":                  "/dashboard",
		"https://evil.example/dashboard":             "/dashboard",
		"javascript:alert(1)":                        "/dashboard",
		"/dashboard/\r\nSet-Cookie: a=b":             "/dashboard",
		"dashboard":                                  "/dashboard",
		"/dashboard/" + strings.Repeat("a", maxNext): "/dashboard",
	} {
		if got := nextPage(&url.URL{RawQuery: url.Values{"next": {next}}.Encode()}); got != want {
			t.Errorf("next=%q leads to %q, want %q", next, got, want)
		}
	}
}

// Wherever it leads, it is a page of this very host.
func FuzzNextPage(f *testing.F) {
	for _, seed := range []string{"/dashboard", "//evil", "/dashboard//evil", "/dashboard/%2e%2e/x", "/\t/evil", "http:/dashboard"} {
		f.Add(seed)
	}
	base := &url.URL{Scheme: "http", Host: "127.0.0.1:8081", Path: "/dashboard/login"}
	f.Fuzz(func(t *testing.T, next string) {
		got := nextPage(&url.URL{RawQuery: url.Values{"next": {next}}.Encode()})
		u, err := base.Parse(got)
		if err != nil || u.Scheme != base.Scheme || u.Host != base.Host || u.User != nil ||
			u.Path != "/dashboard" && !strings.HasPrefix(u.Path, "/dashboard/") || strings.ContainsAny(got, "\r\n\\") {
			t.Errorf("next=%q leads to %q, that is %v, %v", next, got, u, err)
		}
	})
}

func TestAttemptsAreCountedByNeighbourhood(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7:1234":          "192.0.2.7",
		"[::ffff:192.0.2.7]:1":    "192.0.2.7",
		"[2001:db8:1:2:3::4]:443": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1":        "fe80::/64",
		"@":                       "@",
	} {
		if got := neighbourhood(remote); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}
