package uplink

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// MaxFound is how many events a hub gives at once.
const MaxFound = 1000

// A Search says which events of a hub are wanted: those that agree with all that is set. Texts are compared exactly.
type Search struct {
	Server    string
	Target    string // a tool, prompt or resource
	Decision  string // allow or deny
	Principal string // whose token brought it
	Kind      string // of the event
	Outcome   string // one of the log's, or failed: tool_error, error, timeout or dropped
	Client    string
	Method    string
	Rule      string // that decided, or would have
	Host      string
	User      string
	Trace     string // 32 hex digits
	Shadowed  bool   // only what was allowed in shadow mode alone
	Since     time.Time
	Until     time.Time // exclusive
	Limit     int       // 0: as many as a hub gives at once
	Before    string    // Found.Next of the page before; "": the first page, which has the newest
}

// Found is a page of events, newest first. It may be short, or empty, before the last: a hub searches for a moment only. Searched is
// then how far back it has come, and Next goes on from there.
type Found struct {
	Events   []FoundEvent `json:"events"`
	Next     string       `json:"next,omitempty"` // where the next page begins; "": this is the last
	Searched time.Time    `json:"searched,omitzero"`
}

// A FoundEvent is an event as a hub has it. Line is that of the log to the byte, so that its hash is that of the chain.
type FoundEvent struct {
	Principal string `json:"principal"`
	Chain     string `json:"chain"`
	Flaw      string `json:"flaw,omitempty"` // what is wrong with its place in the chain
	Line      string `json:"line"`
}

// Events is for administrators. It searches what wrappers have sent and the hub has recorded.
func (c *Client) Events(ctx context.Context, s Search) (Found, error) {
	path := PathEvents
	if values := s.values().Encode(); values != "" {
		path += "?" + values
	}
	var found Found
	err := c.call(ctx, "search events", request{method: http.MethodGet, path: path}, &found)
	return found, err
}

// texts are the parameters of a search that are texts.
func (s *Search) texts() map[string]*string {
	return map[string]*string{
		"server": &s.Server, "target": &s.Target, "decision": &s.Decision, "principal": &s.Principal, "kind": &s.Kind,
		"outcome": &s.Outcome, "client": &s.Client, "method": &s.Method, "rule": &s.Rule, "host": &s.Host, "user": &s.User,
		"trace": &s.Trace, "before": &s.Before,
	}
}

func (s *Search) times() map[string]*time.Time {
	return map[string]*time.Time{"since": &s.Since, "until": &s.Until}
}

func (s *Search) values() url.Values {
	values := make(url.Values)
	for name, text := range s.texts() {
		if *text != "" {
			values.Set(name, *text)
		}
	}
	for name, at := range s.times() {
		if !at.IsZero() {
			values.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if s.Shadowed {
		values.Set("shadowed", "true")
	}
	if s.Limit != 0 {
		values.Set("limit", strconv.Itoa(s.Limit))
	}
	return values
}

// ParseSearch reads the query of a URL strictly: a parameter that is not known, or there twice, would widen the search.
func ParseSearch(query string) (Search, error) {
	var s Search
	values, err := url.ParseQuery(query)
	if err != nil {
		return s, fmt.Errorf("read search: %w", err)
	}
	texts, times := s.texts(), s.times()
	for name, all := range values {
		if len(all) != 1 {
			return s, fmt.Errorf("read search: parameter %q is there %d times", name, len(all))
		}
		var err error
		switch text, at := texts[name], times[name]; {
		case text != nil:
			*text = all[0]
		case at != nil:
			*at, err = time.Parse(time.RFC3339Nano, all[0])
		case name == "shadowed":
			if s.Shadowed = all[0] == "true"; !s.Shadowed {
				err = fmt.Errorf("%q is not true", all[0])
			}
		case name == "limit":
			if s.Limit, err = strconv.Atoi(all[0]); err == nil && (s.Limit < 1 || s.Limit > MaxFound) {
				err = fmt.Errorf("%d is not between 1 and %d", s.Limit, MaxFound)
			}
		default:
			return s, fmt.Errorf("read search: parameter %q is not known", name)
		}
		if err != nil {
			return s, fmt.Errorf("read search: parameter %q: %w", name, err)
		}
	}
	return s, nil
}
