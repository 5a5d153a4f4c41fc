package dashboard

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	usualLimit = 50
	maxLimit   = 200
	maxValue   = 2 << 10 // of one value of a search, in bytes
)

// A searchText is a member of a Query that is text, and its field of the form.
type searchText struct {
	name, label, hint string
	of                func(*Query) *string
	options           []option // fixed words; nil: any text
}

// An option is a word that a field of the form can have.
type option struct{ Value, Title string }

var searchTexts = []searchText{
	{name: "server", label: "Server", of: func(q *Query) *string { return &q.Server }},
	{name: "target", label: "Tool, prompt or resource", of: func(q *Query) *string { return &q.Target }},
	{name: "principal", label: "Principal", of: func(q *Query) *string { return &q.Principal }},
	{name: "client", label: "Client", of: func(q *Query) *string { return &q.Client }},
	{name: "method", label: "Method", hint: "tools/call", of: func(q *Query) *string { return &q.Method }},
	{name: "rule", label: "Rule", of: func(q *Query) *string { return &q.Rule }},
	{name: "host", label: "Host", of: func(q *Query) *string { return &q.Host }},
	{name: "trace", label: "Trace id", hint: "32 hex digits", of: func(q *Query) *string { return &q.TraceID }},
	{name: "decision", label: "Decision", of: func(q *Query) *string { return &q.Decision }, options: []option{
		{"", "any"}, {"allow", "allow"}, {"deny", "deny"}, {"shadow", "would deny (shadow)"},
	}},
	{name: "outcome", label: "Outcome", of: func(q *Query) *string { return &q.Outcome }, options: []option{
		{"", "any"}, {"failed", "failed (any way)"}, {"ok", "ok"}, {"tool_error", "tool error"}, {"error", "error"},
		{"denied", "denied"}, {"timeout", "timeout"}, {"cancelled", "cancelled"}, {"dropped", "dropped"},
	}},
	{name: "kind", label: "Kind", of: func(q *Query) *string { return &q.Kind }, options: []option{
		{"", "any"}, {"decision", "decision"}, {"outcome", "outcome"}, {"integrity", "integrity"}, {"lifecycle", "lifecycle"},
		{"anomaly", "anomaly"},
	}},
	{name: "before", of: func(q *Query) *string { return &q.Before }},
}

// parseQuery reads a search from the query of an address. Members that it does not know are left alone: links get them on their
// way. Its errors are for the person who asked.
func parseQuery(values url.Values, now time.Time) (Query, error) {
	q := Query{Limit: usualLimit}
	for _, f := range searchTexts {
		text := values.Get(f.name)
		if len(text) > maxValue {
			return Query{}, fmt.Errorf("%s is longer than %d bytes", f.name, maxValue)
		}
		text = unplain(text)
		if f.options != nil && !slices.ContainsFunc(f.options, func(o option) bool { return o.Value == text }) {
			return Query{}, fmt.Errorf("%s is %q: choose one of the list", f.name, plain(clip(text, maxShort)))
		}
		*f.of(&q) = text
	}
	var err error
	if q.Since, err = parseTime(values.Get("since"), now); err != nil {
		return Query{}, fmt.Errorf("since: %w", err)
	}
	if q.Until, err = parseTime(values.Get("until"), now); err != nil {
		return Query{}, fmt.Errorf("until: %w", err)
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return Query{}, fmt.Errorf("until is not after since: nothing is in between")
	}
	if text := values.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > maxLimit {
			return Query{}, fmt.Errorf("limit is %q: give 1 to %d", plain(clip(text, maxShort)), maxLimit)
		}
	}
	return q, nil
}

// layouts are how people write a time, from the longest to the shortest.
var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"}

// parseTime reads a time in UTC, or how long ago it was: 90m, 6h, 7d.
func parseTime(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.UTC().AddDate(0, 0, -int(n)), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.UTC().Add(-d), nil
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: give it as 2006-01-02 15:04 in UTC, or as 6h or 7d for so long ago", plain(clip(text, maxShort)))
}
