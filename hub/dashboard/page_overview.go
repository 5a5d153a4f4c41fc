package dashboard

import (
	"context"
	"net/http"
	"time"
)

// A serverView is a row of a table of servers.
type serverView struct {
	ServerRow
	Seen *stamp
}

// A tile is one number at the head of a page.
type tile struct {
	Name, Value, Note string
	Href              string
	Class             string
}

// A scope is the span that a page is about, with ways to others.
type scope struct {
	Links []spanLink
	Title string
}

type overviewPage struct {
	frame
	Scope    scope
	Tiles    []tile
	State    []tile
	Problems int64
	Plots    []plot
	Servers  []serverView
	More     int64 // servers that are not shown
	Rows     []liveRow
}

// maxServerRows bounds a table of servers: wrappers name as many as they like. Those of the hub's own configuration are always there.
const maxServerRows = 300

func (h *handler) overview(ctx context.Context, r *http.Request) (view, error) {
	now, query := h.now(), r.URL.Query()
	span, name := spanOf(query, now)
	o, err := h.source.Overview(ctx, span)
	if err != nil {
		return view{}, err
	}
	page := overviewPage{
		frame:    h.frame(ctx, "Overview", "Overview"),
		Scope:    scope{Links: spanLinks(root, query, name), Title: spanTitle(name)},
		Tiles:    tilesOf(o.Total, o.Latency, Query{Since: span.Since}),
		State:    stateOf(o),
		Problems: o.ChainProblems,
		Plots:    []plot{callsPlot("calls", o.Span, o.Series, o.Total), latencyPlot("latency", o.Span, o.Series, o.Latency)},
		Rows:     liveRowsOf(now, o.Recent),
	}
	page.Live = true
	for _, s := range o.Servers {
		if len(page.Servers) >= maxServerRows && !s.Gateway && s.Mode == "" {
			page.More++
			continue
		}
		page.Servers = append(page.Servers, serverView{ServerRow: s, Seen: stampOf(now, s.Last)})
	}
	return view{"overview", page}, nil
}

// tilesOf sums a span up. In is what the searches that tiles lead to have in common.
func tilesOf(n Counts, l Latency, in Query) []tile {
	denied, failed, shadowed := in, in, in
	denied.Decision, failed.Outcome, shadowed.Decision = "deny", "failed", "shadow"
	tiles := []tile{
		{Name: "Calls", Value: number(n.Calls), Note: number(n.Requests) + " requests of all kinds", Href: searchPath(in)},
		{Name: "Denied", Value: number(n.Denied), Note: share(n.Denied, n.Calls), Href: searchPath(denied), Class: onlyIf(n.Denied > 0, "deny")},
		{Name: "Failed", Value: number(n.Errors), Note: share(n.Errors, n.Calls), Href: searchPath(failed), Class: onlyIf(n.Errors > 0, "fail")},
	}
	if n.Shadowed > 0 {
		tiles = append(tiles, tile{
			Name: "Would be denied", Value: number(n.Shadowed), Note: share(n.Shadowed, n.Calls) + " in shadow mode", Href: searchPath(shadowed), Class: "shadow",
		})
	}
	return append(tiles, tile{Name: "p50", Value: latency(l, l.P50), Note: "half are faster"}, tile{Name: "p95", Value: latency(l, l.P95), Note: "p99 " + latency(l, l.P99)})
}

func stateOf(o Overview) []tile {
	wrappers := tile{Name: "Wrappers alive", Value: number(int64(o.WrappersAlive)), Note: "of " + number(int64(o.Wrappers)), Href: root + "/fleet"}
	record := tile{Name: "Record", Value: number(o.Events), Note: "events, every chain intact as received", Href: root + "/chains", Class: "good"}
	if o.ChainProblems > 0 {
		record.Note, record.Class = plural(o.ChainProblems, "problem of a chain", "problems of chains"), "deny"
	}
	pins := tile{Name: "To review", Value: number(int64(o.PendingReviews)), Note: "definitions of tools", Href: root + "/pins"}
	if o.PendingReviews > 0 {
		pins.Class = "fail"
	}
	return []tile{wrappers, record, pins}
}

