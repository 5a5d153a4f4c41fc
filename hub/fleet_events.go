package hub

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// batchPatience is how long a batch waits for its turn before its sender is asked to come again.
const batchPatience = time.Second

// serveEvents stores a batch of events of one chain.
func (f *fleet) serveEvents(w *recorder, r *http.Request, c *caller, _ []string) error {
	result, err := f.takeEvents(w, r, c)
	f.metrics.batches.WithLabelValues(result).Inc()
	return err
}

// takeEvents also returns the name of what became of the batch.
func (f *fleet) takeEvents(w *recorder, r *http.Request, c *caller) (result string, err error) {
	b, err := batchOf(r.Header)
	if err != nil {
		return batchRefused, err
	}
	patience, cancel := context.WithTimeout(r.Context(), batchPatience)
	turn := f.batches.wait(patience, c.Name)
	cancel()
	if !turn {
		return batchBusy, tooMany("too many batches of events are under way: send this one again")
	}
	defer f.batches.give(c.Name)
	if !f.chains.allow(c.Name, b.Chain, time.Now()) {
		return batchBusy, tooMany("too many chains of events within an hour")
	}
	if b.Lines, err = f.read(w, r, uplink.MaxBatchBody, uplink.MaxBatch); err != nil {
		return batchRefused, err
	}
	switch lines := bytes.Count(b.Lines, []byte{'\n'}); {
	case lines == 0 || b.Lines[len(b.Lines)-1] != '\n':
		return batchRefused, badRequest("a batch is one line or more, each with its end")
	case lines > uplink.MaxBatchEvents:
		return batchRefused, tooLarge("a batch has at most " + strconv.Itoa(uplink.MaxBatchEvents) + " events")
	}
	a, err := f.append(r.Context(), c, b)
	behind := new(uplink.BehindError)
	switch {
	case errors.As(err, &behind):
		return batchBehind, f.giveAs(w, http.StatusConflict, uplink.Acknowledgement{Acked: behind.Acked})
	case errors.Is(err, store.ErrInvalid):
		return batchRefused, stored(err, "")
	case err != nil:
		return batchFailed, stored(err, "")
	}
	return batchStored, f.giveAs(w, http.StatusOK, uplink.Acknowledgement{Acked: a.Acked, Stored: len(a.New)})
}

// batchOf reads the headers of a batch.
func batchOf(h http.Header) (store.Batch, error) {
	chains, gaps := h[uplink.HeaderChain], h[uplink.HeaderGap]
	if len(chains) != 1 || !uplink.ValidChain(chains[0]) {
		return store.Batch{}, badRequest(uplink.HeaderChain + " names the one chain that the events are of")
	}
	if len(gaps) > 1 || len(gaps) == 1 && gaps[0] != uplink.GapDeclared {
		return store.Batch{}, badRequest(uplink.HeaderGap + " says " + uplink.GapDeclared + ", or is left out")
	}
	return store.Batch{Chain: chains[0], Gap: len(gaps) == 1}, nil
}

// append stores a batch of a caller, records what is wrong with it, and counts what is new.
func (f *fleet) append(ctx context.Context, c *caller, b store.Batch) (*store.Appended, error) {
	b.Principal = c.Name
	if len(c.Servers) > 0 {
		b.Covers = c.covers
	}
	a, err := f.store.Append(ctx, b, func(a *store.Appended) error { return f.report(c, b.Chain, a) })
	if err != nil {
		return nil, err
	}
	f.metrics.record(c.Name, slices.DeleteFunc(slices.Clone(a.New), func(r *audit.Record) bool { return r.Server != "" && !c.covers(r.Server) }))
	return a, nil
}

// maxReported bounds the problems of one batch that are recorded one by one.
const maxReported = 20

// report records what is wrong with a batch in the hub's own log, before the store says that it has it. It runs inside the
// store's writer, so it does not ask the store for anything.
func (f *fleet) report(c *caller, chain string, a *store.Appended) error {
	if len(a.Problems) == 0 {
		return nil
	}
	host := ""
	if len(a.New) > 0 {
		host = a.New[0].Host
	}
	link := f.hub.opt.Record.Link(audit.LinkInfo{Client: c.Name})
	for i, p := range a.Problems {
		f.metrics.problems.WithLabelValues(problemLabel(p.Reason)).Inc()
		reason, detail := p.Reason, p.Detail
		switch n := f.problems.step(c.Name, time.Now()); {
		case n > maxProblems+1:
			continue
		case n == maxProblems+1:
			reason, detail = "chain_problems", "too many within an hour: more are counted, not recorded"
		case i == maxReported:
			reason, detail = "chain_problems", strconv.Itoa(len(a.Problems)-i)+" more in the same batch"
		case i > maxReported:
			continue
		}
		link.Append(&audit.Event{Kind: audit.Anomaly, Reason: reason, Detail: problemDetail(chain, p.Seq, host, detail)})
		f.log.Warn().Str("client", c.Name).Str("chain", chain).Uint64("seq", p.Seq).Str("reason", reason).Msg("a chain of events is not what was written")
	}
	return f.hub.opt.Record.Commit()
}

// chainProblems are the reasons that the store gives.
var chainProblems = [...]string{"chain_gap", "chain_fork", "chain_edited", "chain_foreign_server", "chain_malformed"}

// problemLabel bounds the values of a label.
func problemLabel(reason string) string {
	if slices.Contains(chainProblems[:], reason) {
		return reason
	}
	return otherLabel
}

func problemDetail(chain string, seq uint64, host, detail string) []byte {
	b := jsonrpc.AppendString([]byte(`{"chain":`), chain)
	b = strconv.AppendUint(append(b, `,"seq":`...), seq, 10)
	b = jsonrpc.AppendString(append(b, `,"host":`...), host)
	b = jsonrpc.AppendString(append(b, `,"detail":`...), detail)
	return append(b, '}')
}
