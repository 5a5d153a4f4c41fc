package dashboard_test

import (
	"context"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/hub/dashboard"
)

// A flood is a record in which somebody has named many servers.
type flood struct{ *fake }

func (f flood) Overview(ctx context.Context, span dashboard.Span) (dashboard.Overview, error) {
	o, err := f.fake.Overview(ctx, span)
	own := o.Servers[0]
	o.Servers = nil
	for i := range 10_000 {
		o.Servers = append(o.Servers, dashboard.ServerRow{Name: "flood" + strconv.Itoa(i), Counts: dashboard.Counts{Calls: 1 << 40}})
	}
	own.Name = "our own"
	o.Servers = append(o.Servers, own)
	return o, err
}

// Whoever names many servers makes no page heavy, and hides none of those that the hub is configured for.
func TestAFloodOfServersIsBounded(t *testing.T) {
	w := httptest.NewRecorder()
	dashboard.New(dashboard.Options{Source: flood{&fake{now: noonClock()}}, Now: noonClock}).ServeHTTP(w, httptest.NewRequest("GET", "/dashboard", nil))
	page := w.Body.String()
	if rows := strings.Count(page, "/dashboard/servers/flood"); rows < 100 || rows > 1000 || len(page) > 1<<20 {
		t.Errorf("there are %d rows and %d bytes", rows, len(page))
	}
	if !strings.Contains(page, ">our own<") || !strings.Contains(page, "more with fewer calls are not shown") {
		t.Error("a server of the configuration is not shown, or not that others are left out")
	}
}
