package store

import (
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

const (
	perInsert    = 32              // rows that one statement inserts
	eventColumns = 18              // of table events
	ahead        = 5 * time.Minute // that a wrapper's clock may be ahead of ours, or its events would be the newest for so long
)

// store inserts what the walk found.
func (a *appender) store() error {
	if err := a.open(); err != nil {
		return err
	}
	id, err := a.w.nextID(a.now)
	if err != nil {
		return err
	}
	a.figures = count{}
	a.out.New = make([]*audit.Record, 0, len(a.walk.found))
	events := make([]any, 0, perInsert*eventColumns)
	lines := make([]any, 0, perInsert*2)
	for left := a.walk.found; len(left) > 0; {
		n := 1
		if len(left) >= perInsert {
			n = perInsert
		}
		events, lines = events[:0], lines[:0]
		for _, f := range left[:n] {
			if events, err = a.appendEvent(events, id, f); err != nil {
				return err
			}
			lines = append(lines, id, f.raw)
			a.out.New = append(a.out.New, f.record)
			id++
		}
		if err := a.w.exec(insertEvents()[n], events...); err != nil {
			return err
		}
		if err := a.w.exec(insertLines()[n], lines...); err != nil {
			return err
		}
		left = left[n:]
	}
	return nil
}

// The statements, by how many rows they insert. They are put together when they are first needed, not whenever mcpx starts.
var (
	insertEvents = sync.OnceValue(func() map[int]string { return map[int]string{1: eventsOf(1), perInsert: eventsOf(perInsert)} })
	insertLines  = sync.OnceValue(func() map[int]string { return map[int]string{1: linesOf(1), perInsert: linesOf(perInsert)} })
)

func eventsOf(rows int) string {
	return `INSERT INTO events (id, chain, seq, at, principal, kind, decision, outcome, flaw,
		server, target, client, method, rule, host, user, latency, trace) VALUES ` + values(rows, eventColumns)
}

func linesOf(rows int) string { return `INSERT INTO lines (id, line) VALUES ` + values(rows, 2) }

func values(rows, columns int) string {
	row := "(?" + strings.Repeat(",?", columns-1) + ")"
	return row + strings.Repeat(","+row, rows-1)
}

// appendEvent appends the columns of an event.
func (a *appender) appendEvent(to []any, id int64, f found) (_ []any, err error) {
	r := f.record
	at := r.Time.UnixMilli()
	if r.Time.After(a.now.Add(ahead)) {
		at = a.now.UnixMilli()
	}
	o := occurrence{
		at: at, kind: code(kindCodes, string(r.Kind)), decision: code(decisionCodes, r.Decision), outcome: code(outcomeCodes, r.Outcome),
		call: r.Method == methodCall, latency: -1,
	}
	if policy.Shadowed(r.Decision, r.Reason) {
		o.decision = shadowCode
	}
	flaw, foreign := f.flaw, !a.covers(r.Server)
	if foreign && flaw == 0 {
		flaw = flawForeign
	}
	to = append(to, id, a.chain, int64(r.Seq), at, a.principal, o.kind, o.decision, o.outcome, flaw) //nolint:gosec // below maxSeq
	texts := len(to)
	day := dayOf(a.now)
	for _, text := range [...]string{r.Server, r.Target, r.Client, r.Method, r.Rule, r.Host, r.User} {
		id, err := a.w.text(text, day)
		if err != nil {
			return nil, err
		}
		to = append(to, id)
	}
	o.server, _ = to[texts].(int64) // nil: 0
	o.tool, _ = to[texts+1].(int64)
	if micros, ok := latencyOf(r); ok {
		o.latency = micros
		to = append(to, micros)
	} else {
		to = append(to, nil)
	}
	if !foreign { // it would be counted among what others say of their server
		if err := a.w.count(a.figures, &o, a.now); err != nil {
			return nil, err
		}
	}
	return append(to, traceOf(r.TraceID)), nil
}

// latencyOf returns the latency that an outcome tells, in microseconds.
func latencyOf(r *audit.Record) (micros int64, ok bool) {
	if r.Kind != audit.Outcome || !(r.LatencyMS >= 0 && r.LatencyMS < 1e12) {
		return 0, false
	}
	return int64(r.LatencyMS * 1000), true
}

const traceBytes = 16 // of a trace id

// traceOf returns the bytes of a trace id as they are kept, nil for none. Wrappers of before wrote the whole traceparent.
func traceOf(text string) any {
	if len(text) > 35 && text[2] == '-' {
		text = text[3:35]
	}
	id, err := hex.DecodeString(text)
	if err != nil || len(id) != traceBytes {
		return nil
	}
	return id
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }
func dayOf(t time.Time) int64  { return t.Unix() / 86400 }

// nextID returns the id of the next event, and keeps when it arrives. Ids rise also where all events were removed.
func (w *writer) nextID(now time.Time) (int64, error) {
	var last, first int64
	if err := w.one(`SELECT coalesce(max(id), 0) FROM events`, nil, &last); err != nil {
		return 0, err
	}
	var hour int64
	err := w.one(`SELECT first, hour FROM arrivals ORDER BY first DESC LIMIT 1`, nil, &first, &hour)
	if err != nil && !isNone(err) {
		return 0, err
	}
	next := max(last+1, first)
	if err == nil && hour == hourOf(now) {
		return next, nil
	}
	return next, w.exec(`INSERT OR REPLACE INTO arrivals (first, hour) VALUES (?, ?)`, next, hourOf(now))
}
