package dashboard

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

const (
	livePatience = 10 * time.Second // for one write to a browser
	liveRows     = 40               // that a page begins with, and catches up with
	liveText     = 80               // of one text in a row, in bytes
)

// A liveRow is a row of the live list. The page is born with some, and the script makes the others of the same cells.
type liveRow struct {
	Key   string // of the event: no event is shown twice
	Class string
	Cells []liveCell
}

// A liveCell is text, a link where Href is set, a time where At is.
type liveCell struct {
	Class string
	Href  string
	At    *stamp
	Text  string
}

// liveRowOf makes a row of an event: time, verdict, server, subject, client, and why.
func liveRowOf(now time.Time, e Event) liveRow {
	v := eventViewOf(now, e)
	row := liveRow{Key: v.Path, Class: v.Class}
	add := func(class, text, href string) {
		row.Cells = append(row.Cells, liveCell{Class: class, Text: clip(text, liveText), Href: href})
	}
	row.Cells = append(row.Cells, liveCell{Class: "when", Href: v.Path, At: v.When})
	add("verdict", v.Verdict, "")
	if e.Server == "" {
		add("server", "", "")
	} else {
		add("server", e.Server, serverPath(e.Server))
	}
	if v.Subject == "" {
		add("subject", e.Reason, "") // such as what a wrapper says of its own life
	} else {
		add("subject", v.Subject, v.About)
	}
	if e.Client == "" {
		add("client", e.ClientName, "")
	} else {
		add("client", e.Client, searchPath(Query{Client: e.Client}))
	}
	return row
}

func liveRowsOf(now time.Time, events []Event) []liveRow {
	events = noteworthy(events)
	rows := make([]liveRow, len(events))
	for i, e := range events {
		rows[i] = liveRowOf(now, e)
	}
	return rows
}

// serveLive streams what arrives, as server-sent events. A browser that comes back is sent the newest first, and leaves out what it
// has.
func (h *handler) serveLive(w http.ResponseWriter, r *http.Request) {
	recent, err := h.recent(r.Context())
	if err != nil {
		h.fail(w, r, err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // asks proxies to pass on what they get
	control := http.NewResponseController(w)
	send := func(b []byte) error {
		// A server without deadlines, as in tests, is not worth failing for: the write says when it cannot be done.
		_ = control.SetWriteDeadline(time.Now().Add(livePatience))
		if _, err := w.Write(b); err != nil {
			return err
		}
		return control.Flush()
	}
	first := append([]byte("retry: 2000\nevent: recent\ndata: {"), appendRows(nil, liveRowsOf(h.now(), recent))...)
	if err := send(append(first, "}\n\n"...)); err != nil {
		return
	}
	// An error has nobody to go to: the browser sees that the stream has ended, and comes back.
	_ = h.source.Live(r.Context(), func(t Tick) error { return send(appendTick(nil, h.now(), t)) })
}

func (h *handler) recent(ctx context.Context) ([]Event, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := h.source.Search(ctx, Query{Limit: liveRows})
	return found.Events, err
}

// appendTick appends one tick as an event of the stream.
func appendTick(b []byte, now time.Time, t Tick) []byte {
	b = append(b, "event: tick\ndata: {\"missed\":"...)
	b = strconv.AppendInt(b, t.Missed, 10)
	b = append(b, `,"rate":`...)
	b = appendQuoted(b, rate(t.PerSec))
	b = append(b, `,"total":`...)
	b = appendQuoted(b, number(t.Total))
	b = append(b, `,"alive":`...)
	b = appendQuoted(b, number(int64(t.Alive)))
	if t.Dropped {
		b = append(b, `,"dropped":true`...)
	}
	b = append(b, ',')
	b = appendRows(b, liveRowsOf(now, t.Events))
	return append(b, "}\n\n"...)
}

func rate(perSecond float64) string {
	if perSecond < 10 {
		return trimmed(perSecond, 1)
	}
	return number(int64(perSecond))
}

// appendRows appends rows as the script reads them. All text from outside comes in segments, of which none is hidden.
func appendRows(b []byte, rows []liveRow) []byte {
	b = append(b, `"rows":[`...)
	for i, row := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(append(b, `{"key":`...), row.Key)
		b = appendQuoted(append(b, `,"class":`...), row.Class)
		b = append(b, `,"cells":[`...)
		for j, cell := range row.Cells {
			if j > 0 {
				b = append(b, ',')
			}
			b = appendCell(b, cell)
		}
		b = append(b, "]}"...)
	}
	return append(b, ']')
}

func appendCell(b []byte, cell liveCell) []byte {
	b = appendQuoted(append(b, `{"class":`...), cell.Class)
	if cell.Href != "" {
		b = appendQuoted(append(b, `,"href":`...), cell.Href)
	}
	if cell.At != nil {
		b = appendQuoted(append(b, `,"at":`...), cell.At.Machine)
		b = appendQuoted(append(b, `,"full":`...), cell.At.Full)
		b = appendQuoted(append(b, `,"clock":`...), cell.At.Clock)
		if cell.At.Date != "" {
			b = appendQuoted(append(b, `,"date":`...), cell.At.Date)
		}
	}
	b = append(b, `,"text":[`...)
	for i, s := range segments(cell.Text, false) {
		if i > 0 {
			b = append(b, ',')
		}
		if s.Code == "" {
			b = appendQuoted(append(b, `{"t":`...), s.Text)
		} else {
			b = appendQuoted(append(b, `{"c":`...), s.Code)
			b = appendQuoted(append(b, `,"n":`...), s.Name)
		}
		b = append(b, '}')
	}
	return append(b, "]}"...)
}
