package dashboard_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/hub/dashboard"
)

// pages are all pages, with addresses that hold a text where an address can.
func pages(text string) []string {
	in := escaped("a" + text)
	return []string{
		"/dashboard", "/dashboard?span=30d", "/dashboard/fleet", "/dashboard/servers/" + in, "/dashboard/servers/" + in + "/tools?tool=" + in,
		"/dashboard/search?rule=" + in + "&target=" + in, "/dashboard/search?decision=" + in, "/dashboard/search?since=" + in,
		"/dashboard/events/" + in + "/" + in + "/3", "/dashboard/pins", "/dashboard/pins/" + in, "/dashboard/chains", "/dashboard/nowhere/" + in,
	}
}

func escaped(text string) string {
	var b strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&b, "%%%02X", text[i])
	}
	return b.String()
}

// get renders a page of a fake whose texts all hold text.
func get(f *fake, address string) *httptest.ResponseRecorder {
	pages := dashboard.New(dashboard.Options{Source: f, Version: "1.2.3" + f.text, Now: noonClock})
	r := httptest.NewRequest(http.MethodGet, address, nil)
	w := httptest.NewRecorder()
	pages.ServeHTTP(w, r.WithContext(dashboard.WithViewer(r.Context(), dashboard.Viewer{Name: "ana" + f.text})))
	return w
}

// shape is the tree of a page: elements with the names of their attributes. What text may change is left out: how it is cut into
// marks, whether it is folded, and which of its words differ. The page must be well-formed XML, which also proves that every
// element is closed and every value quoted.
func shape(page string) ([]string, error) {
	decoder := xml.NewDecoder(strings.NewReader(page))
	decoder.Entity = map[string]string{}
	decoder.AutoClose = nil
	var found []string
	skip := 0 // how deep in an element that is left out
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			name := token.Name.Local
			if skip > 0 || varies(token) {
				if err := checkTag(token); err != nil {
					return nil, err
				}
				skip++
				continue
			}
			if err := checkTag(token); err != nil {
				return nil, err
			}
			var attributes []string
			for _, a := range token.Attr {
				attributes = append(attributes, a.Name.Local)
			}
			found = append(found, name+" "+strings.Join(attributes, " "))
		case xml.EndElement:
			if skip > 0 {
				skip--
				continue
			}
			found = append(found, "/"+token.Name.Local)
		case xml.Comment, xml.ProcInst:
			return nil, fmt.Errorf("there is a %T", token)
		}
	}
}

// varies says whether what an element holds depends on the characters of a text.
func varies(e xml.StartElement) bool {
	switch e.Name.Local {
	case "bdi", "del", "ins":
		return true
	}
	for _, a := range e.Attr {
		if a.Name.Local == "class" && (a.Value == "ctl" || a.Value == "long") {
			return true
		}
	}
	return false
}

// checkTag holds what no text may bring into a page.
func checkTag(e xml.StartElement) error {
	switch e.Name.Local {
	case "iframe", "object", "embed", "base", "style", "foreignObject", "use", "animate", "set":
		return fmt.Errorf("there is a %s", e.Name.Local)
	}
	for _, a := range e.Attr {
		name := strings.ToLower(a.Name.Local)
		switch {
		case strings.HasPrefix(name, "on"), name == "style", name == "srcdoc":
			return fmt.Errorf("%s has %s=%q", e.Name.Local, name, a.Value)
		case name == "src" && !strings.HasPrefix(a.Value, dashboard.AssetsPath):
			return fmt.Errorf("%s has src=%q", e.Name.Local, a.Value)
		case (name == "href" || name == "action") && a.Value != "" && a.Value != "#main" && a.Value != "/dashboard" && !strings.HasPrefix(a.Value, "/dashboard/") && !strings.HasPrefix(a.Value, "/dashboard?"):
			return fmt.Errorf("%s has %s=%q", e.Name.Local, name, a.Value)
		}
	}
	return nil
}