func onlyIf(is bool, text string) string {
	if is {
		return text
	}
	return ""
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// A toolView is a row of a table of tools.
type toolView struct {
	ToolRow
	Path string // "": of no tool alone
	Seen *stamp
}

type serverPage struct {
	frame
	Name     string
	Server   ServerRow
	Scope    scope
	Tiles    []tile
	Plots    []plot
	Tools    []toolView
	Wrappers []wrapperView
	Denied   []eventView
}

func (h *handler) server(ctx context.Context, r *http.Request) (view, error) {
	now, query, server := h.now(), r.URL.Query(), nameOf(r.PathValue("server"))
	span, name := spanOf(query, now)
	s, err := h.source.Server(ctx, server, span)
	if err != nil {
		return view{}, err
	}
	page := serverPage{
		frame:    h.frame(ctx, "Server "+plain(server), "Fleet"),
		Name:     server,
		Server:   s.ServerRow,
		Scope:    scope{Links: spanLinks(serverPath(server), query, name), Title: spanTitle(name)},
		Tiles:    tilesOf(s.Counts, s.Latency, Query{Server: server, Since: span.Since}),
		Plots:    []plot{callsPlot("calls", s.Span, s.Series, s.Counts), latencyPlot("latency", s.Span, s.Series, s.Latency)},
		Wrappers: wrapperViews(now, s.Wrappers),
		Denied:   eventViews(now, s.Denied),
	}
	for _, t := range s.Tools {
		v := toolView{ToolRow: t, Seen: stampOf(now, t.Last)}
		if !t.Other {
			v.Path = toolPath(server, t.Name)
		}
		page.Tools = append(page.Tools, v)
	}
	return view{"server", page}, nil
}

type toolPage struct {
	frame
	Server, Name string
	Scope        scope
	Tiles        []tile
	Plots        []plot
	Seen         *stamp
	Recent       []eventView
}

func (h *handler) tool(ctx context.Context, r *http.Request) (view, error) {
	now, query, server := h.now(), r.URL.Query(), nameOf(r.PathValue("server"))
	tool := unplain(query.Get("tool"))
	if tool == "" {
		return view{}, ErrNotFound
	}
	span, name := spanOf(query, now)
	t, err := h.source.Tool(ctx, server, tool, span)
	if err != nil {
		return view{}, err
	}
	return view{"tool", toolPage{
		frame:  h.frame(ctx, "Tool "+plain(clip(tool, maxShort))+" of "+plain(server), "Fleet"),
		Server: server, Name: tool,
		Scope:  scope{Links: spanLinks(serverPath(server)+"/tools", query, name), Title: spanTitle(name)},
		Tiles:  tilesOf(t.Counts, t.Latency, Query{Server: server, Target: tool, Since: span.Since}),
		Plots:  []plot{callsPlot("calls", t.Span, t.Series, t.Counts), latencyPlot("latency", t.Span, t.Series, t.Latency)},
		Seen:   stampOf(now, t.Last),
		Recent: eventViews(now, t.Recent),
	}}, nil
}

// A wrapperView is a row of a table of wrappers.
type wrapperView struct {
	Wrapper
	Start, Last  *stamp
	State, Class string
}

func wrapperViews(now time.Time, wrappers []Wrapper) []wrapperView {
	views := make([]wrapperView, len(wrappers))
	for i, w := range wrappers {
		v := wrapperView{Wrapper: w, Start: stampOf(now, w.Started), Last: stampOf(now, w.Seen)}
		switch {
		case len(w.Problems) > 0:
			v.State, v.Class = "problem", "deny"
		case w.Alive:
			v.State, v.Class = "alive", "ok"
		case w.Ended:
			v.State, v.Class = "ended", "note"
		default:
			v.State, v.Class = "silent", "fail"
		}
		views[i] = v
	}
	return views
}

type fleetPage struct {
	frame
	Wrappers []wrapperView
	Gateway  []GatewayServer
	Alive    int
}

func (h *handler) fleet(ctx context.Context, _ *http.Request) (view, error) {
	fleet, err := h.source.Fleet(ctx)
	if err != nil {
		return view{}, err
	}
	page := fleetPage{frame: h.frame(ctx, "Fleet", "Fleet"), Wrappers: wrapperViews(h.now(), fleet.Wrappers), Gateway: fleet.Gateway}
	for _, w := range fleet.Wrappers {
		if w.Alive {
			page.Alive++
		}
	}
	return view{"fleet", page}, nil
}
