package store

import (
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/integrity/audit"
)

// What is counted. The numbers stand in files.
const (
	measureCalls    = 1
	measureDenied   = 2
	measureShadowed = 3
	measureErrors   = 4
	measureRequests = 5
	measureLatency  = 16 // and the number of the bucket
)

const (
	noTool    = 0  // all of a server
	otherTool = -1 // beyond those that have a name
	maxTools  = 200
)

// shadowPrefix begins the reason of a decision that allows what a rule in shadow mode would have denied, as package policy writes it.
const shadowPrefix = "shadow: "

// ShadowPrefix is exported for the test that holds it against that of package policy.
const ShadowPrefix = shadowPrefix

func shadowed(r *audit.Record) bool {
	return r.Decision == allow && strings.HasPrefix(r.Reason, shadowPrefix)
}

// A figureKey is a row of table figures.
type figureKey struct{ step, server, tool, at, measure int64 }

// count adds an event to the figures of a job. server and target are the numbers of its texts, nil for none.
func (a *appender) count(r *audit.Record, at int64, server, target any) error {
	call := r.Method == "tools/call"
	var measures [4]int64
	list := measures[:0]
	switch {
	case r.Kind == audit.Decision:
		list = append(list, measureRequests)
		if call {
			list = append(list, measureCalls)
		}
		if call && r.Decision == deny {
			list = append(list, measureDenied)
		}
		if call && shadowed(r) {
			list = append(list, measureShadowed)
		}
	case r.Kind == audit.Outcome && call:
		if failedCodes[code(outcomeCodes, r.Outcome)] {
			list = append(list, measureErrors)
		}
		if micros, ok := latencyOf(r); ok {
			list = append(list, measureLatency+bucketOf(micros))
		}
	default:
		return nil
	}
	serverID, _ := server.(int64)
	tool := int64(noTool)
	if call && serverID != 0 {
		id, _ := target.(int64)
		var err error
		if tool, err = a.w.tool(serverID, id); err != nil {
			return err
		}
	}
	if a.figures == nil {
		a.figures = map[figureKey]int64{}
	}
	for _, res := range resolutions {
		step := int64(res.step / time.Second)
		begins := at / 1000 / step * step
		for _, measure := range list {
			a.figures[figureKey{step, 0, noTool, begins, measure}]++
			if serverID == 0 {
				continue
			}
			a.figures[figureKey{step, serverID, noTool, begins, measure}]++
			if tool != noTool {
				a.figures[figureKey{step, serverID, tool, begins, measure}]++
			}
		}
	}
	return nil
}

// tool returns under which number a tool is counted: its own for the first of a server, then otherTool.
func (w *writer) tool(server, tool int64) (int64, error) {
	known := w.tools[server]
	if known == nil {
		known = map[int64]bool{}
		ids, err := w.column(`SELECT DISTINCT tool FROM figures WHERE step = 3600 AND server = ? AND tool > 0`, server)
		if err != nil {
			return 0, err
		}
		for _, id := range ids {
			known[id] = true
		}
		if len(w.tools) > maxServersKnown {
			clear(w.tools)
		}
		w.tools[server] = known
	}
	switch {
	case tool == 0 || !known[tool] && len(known) >= maxTools:
		return otherTool, nil
	default:
		known[tool] = true
		return tool, nil
	}
}

// maxServersKnown bounds the servers whose tools the writer remembers.
const maxServersKnown = 10_000

// keepFigures makes what a job has counted a part of its transaction.
func (w *writer) keepFigures(counted map[figureKey]int64) {
	for key, n := range counted {
		w.figures[key] += n
	}
}

// flushFigures writes what the jobs of a transaction have counted.
func (w *writer) flushFigures() error {
	for key, n := range w.figures {
		err := w.exec(`INSERT INTO figures (step, server, tool, at, measure, n) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET n = n + excluded.n`, key.step, key.server, key.tool, key.at, key.measure, n)
		if err != nil {
			return err
		}
	}
	clear(w.figures)
	return nil
}