// unseen finds a character that no page may hold, by the tables of Unicode.
func unseen(page string) (rune, bool) {
	for _, r := range page {
		switch {
		case r == '\n' || r == '\t' || r == ' ':
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Zs, unicode.Co, unicode.Variation_Selector,
			unicode.Bidi_Control, unicode.Join_Control, unicode.Other_Default_Ignorable_Code_Point):
			return r, true
		}
	}
	return 0, false
}

// harmlessShapes are the shapes of all pages over a text that could do nothing.
func harmlessShapes(t testing.TB, few bool) [][]string {
	t.Helper()
	var shapes [][]string
	for _, address := range pages("x") {
		found, err := shape(get(&fake{now: noon, text: "x", few: few}, address).Body.String())
		if err != nil {
			t.Fatal(err)
		}
		shapes = append(shapes, found)
	}
	return shapes
}

// checkPage holds that a page over a text has no unseen character, and the shape that it has over any other.
func checkPage(t *testing.T, f *fake, address string, harmless []string) {
	t.Helper()
	page := get(f, address).Body.String()
	if r, found := unseen(page); found {
		t.Fatalf("%s holds %U", address, r)
	}
	got, err := shape(page)
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	if diff := cmp.Diff(harmless, got); diff != "" {
		t.Fatalf("%s: %q changes the page: harmless -, got +:\n%s", address, f.text, diff)
	}
}

// checkLive holds that rows of the stream bring the text as text, to the character.
func checkLive(t *testing.T, text string) {
	t.Helper()
	f := &fake{now: noon, text: text}
	e := f.event(0)
	e.Server = text
	data := dashboard.AppendTick(noon, dashboard.Tick{Events: []dashboard.Event{e}})
	if strings.Count(string(data), "\n") != 3 {
		t.Fatalf("a tick is torn: %q", data)
	}
	if r, found := unseen(string(data)); found {
		t.Fatalf("a tick holds %U", r)
	}
	var tick struct {
		Rows []struct {
			Cells []struct {
				Class, Href string
				Text        []struct{ T, C, N string }
			}
		}
	}
	_, document, _ := strings.Cut(string(data), "data: ")
	if err := json.Unmarshal([]byte(document), &tick); err != nil {
		t.Fatalf("%v: %s", err, document)
	}
	for _, cell := range tick.Rows[0].Cells {
		if cell.Href != "" && !strings.HasPrefix(cell.Href, "/dashboard/") {
			t.Fatalf("a cell leads to %q", cell.Href)
		}
	}
}

func TestHostileTextIsText(t *testing.T) {
	harmless := harmlessShapes(t, true)
	for _, text := range []string{
		hostile, "<!--", "-->", "]]>", "<![CDATA[", "</title></style></script></textarea><svg onload=alert(1)>", `"><img src=x onerror=alert(1)>`,
		"'", `"`, "`", "&", "&#x3c;script&#x3e;", "{{.}}{{template \"error\"}}", "javascript:alert(1)", "//evil.example/", "\\\\evil.example", "\u2028\u2029",
		"../../..", "%2e%2e%2f", "?x#y", "\x1b]8;;http://evil.example\x07click\x1b]8;;\x07", strings.Repeat("\u0301", 40), strings.Repeat("long ", 200),
		"\U000e0020\U000e007f\ufe0f", "\xc3\x28\xf0\x28\x8c\xbc", "\x00", " ", "\n\n\n",
	} {
		for i, address := range pages(text) {
			checkPage(t, &fake{now: noon, text: text, few: true}, address, harmless[i])
		}
		checkLive(t, text)
	}
}

func FuzzPages(f *testing.F) {
	for i := range pages("") {
		f.Add(hostile, i)
		f.Add("'\"><!--{{}}\u202e", i)
	}
	harmless := harmlessShapes(f, true)
	f.Fuzz(func(t *testing.T, text string, page int) {
		if text == "" || len(text) > 500 { // sections of nothing are left out; an address has room for as much, escaped
			return
		}
		i := int(uint(page) % uint(len(harmless)))
		checkPage(t, &fake{now: noon, text: text, few: true}, pages(text)[i], harmless[i])
		checkLive(t, text)
	})
}
