package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rohitgs28/mcpx/hub/dashboard"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
)

// A dashboardSource is what the pages show: what the store has, and what the hub is doing now.
type dashboardSource struct {
	hub   *Hub
	fleet *fleet
	store *store.Store
	live  *live
	check chainCheck

	overviews memo[dashboard.Span, dashboard.Overview]
	servers   memo[serverKey, dashboard.Server]
	fleets    memo[struct{}, uplink.Fleet]
	waiting   memo[struct{}, int]
}

type serverKey struct {
	name string
	span dashboard.Span
}

const (
	pageAsks     = 5 * time.Second // for what a page asks the store
	keepPage     = time.Second
	keepFleet    = 2 * time.Second
	keepWaiting  = 10 * time.Second
	recentEvents = 20
	maxPageFound = 200
	usualPage    = 50
	maxPoints    = 2000
	modeEnforce  = "enforce"
	methodCall   = "tools/call"
	decisionDeny = "deny"
)

func newDashboardSource(h *Hub, f *fleet) *dashboardSource {
	d := &dashboardSource{hub: h, fleet: f, store: f.store}
	d.overviews = memo[dashboard.Span, dashboard.Overview]{keep: keepPage, patience: pageAsks}
	d.servers = memo[serverKey, dashboard.Server]{keep: keepPage, patience: pageAsks}
	d.fleets = memo[struct{}, uplink.Fleet]{keep: keepFleet, patience: pageAsks}
	d.waiting = memo[struct{}, int]{keep: keepWaiting, patience: pageAsks}
	d.live = newLive(f.store.Arrived, d.alive)
	return d
}

// Overview is the first page.
func (d *dashboardSource) Overview(ctx context.Context, span dashboard.Span) (dashboard.Overview, error) {
	return d.overviews.get(ctx, span, func(ctx context.Context) (dashboard.Overview, error) { return d.overview(ctx, span) })
}

func (d *dashboardSource) overview(ctx context.Context, span dashboard.Span) (o dashboard.Overview, err error) {
	o.Span = span
	if o.Series, o.Total, o.Latency, err = d.series(ctx, store.Name{}, span); err != nil {
		return o, err
	}
	by, err := d.store.ByServer(ctx, whole(span))
	if err != nil {
		return o, fmt.Errorf("count by server: %w", err)
	}
	recent, err := d.store.ByServer(ctx, lately())
	if err != nil {
		return o, fmt.Errorf("count by server: %w", err)
	}
	sharpen(by, recent)
	all, err := d.allWrappers(ctx)
	if err != nil {
		return o, err
	}
	o.Events, o.Wrappers, o.WrappersAlive = all.Events, len(all.Wrappers), aliveOf(all.Wrappers)
	for i := range all.Chains {
		o.ChainProblems += all.Chains[i].Problems
	}
	o.Servers = d.serverRows(by, all.Wrappers)
	if o.Recent, err = d.events(ctx, store.Filter{}, recentEvents); err != nil {
		return o, err
	}
	o.PendingReviews, err = d.waiting.get(ctx, struct{}{}, d.store.Undecided)
	return o, err
}

// lately is the last hour: figures of a long span are read in long steps, which say too little of when something was last.
func lately() store.Span {
	now := time.Now()
	return store.Span{Since: now.Add(-time.Hour), Until: now}
}

// sharpen takes over when something was last.
func sharpen[K comparable](by, recent map[K]store.Figures) {
	for name, f := range recent {
		if whole, known := by[name]; known && f.Last.After(whole.Last) {
			whole.Last = f.Last
			by[name] = whole
		}
	}
}

