package store

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

const (
	noTool    = 0  // all of a server
	otherTool = -1 // beyond those that have a name
	maxTools  = 200

	methodCall = "tools/call"

	maxServersKnown = 10_000 // whose tools the writer remembers
)

// An occurrence is what figures need to know of an event. Kind, decision and outcome are numbers of codes.go.
type occurrence struct {
	at                      int64 // in ms
	kind, decision, outcome int64
	call                    bool  // it is about tools/call
	server, tool            int64 // texts; 0: none
	latency                 int64 // in µs; below 0: none
}

// appendMeasures appends what an occurrence counts as.
func (o *occurrence) appendMeasures(to []int64) []int64 {
	switch {
	case o.kind == kindDecision:
		to = append(to, measureRequests)
		if o.call {
			to = append(to, measureCalls)
		}
		if o.call && o.decision == denyCode {
			to = append(to, measureDenied)
		}
		if o.call && o.decision == shadowCode {
			to = append(to, measureShadowed)
		}
	case o.kind == kindOutcome && o.call:
		if failedCodes[o.outcome] {
			to = append(to, measureErrors)
		}
		if o.latency >= 0 {
			to = append(to, measureLatency+bucketOf(o.latency))
		}
	}
	return to
}

// A figureKey is that of a row of table figures.
type figureKey struct{ step, server, tool, at int64 }

// A count is what is to be added to table figures.
type count map[figureKey]*tally

func (c count) add(key figureKey, measures []int64) {
	t := c[key]
	if t == nil {
		t = new(tally)
		c[key] = t
	}
	for _, measure := range measures {
		t.add(measure, 1)
	}
}

// merge adds what another one has.
func (c count) merge(other count) {
	for key, t := range other {
		if c[key] == nil {
			c[key] = t
			continue
		}
		for _, one := range *t {
			c[key].add(one.measure, one.n)
		}
	}
}

// count adds an occurrence to figures, in each of the steps that are kept for as long as it is ago.
func (w *writer) count(to count, o *occurrence, now time.Time) error {
	measures := o.appendMeasures(make([]int64, 0, 4))
	if len(measures) == 0 {
		return nil
	}
	tool := int64(noTool)
	if o.call && o.server != 0 {
		var err error
		if tool, err = w.tool(o.server, o.tool); err != nil {
			return err
		}
	}
	at := floor(o.at, 1000)
	for _, r := range resolutions {
		if r.keep > 0 && at < now.Add(-r.keep).Unix() {
			continue
		}
		step := int64(r.step / time.Second)
		begins := floor(at, step) * step
		to.add(figureKey{step, 0, noTool, begins}, measures)
		if o.server == 0 {
			continue
		}
		to.add(figureKey{step, o.server, noTool, begins}, measures)
		if tool != noTool {
			to.add(figureKey{step, o.server, tool, begins}, measures)
		}
	}
	return nil
}

// floor divides and rounds down, also before 1970.
func floor(n, by int64) int64 {
	q := n / by
	if n%by < 0 {
		q--
	}
	return q
}

// skipTools walks from one tool of a server to the next: there are few, and many figures of each.
const skipTools = `WITH RECURSIVE named (id) AS (
	SELECT min(tool) FROM figures WHERE step = ?1 AND server = ?2 AND tool <> 0
	UNION ALL SELECT (SELECT min(tool) FROM figures WHERE step = ?1 AND server = ?2 AND tool > named.id AND tool <> 0) FROM named WHERE named.id IS NOT NULL) `

// tool returns under which number a tool is counted: its own for the first of a server, then otherTool.
func (w *writer) tool(server, tool int64) (int64, error) {
	known := w.tools[server]
	if known == nil {
		known = map[int64]bool{}
		coarsest := int64(resolutions[len(resolutions)-1].step / time.Second)
		ids, err := w.column(skipTools+`SELECT id FROM named WHERE id > 0`, coarsest, server)
		if err != nil {
			return 0, err
		}
		for _, id := range ids {
			known[id] = true
		}
		if len(w.tools) >= maxServersKnown {
			clear(w.tools)
		}
		w.tools[server] = known
	}
	if tool == 0 || !known[tool] && len(known) >= maxTools {
		return otherTool, nil
	}
	known[tool] = true
	return tool, nil
}

// writeFigures adds to the file what the jobs of a transaction have counted together.
func (w *writer) writeFigures() error {
	order := slices.SortedFunc(maps.Keys(w.figures), func(a, b figureKey) int { // as in the file
		return cmp.Or(cmp.Compare(a.step, b.step), cmp.Compare(a.server, b.server), cmp.Compare(a.tool, b.tool), cmp.Compare(a.at, b.at))
	})
	for _, key := range order {
		t := w.figures[key]
		var before []byte
		err := w.one(`SELECT counts FROM figures WHERE step = ? AND server = ? AND tool = ? AND at = ?`,
			[]any{key.step, key.server, key.tool, key.at}, &before)
		if err == nil {
			err = decodeTally(before, t.add)
		}
		if err != nil && !isNone(err) {
			return err
		}
		err = w.exec(`INSERT INTO figures (step, server, tool, at, counts) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET counts = excluded.counts`, key.step, key.server, key.tool, key.at, t.encode())
		if err != nil {
			return err
		}
	}
	clear(w.figures)
	return nil
}
