package store

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/rohitgs28/mcpx/integrity/audit"
)

// The reasons of problems.
const (
	ReasonGap       = "chain_gap"            // the sender says that it does not have some events
	ReasonFork      = "chain_fork"           // another event of this number is there already; this one is not stored
	ReasonEdited    = "chain_edited"         // an event does not follow the one that was sent before it
	ReasonMalformed = "chain_malformed"      // a line is no event; it is not stored
	ReasonForeign   = "chain_foreign_server" // events of a server that the sender may not speak for
)

const (
	maxLine = 512 << 10     // of an event, as package audit reads it
	maxSeq  = math.MaxInt64 // that SQLite can hold
)

// A Problem is a place where a chain is not what was written, or a batch is not what its sender may send. Of one chain each is
// told once, and maxProblems of all.
type Problem struct {
	Reason string // ReasonGap …
	Seq    uint64 // of the event, or of the one that should stand there
	Detail string

	about string // what it is told of once
}

// maxProblems is how many problems of one chain are kept: it is known to be bad by then, and a liar could go on for ever.
const maxProblems = 100

// A line is one of a batch, as it was read.
type line struct {
	raw    []byte
	record *audit.Record // nil: it is no event
	prev   [sha256.Size]byte
	sum    [sha256.Size]byte
	err    error // why
}

// readLines parses the lines of a batch. One that is too long is not looked at.
func readLines(batch []byte) []line {
	lines := make([]line, 0, bytes.Count(batch, []byte("\n"))+1)
	for len(batch) > 0 {
		var raw []byte
		raw, batch, _ = bytes.Cut(batch, []byte("\n"))
		lines = append(lines, readLine(raw))
	}
	return lines
}

func readLine(raw []byte) line {
	if len(raw) >= maxLine {
		return line{raw: raw, err: fmt.Errorf("it is longer than %d bytes", maxLine)}
	}
	r, err := audit.Parse(raw)
	if err != nil {
		return line{raw: raw, err: err}
	}
	if r.Seq >= maxSeq {
		return line{raw: raw, err: errors.New("seq is too large")}
	}
	l := line{raw: raw, record: r, sum: audit.Sum(raw)}
	if n, err := hex.Decode(l.prev[:], []byte(r.Prev)); err != nil || n != len(l.prev) {
		return line{raw: raw, err: errors.New("prev is no SHA-256")}
	}
	return l
}

// A walk follows a chain from its head through the lines of a batch.
type walk struct {
	seq    uint64 // of the last event
	hash   [sha256.Size]byte
	gap    bool                             // the next event may have a later number
	stored func(seq uint64) ([]byte, error) // the line of an event that is stored; nil if there is none any more
	report func(Problem) error              // is told each problem, also those that are known
	found  []found
	asked  int // how often stored was
}

// A found is an event that is to be stored.
type found struct {
	*line
	flaw int64
}

// errJump ends a walk at an event that does not follow.
var errJump = errors.New("events are missing before it")

// follow takes what continues the chain, up to a jump that nothing explains: that is errJump.
func (w *walk) follow(lines []line) error {
	for i := range lines {
		if err := w.step(&lines[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) step(l *line) error {
	switch {
	case l.record == nil:
		w.gap = true // what stood there is missing, or more
		return w.problem(ReasonMalformed, w.seq+1, "a line after event %d is no event: %v", w.seq, l.err)
	case l.record.Seq <= w.seq:
		return w.again(l)
	case l.record.Seq == w.seq+1:
		return w.next(l)
	case w.gap:
		err := w.problem(ReasonGap, l.record.Seq, "%s", missing(w.seq+1, l.record.Seq-1))
		w.take(l, flawGap)
		return err
	default:
		return errJump
	}
}

// again judges an event whose number the chain has passed. It is nothing new if it is the one that was stored, or if none is
// stored any more. In one batch maxProblems are looked up: an honest one has none that Append did not drop before.
func (w *walk) again(l *line) error {
	raw, err := w.line(l.record.Seq)
	if err != nil || raw == nil || bytes.Equal(raw, l.raw) {
		return err
	}
	return w.problem(ReasonFork, l.record.Seq, "another event %d is stored", l.record.Seq)
}

// line returns the line of an event that is stored, or is going to be.
func (w *walk) line(seq uint64) ([]byte, error) {
	i, ok := slices.BinarySearchFunc(w.found, seq, func(f found, seq uint64) int { return cmp.Compare(f.record.Seq, seq) })
	switch {
	case ok:
		return w.found[i].raw, nil
	case i > 0, w.asked == maxProblems: // i > 0: in a gap
		return nil, nil
	}
	w.asked++
	return w.stored(seq)
}

func (w *walk) next(l *line) error {
	if l.prev == w.hash {
		w.take(l, 0)
		return nil
	}
	err := w.problem(ReasonEdited, l.record.Seq, "event %d was not written after the event %d that was sent", l.record.Seq, w.seq)
	w.take(l, flawEdited)
	return err
}

func (w *walk) take(l *line, flaw int64) {
	w.found = append(w.found, found{l, flaw})
	w.seq, w.hash, w.gap = l.record.Seq, l.sum, false
}

func (w *walk) problem(reason string, seq uint64, format string, args ...any) error {
	return w.report(Problem{Reason: reason, Seq: seq, Detail: clip(fmt.Sprintf(format, args...)), about: strconv.FormatUint(seq, 10)})
}

func missing(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("event %d is missing", from)
	}
	return fmt.Sprintf("events %d to %d are missing", from, to)
}