// serverRows are all servers that anything happened with, that are served here or that a wrapper that is alive has; those with
// the most calls come first.
func (d *dashboardSource) serverRows(by map[string]store.Figures, wrappers []uplink.Wrapper) []dashboard.ServerRow {
	s := d.hub.state.Load()
	names := make(map[string]bool, len(by))
	for name := range by {
		if name != "" { // what is about no server
			names[name] = true
		}
	}
	for name := range s.routes {
		names[name] = true
	}
	for i := range wrappers {
		if wrappers[i].Alive {
			names[wrappers[i].Server] = true
		}
	}
	rows := make([]dashboard.ServerRow, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		rows = append(rows, s.serverRow(name, by[name]))
	}
	slices.SortStableFunc(rows, func(a, b dashboard.ServerRow) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(b.Requests, a.Requests))
	})
	return rows
}

func (s *state) serverRow(name string, f store.Figures) dashboard.ServerRow {
	return dashboard.ServerRow{
		Name: name, Gateway: s.routes[name] != nil, Mode: s.mode(name),
		Counts: countsOf(f), Latency: latencyOf(&f.Latency), Last: f.Last,
	}
}

// mode says whether the rules of a server are in effect here; "": there are none for it.
func (s *state) mode(name string) string {
	p, known := s.policy(name)
	switch {
	case !known:
		return ""
	case p.Shadow:
		return uplink.ModeShadow
	default:
		return modeEnforce
	}
}

// Server is the page of one server.
func (d *dashboardSource) Server(ctx context.Context, name string, span dashboard.Span) (dashboard.Server, error) {
	return d.servers.get(ctx, serverKey{name, span}, func(ctx context.Context) (dashboard.Server, error) { return d.server(ctx, name, span) })
}

func (d *dashboardSource) server(ctx context.Context, name string, span dashboard.Span) (p dashboard.Server, err error) {
	p.Span = span
	all, err := d.allWrappers(ctx)
	if err != nil {
		return p, err
	}
	for i := range all.Wrappers {
		if all.Wrappers[i].Server == name {
			p.Wrappers = append(p.Wrappers, wrapperOf(&all.Wrappers[i]))
		}
	}
	s := d.hub.state.Load()
	if s.mode(name) == "" && len(p.Wrappers) == 0 { // then only what was recorded of it
		any, err := d.events(ctx, store.Filter{Server: name}, 1)
		if err != nil {
			return p, err
		}
		if name == "" || len(any) == 0 {
			return p, fmt.Errorf("server %q: %w", name, dashboard.ErrNotFound)
		}
	}
	total, err := d.total(ctx, store.Name{Server: name}, span)
	if err != nil {
		return p, err
	}
	p.ServerRow = s.serverRow(name, total)
	if p.Series, err = d.points(ctx, store.Name{Server: name}, span); err != nil {
		return p, err
	}
	tools, err := d.store.ByTool(ctx, name, whole(span))
	if err != nil {
		return p, fmt.Errorf("count by tool: %w", err)
	}
	recent, err := d.store.ByTool(ctx, name, lately())
	if err != nil {
		return p, fmt.Errorf("count by tool: %w", err)
	}
	sharpen(tools, recent)
	p.Tools = toolRows(tools)
	p.Denied, err = d.events(ctx, store.Filter{Server: name, Decision: decisionDeny}, recentEvents)
	return p, err
}

// toolRows are the tools with the most calls first, and what has no name of its own last.
func toolRows(by map[store.Name]store.Figures) []dashboard.ToolRow {
	rows := make([]dashboard.ToolRow, 0, len(by))
	for name, f := range by {
		rows = append(rows, toolRow(name, f))
	}
	slices.SortFunc(rows, func(a, b dashboard.ToolRow) int {
		return cmp.Or(compareFlags(a.Other, b.Other), cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Name, b.Name))
	})
	return rows
}

func toolRow(name store.Name, f store.Figures) dashboard.ToolRow {
	return dashboard.ToolRow{Name: name.Tool, Other: name.Other, Counts: countsOf(f), Latency: latencyOf(&f.Latency), Last: f.Last}
}

