package hub

import (
	"net/http"
	"net/url"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// serveDashboard makes a link that logs somebody in to the dashboard, once.
func (f *fleet) serveDashboard(w *recorder, r *http.Request, c *caller, _ []string) error {
	a := f.hub.admin
	if a == nil || a.address == nil {
		return &refusal{status: http.StatusNotFound, code: uplink.CodeNoDashboard, message: "this hub has no dashboard: its configuration says admin.enabled: false, or it was started with --admin none"}
	}
	if err := mayLook(c); err != nil {
		return err
	}
	code, until := a.codes.create(c, time.Now())
	return f.give(w, uplink.DashboardLink{
		URL:     a.link(f.hostOf(r, c)) + "/login?code=" + url.QueryEscape(code),
		Expires: until.UTC(),
		Local:   a.url == "" && a.loopback,
	})
}

// dashboardOf is where a caller finds the dashboard, "" if there is none for him.
func (f *fleet) dashboardOf(r *http.Request, c *caller) string {
	a := f.hub.admin
	if a == nil || a.address == nil || mayLook(c) != nil {
		return ""
	}
	return a.link(f.hostOf(r, c))
}

// hostOf is the name by which a caller knows this machine, "" if it is the caller's own.
func (f *fleet) hostOf(r *http.Request, c *caller) string {
	if c.secret == "" {
		return "127.0.0.1"
	}
	return r.Host
}
