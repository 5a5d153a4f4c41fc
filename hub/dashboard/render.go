package dashboard

import (
	"context"
	"embed"
	"html/template"
	"net/http"
	"sync"
)

//go:embed templates/*.html
var templateFiles embed.FS

// templates is made when it is first asked for, as assets are.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"asset":     assetPath,
		"lines":     func(text string) []segment { return segments(clip(text, maxText), true) },
		"bytes":     bytesText,
		"indented":  indented,
		"latency":   latency,
		"millis":    millis,
		"number":    number,
		"count":     func(n int) string { return number(int64(n)) },
		"passage":   passageOf,
		"pins":      pinsPath,
		"plain":     plain,
		"segments":  func(text string) []segment { return segments(clip(text, maxText), false) },
		"serverAt":  serverPath,
		"share":     share,
		"toolAt":    toolPath,
		"searchFor": searchFor,
	}).ParseFS(templateFiles, "templates/*.html"))
})

// searchFor is the search for all events with one text.
func searchFor(name, text string) string {
	var q Query
	for _, f := range searchTexts {
		if f.name == name {
			*f.of(&q) = text
		}
	}
	return searchPath(q)
}

// A frame is what is around every page.
type frame struct {
	Title    string
	Section  string // of the navigation
	Viewer   string
	Version  string
	Sections []section
	Live     bool // the page wants the script
}

type section struct {
	Path, Title string
	Current     bool
}

func (h *handler) frame(ctx context.Context, title, sectionTitle string) frame {
	return frame{
		Title: title, Section: sectionTitle, Viewer: viewerOf(ctx).Name, Version: h.version, Sections: sectionsOf(sectionTitle),
	}
}

func sectionsOf(current string) []section {
	sections := []section{
		{Path: root, Title: "Overview"}, {Path: root + "/fleet", Title: "Fleet"}, {Path: root + "/pins", Title: "Pins"},
		{Path: root + "/search", Title: "Search"}, {Path: root + "/chains", Title: "Record"},
	}
	for i := range sections {
		sections[i].Current = sections[i].Title == current
	}
	return sections
}

// A message is a page that says one thing.
type message struct {
	frame
	Status int
	Text   string
}

// ErrorPage answers with a page that says what is wrong and what to do about it. Text may come from outside.
func ErrorPage(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	SecurityHeaders(w.Header())
	viewer := viewerOf(r.Context()).Name
	page := message{frame: frame{Title: title, Viewer: viewer}, Status: status, Text: text}
	if viewer != "" { // who is not let in can go nowhere
		page.Sections = sectionsOf("")
	}
	write(w, status, "error", page)
}

// LoginPage answers with the form for a hub token, which is posted as "token" to the address that the page is at. Problem says why
// the one before did not do.
func LoginPage(w http.ResponseWriter, status int, problem string) {
	SecurityHeaders(w.Header())
	write(w, status, "login", message{frame: frame{Title: "Log in"}, Status: status, Text: problem})
}