// Tool is the page of one tool.
func (d *dashboardSource) Tool(ctx context.Context, server, tool string, span dashboard.Span) (p dashboard.Tool, err error) {
	name := store.Name{Server: server, Tool: tool}
	p.Server, p.Span = server, span
	if p.Recent, err = d.events(ctx, store.Filter{Server: server, Target: tool, Method: methodCall}, recentEvents); err != nil {
		return p, err
	}
	total, err := d.total(ctx, name, span)
	if err != nil {
		return p, err
	}
	if server == "" || tool == "" || len(p.Recent) == 0 && total.Calls == 0 {
		return p, fmt.Errorf("tool %q of server %q: %w", tool, server, dashboard.ErrNotFound)
	}
	p.ToolRow = toolRow(name, total)
	if len(p.Recent) > 0 && p.Recent[0].Time.After(p.Last) {
		p.Last = p.Recent[0].Time
	}
	p.Series, err = d.points(ctx, name, span)
	return p, err
}

// series returns a plot and its sums.
func (d *dashboardSource) series(ctx context.Context, of store.Name, span dashboard.Span) ([]dashboard.Point, dashboard.Counts, dashboard.Latency, error) {
	points, err := d.points(ctx, of, span)
	if err != nil {
		return nil, dashboard.Counts{}, dashboard.Latency{}, err
	}
	total, err := d.total(ctx, of, span)
	return points, countsOf(total), latencyOf(&total.Latency), err
}

// total returns the figures of a span as a whole.
func (d *dashboardSource) total(ctx context.Context, of store.Name, span dashboard.Span) (store.Figures, error) {
	figures, err := d.store.Series(ctx, of, whole(span))
	if err != nil {
		return store.Figures{}, fmt.Errorf("count: %w", err)
	}
	if len(figures) == 0 {
		return store.Figures{}, nil
	}
	return figures[0], nil
}

// points returns a plot: every step, also those with nothing.
func (d *dashboardSource) points(ctx context.Context, of store.Name, span dashboard.Span) ([]dashboard.Point, error) {
	if span.Step < time.Minute || !span.Since.Before(span.Until) || span.Until.Sub(span.Since)/span.Step > maxPoints {
		return nil, fmt.Errorf("%w: a span of up to %d steps of a minute or more is needed", dashboard.ErrInvalid, maxPoints)
	}
	figures, err := d.store.Series(ctx, of, store.Span{Since: span.Since, Until: span.Until, Step: span.Step})
	if err != nil {
		return nil, fmt.Errorf("count over time: %w", err)
	}
	return spread(span, figures), nil
}

// spread puts figures into the steps of a span.
func spread(span dashboard.Span, figures []store.Figures) []dashboard.Point {
	first := span.Since.UTC().Truncate(span.Step)
	points := make([]dashboard.Point, 0, span.Until.Sub(first)/span.Step+1)
	for at := first; at.Before(span.Until); at = at.Add(span.Step) {
		points = append(points, dashboard.Point{At: at})
	}
	for i := range figures {
		f := &figures[i]
		at := f.At.Sub(first) / span.Step
		if f.At.Before(first) || int(at) >= len(points) {
			continue
		}
		points[at].Counts, points[at].Latency = countsOf(*f), latencyOf(&f.Latency) // steps of the store are not shorter: there is one
	}
	return points
}

// whole is a span all in one.
func whole(span dashboard.Span) store.Span { return store.Span{Since: span.Since, Until: span.Until} }

func countsOf(f store.Figures) dashboard.Counts {
	return dashboard.Counts{Calls: f.Calls, Denied: f.Denied, Shadowed: f.Shadowed, Errors: f.Errors, Requests: f.Requests}
}

func latencyOf(h *store.Histogram) dashboard.Latency {
	n := h.N()
	if n == 0 {
		return dashboard.Latency{}
	}
	return dashboard.Latency{N: n, P50: h.Quantile(0.5), P95: h.Quantile(0.95), P99: h.Quantile(0.99)}
}

// pageError turns an error of the store into one that the pages tell apart.
func pageError(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("%w: %w", dashboard.ErrNotFound, err)
	case errors.Is(err, store.ErrInvalid):
		return fmt.Errorf("%w: %w", dashboard.ErrInvalid, err)
	default:
		return err
	}
}
