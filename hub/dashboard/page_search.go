package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// A field is a field of the form of a search.
type field struct {
	Name, Label, Hint, Value string
	Options                  []fieldOption
}

type fieldOption struct {
	option
	Selected bool
}

// A quick is a search that is one click away.
type quick struct {
	Title, Href string
	Current     bool
}

type searchPage struct {
	frame
	Fields   []field
	Quick    []quick
	Set      int    // how many fields are set
	Problem  string // of what was asked
	Events   []eventView
	Next     string // address of the page after this one
	First    string // address of the first page; "": this is it
	Searched *stamp
}

func (h *handler) search(ctx context.Context, r *http.Request) (view, error) {
	now, values := h.now(), r.URL.Query()
	page := searchPage{frame: h.frame(ctx, "Search", "Search")}
	for _, f := range searchTexts {
		if f.name == "before" {
			continue
		}
		value := plain(unplain(clip(values.Get(f.name), maxValue)))
		page.Fields = append(page.Fields, fieldOf(f, value))
		if value != "" {
			page.Set++
		}
	}
	for _, name := range []string{"since", "until"} {
		value := plain(clip(values.Get(name), maxShort))
		page.Fields = append(page.Fields, field{Name: name, Label: strings.ToUpper(name[:1]) + name[1:] + " (UTC)", Hint: "6h, 7d or 2006-01-02 15:04", Value: value})
		if value != "" {
			page.Set++
		}
	}
	for _, q := range []struct {
		title string
		query Query
	}{
		{"Everything", Query{}}, {"Denials", Query{Decision: "deny"}}, {"Failures", Query{Outcome: "failed"}},
		{"Would be denied", Query{Decision: "shadow"}}, {"Integrity", Query{Kind: "integrity"}}, {"Anomalies", Query{Kind: "anomaly"}},
	} {
		path := searchPath(q.query)
		page.Quick = append(page.Quick, quick{Title: q.title, Href: path, Current: path == root+"/search"+onlyIf(values.Encode() != "", "?"+values.Encode())})
	}

	query, err := parseQuery(values, now)
	if err != nil {
		page.Problem = err.Error()
		return view{"search", page}, nil
	}
	found, err := h.source.Search(ctx, query)
	if err != nil {
		return view{}, err
	}
	page.Events = eventViews(now, found.Events)
	page.Searched = stampOf(now, found.Searched)
	if query.Before != "" {
		first := query
		first.Before = ""
		page.First = searchPath(first)
	}
	if found.Next != "" {
		query.Before = found.Next
		page.Next = searchPath(query)
	}
	return view{"search", page}, nil
}

func fieldOf(f searchText, value string) field {
	made := field{Name: f.name, Label: f.label, Hint: f.hint, Value: value}
	for _, o := range f.options {
		made.Options = append(made.Options, fieldOption{o, o.Value == value})
	}
	return made
}

// A member is a line of the page of an event.
type member struct {
	Name, Text, Href string
	Code             bool
}

type eventPage struct {
	frame
	Event          eventView
	Members        []member
	Documents      []member // JSON
	Line           string
	Hash, Prev     string
	Related        []eventView
	Previous, Next string
}

func (h *handler) event(ctx context.Context, r *http.Request) (view, error) {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil {
		return view{}, ErrNotFound
	}
	d, err := h.source.Event(ctx, nameOf(r.PathValue("principal")), nameOf(r.PathValue("chain")), seq)
	if err != nil {
		return view{}, err
	}
	now := h.now()
	page := eventPage{
		frame: h.frame(ctx, "Event "+number(int64(min(seq, 1<<62))), "Search"),
		Event: eventViewOf(now, d.Event), Members: membersOf(d.Event), Line: d.Line, Hash: d.Hash, Prev: d.Prev,
		Related: eventViews(now, d.Related),
	}
	for _, document := range []member{{Name: "Arguments", Text: d.Args}, {Name: "Client", Text: d.ClientInfo}, {Name: "Server", Text: d.ServerInfo}} {
		if document.Text != "" {
			document.Text = indented(clip(document.Text, maxText))
			page.Documents = append(page.Documents, document)
		}
	}
	if d.Previous && seq > 0 {
		page.Previous = eventPath(d.Principal, d.Chain, seq-1)
	}
	if d.Next {
		page.Next = eventPath(d.Principal, d.Chain, seq+1)
	}
	return view{"event", page}, nil
}

// membersOf lists what an event says, each with the search for more of it.
func membersOf(e Event) []member {
	var members []member
	add := func(name, text, href string, code bool) {
		if text != "" {
			members = append(members, member{name, text, href, code})
		}
	}
	server, subject := "", ""
	if e.Server != "" {
		server = serverPath(e.Server)
	}
	if e.Target != "" {
		subject = eventViewOf(e.Time, e).About
	}
	add("Server", e.Server, server, false)
	add("Target", e.Target, subject, true)
	add("Method", e.Method, searchFor("method", e.Method), true)
	add("Kind", e.Kind, searchFor("kind", e.Kind), false)
	add("Decision", e.Decision, searchFor("decision", e.Decision), false)
	add("Rule", e.Rule, searchFor("rule", e.Rule), true)
	add("Reason", e.Reason, "", false)
	add("Outcome", e.Outcome, searchFor("outcome", e.Outcome), false)
	if e.HasLatency {
		add("Latency", millis(e.Latency), "", false)
	}
	if e.BytesIn+e.BytesOut > 0 {
		add("Size", fmt.Sprintf("%s in, %s out", bytesText(e.BytesIn), bytesText(e.BytesOut)), "", false)
	}
	add("Client", e.Client, searchFor("client", e.Client), false)
	add("Principal", e.Principal, searchFor("principal", e.Principal), false)
	add("Host", e.Host, searchFor("host", e.Host), false)
	add("User", e.User, "", false)
	add("Source", e.Source, "", false)
	add("Protocol", e.Era, "", false)
	add("Request", e.RequestID, "", true)
	add("Session", e.Session, "", true)
	add("Trace", e.TraceID, searchFor("trace", e.TraceID), true)
	add("Event id", e.EventID, "", true)
	return members
}
