package uplink

import (
	"context"
	"net/http"
	"time"
)

// PathDashboard is where administrators who may see all servers get a link to the dashboard. POST, without a body; answers
// DashboardLink. A hub without a dashboard refuses it with CodeNoDashboard.
const (
	PathDashboard   = "/v1/dashboard"
	CodeNoDashboard = "no_dashboard"
)

// A DashboardLink logs whoever opens it first in to the dashboard. It is a secret until it is used or has expired.
type DashboardLink struct {
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
	Local   bool      `json:"local,omitzero"` // it leads there on the hub's own machine only
}

// Dashboard asks for a link to the dashboard. It is for administrators.
func (c *Client) Dashboard(ctx context.Context) (DashboardLink, error) {
	var link DashboardLink
	err := c.call(ctx, "ask for the dashboard", request{method: http.MethodPost, path: PathDashboard}, &link)
	return link, err
}
