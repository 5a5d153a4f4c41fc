package dashboard

import (
	"net/url"
	"time"
)

// spans are what a page can look back on. Steps are chosen so that a plot has 60 to 120 of them.
var spans = []struct {
	name, title string
	long, step  time.Duration
}{
	{"1h", "1 hour", time.Hour, time.Minute},
	{"6h", "6 hours", 6 * time.Hour, 5 * time.Minute},
	{"24h", "24 hours", 24 * time.Hour, 15 * time.Minute},
	{"7d", "7 days", 7 * 24 * time.Hour, 2 * time.Hour},
	{"30d", "30 days", 30 * 24 * time.Hour, 6 * time.Hour},
}

const usualSpan = "24h"

// A spanLink is one of the spans that a page offers.
type spanLink struct {
	Name, Title, Href string
	Current           bool
}

// spanOf reads ?span=. What is no span is the usual one. The span ends with the step that now is in.
func spanOf(query url.Values, now time.Time) (Span, string) {
	name := query.Get("span")
	for _, s := range spans {
		if s.name == name {
			until := now.UTC().Truncate(s.step).Add(s.step)
			return Span{Since: until.Add(-s.long), Until: until, Step: s.step}, name
		}
	}
	return spanOf(url.Values{"span": {usualSpan}}, now)
}

// spanLinks returns links to the same page over each span.
func spanLinks(path string, query url.Values, current string) []spanLink {
	links := make([]spanLink, 0, len(spans))
	for _, s := range spans {
		q := url.Values{"span": {s.name}}
		if tool := query.Get("tool"); tool != "" {
			q.Set("tool", tool)
		}
		links = append(links, spanLink{Name: s.name, Title: s.title, Href: path + "?" + q.Encode(), Current: s.name == current})
	}
	return links
}

// spanTitle returns how a span is called.
func spanTitle(name string) string {
	for _, s := range spans {
		if s.name == name {
			return s.title
		}
	}
	return name
}
