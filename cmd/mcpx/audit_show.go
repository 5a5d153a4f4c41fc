package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/integrity/audit"
)

// oneLine makes text from outside safe for a line of a terminal.
func oneLine(s string) string { return strings.ReplaceAll(printable(s), "\n", `\n`) }

// printEvents prints one line for each event, or with --json the line of the log.
func (a *app) printEvents(records []*audit.Record) error {
	if len(records) == 0 {
		return nil
	}
	w := bufio.NewWriter(a.out)
	for _, r := range records {
		if a.json {
			_, _ = w.Write(r.Raw) // Flush tells
			_ = w.WriteByte('\n')
			continue
		}
		_, _ = w.WriteString(eventLine(r) + "\n")
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print events: %w", err)
	}
	return nil
}

// eventLine shows an event: when, what, where, about what, and why.
func eventLine(r *audit.Record) string {
	return strings.TrimRight(strings.Join(eventParts(r), "  "), " ")
}

func eventParts(r *audit.Record) []string {
	parts := []string{
		r.Time.Local().Format("2006-01-02 15:04:05.000"),
		fmt.Sprintf("%-9s", oneLine(headline(r))),
		fmt.Sprintf("%-12s", oneLine(dash(r.Server))),
	}
	about := strings.TrimSpace(r.Method + " " + r.Target)
	if about == "" {
		about, r = r.Reason, withoutReason(r)
	}
	parts = append(parts, fmt.Sprintf("%-28s", oneLine(dash(about))))
	for _, detail := range details(r) {
		parts = append(parts, oneLine(detail))
	}
	return parts
}

func withoutReason(r *audit.Record) *audit.Record {
	plain := *r
	plain.Reason = ""
	return &plain
}

// headline is the word that matters most of an event.
func headline(r *audit.Record) string {
	switch {
	case r.Kind == audit.Decision && r.Decision != "":
		return r.Decision
	case r.Kind == audit.Outcome && r.Outcome != "":
		return r.Outcome
	default:
		return string(r.Kind)
	}
}

// details are what else there is to say, in the order of weight.
func details(r *audit.Record) []string {
	var list []string
	add := func(s string) {
		if s != "" {
			list = append(list, s)
		}
	}
	if r.Rule != "" {
		add("by " + r.Rule)
	}
	add(r.Reason)
	if r.Kind == audit.Outcome {
		add(strconv.FormatFloat(r.LatencyMS, 'f', 1, 64) + " ms")
	}
	if r.Client != "" {
		add("for " + r.Client)
	}
	if r.Kind == audit.Anomaly || r.Kind == audit.Lifecycle {
		add(string(r.Args))
	}
	return list
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// printVerified prints a line for each chain, below it what is wrong with it, and a sum.
func (a *app) printVerified(result *audit.Result) error {
	if a.json {
		return a.printJSON(struct {
			Intact bool `json:"intact"`
			*audit.Result
		}{result.Intact(), result})
	}
	w := bufio.NewWriter(a.out)
	for _, c := range result.Chains {
		state := "ok    "
		if c.Problems > 0 {
			state = "BROKEN"
		}
		name := c.Name
		if len(c.Files) == 1 {
			name = c.Files[0]
		}
		_, _ = fmt.Fprintf(w, "%s  %s  %s in %s%s\n", state, oneLine(name), count(c.Events, "event"), count(len(c.Files), "file"), span(c))
		for _, note := range c.Notes {
			_, _ = fmt.Fprintf(w, "        note: %s\n", oneLine(note))
		}
	}
	for _, p := range result.Problems {
		_, _ = fmt.Fprintf(w, "%s\n", oneLine(p.String()))
	}
	if result.Intact() {
		_, _ = fmt.Fprintf(w, "intact: %s in %s\n", count(result.Events, "event"), count(len(result.Chains), "chain"))
	} else {
		_, _ = fmt.Fprintf(w, "NOT intact: %s\n", count(len(result.Problems), "problem"))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print what was verified: %w", err)
	}
	return nil
}

func span(c audit.Chain) string {
	if c.From.IsZero() {
		return ""
	}
	const layout = time.DateTime
	return ", " + c.From.Local().Format(layout) + " to " + c.To.Local().Format(layout)
}

// export writes the events that are wanted to a new file, or to stdout.
func (a *app) export(path string, q *query, format, name string) (err error) {
	out := a.out
	if name != "" {
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) {
			return fmt.Errorf("%s exists: remove it or name another file", name)
		}
		if err != nil {
			return fmt.Errorf("export events: %w", err)
		}
		defer func() {
			if err = errors.Join(err, file.Close()); err != nil {
				_ = os.Remove(name)
			}
		}()
		out = file
	}
	w := bufio.NewWriter(out)
	if format == "csv" {
		err = a.exportCSV(w, q, path)
	} else {
		err = a.exportLines(w, q, path)
	}
	if err = errors.Join(err, w.Flush()); err != nil {
		return fmt.Errorf("export events: %w", err)
	}
	return q.unread()
}

func (a *app) exportLines(w *bufio.Writer, q *query, path string) error {
	for r, err := range q.find(path) {
		if err != nil {
			a.complain(err)
			continue
		}
		if _, err := w.Write(append(r.Raw, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// csvHead names the columns as the members of an event are named.
var csvHead = []string{
	"time", "id", "seq", "prev", "source", "instance", "host", "user", "server", "client", "client_info", "server_info",
	"era", "session", "request_id", "method", "target", "decision", "rule", "reason", "outcome", "latency_ms",
	"bytes_in", "bytes_out", "trace_id", "args", "kind",
}

func (a *app) exportCSV(w io.Writer, q *query, path string) error {
	table := csv.NewWriter(w)
	if err := table.Write(csvHead); err != nil {
		return err
	}
	for r, err := range q.find(path) {
		if err != nil {
			a.complain(err)
			continue
		}
		if err := table.Write(csvRow(r)); err != nil {
			return err
		}
	}
	table.Flush()
	return table.Error()
}

func csvRow(r *audit.Record) []string {
	row := []string{
		r.Time.Format(time.RFC3339Nano), r.ID, strconv.FormatUint(r.Seq, 10), r.Prev, r.Source, r.Instance, r.Host, r.User,
		r.Server, r.Client, string(r.ClientInfo), string(r.ServerInfo), r.Era, r.Session, r.RequestID, r.Method, r.Target,
		r.Decision, r.Rule, r.Reason, r.Outcome, "", "", "", r.TraceID, string(r.Args), string(r.Kind),
	}
	if r.Kind == audit.Outcome {
		row[21] = strconv.FormatFloat(r.LatencyMS, 'f', -1, 64)
	}
	if r.BytesIn > 0 {
		row[22] = strconv.FormatInt(r.BytesIn, 10)
	}
	if r.BytesOut > 0 {
		row[23] = strconv.FormatInt(r.BytesOut, 10)
	}
	for i, cell := range row {
		if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
			row[i] = "'" + cell
		}
	}
	return row
}
