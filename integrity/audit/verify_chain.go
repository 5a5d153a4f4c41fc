package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// A verifier walks along one chain.
type verifier struct {
	chain    Chain
	problems []Problem
	instance string
	base     *baseFile
	record   *headFile

	prev     head   // of the line before
	file     string // of the line before
	line     int    // of the line before
	headSeen bool   // the recorded head was passed
}

func verifyChain(res *Result, y layout, hs heads, c chainFiles, record *headFile) error {
	base, err := hs.base(c.instance)
	if err != nil {
		return err
	}
	v := &verifier{chain: Chain{Name: c.name(y.log), Files: []string{}}, instance: c.instance, base: base, record: record}
	for i, s := range c.segments {
		v.chain.Files = append(v.chain.Files, s.path)
		last := i == len(c.segments)-1
		var err error
		if last && c.live != nil {
			err = v.read(c.live, s.path, last)
		} else {
			err = v.segment(s, last)
		}
		if err != nil {
			return err
		}
	}
	v.finish(hs.dir != "")
	v.chain.Problems = len(v.problems)
	if len(v.problems) > maxProblems {
		v.problems = append(v.problems[:maxProblems], Problem{
			File: v.chain.Name, What: fmt.Sprintf("and %d more problems", len(v.problems)-maxProblems),
		})
	}
	res.Chains = append(res.Chains, v.chain)
	res.Problems = append(res.Problems, v.problems...)
	res.Events += v.chain.Events
	return nil
}

func (v *verifier) problem(file string, line int, seq uint64, format string, args ...any) {
	v.problems = append(v.problems, Problem{File: file, Line: line, Seq: seq, What: fmt.Sprintf(format, args...)})
}

func (v *verifier) segment(s segment, last bool) error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := v.read(f, s.path, last); err != nil {
		return err
	}
	return v.spool(s)
}

// spool goes on with what is left in the spool of a segment whose process died.
func (v *verifier) spool(s segment) error {
	lines, count, err := s.pending(v.prev.seq)
	if err != nil {
		if foreign := (*ForeignError)(nil); errors.As(err, &foreign) {
			return nil // the lines were judged
		}
		if bad := (*SpoolError)(nil); !errors.As(err, &bad) {
			return err
		}
		v.problems = append(v.problems, spoolProblem(err))
	}
	if count == 0 {
		return nil
	}
	path := s.path + spoolExt
	v.chain.Files = append(v.chain.Files, path)
	v.chain.Notes = append(v.chain.Notes, fmt.Sprintf("not chained yet: %s in %s, left by a process that died", counted(count), path))
	return v.read(bytes.NewReader(lines), path, true)
}

func spoolProblem(err error) Problem {
	if bad := (*SpoolError)(nil); errors.As(err, &bad) {
		return Problem{File: bad.Path, What: "the spool " + bad.Why}
	}
	return Problem{What: err.Error()}
}

func counted(n int) string {
	if n == 1 {
		return "1 event"
	}
	return fmt.Sprintf("%d events", n)
}

func (v *verifier) read(f io.Reader, path string, last bool) error {
	for r := newLineReader(f); ; {
		line, err := r.next()
		var long *longLineError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errTorn):
			v.torn(path, r.line, line, last)
			return nil
		case errors.As(err, &long):
			v.problem(path, r.line, 0, "not an event: %v", err)
			continue
		case err != nil:
			return err
		}
		v.event(path, r.line, line)
		v.file, v.line = path, r.line
	}
}

// torn judges a last line without an end. A process that was killed may leave one, and one that lives may be about to
// write the rest.
func (v *verifier) torn(path string, number int, line []byte, last bool) {
	switch {
	case !tornLine(line):
		v.problem(path, number, 0, "not an event, and not the start of one")
	case !last:
		v.problem(path, number, 0, "a torn line, although the chain goes on in another file")
	default:
		v.lacks("the last line is torn: its writer was killed or is writing")
	}
}

func (v *verifier) event(path string, number int, line []byte) {
	r, err := parseRecord(line)
	sum := sha256.Sum256(line)
	v.chain.Events++
	if err != nil {
		v.problem(path, number, v.prev.seq+1, "not an event: %v", err)
		v.prev = head{seq: v.prev.seq + 1, hash: sum}
		return
	}
	if v.line == 0 && v.file == "" {
		v.first(path, number, r)
	} else {
		v.next(path, number, r)
	}
	v.prev = head{seq: r.Seq, hash: sum}
	v.chain.LastSeq, v.chain.To = r.Seq, r.Time
	if v.instance != "" && r.Instance != v.instance {
		v.problem(path, number, r.Seq, "event %d is of instance %q, but the file is of %q", r.Seq, r.Instance, v.instance)
	}
	v.confession(path, number, r)
	if v.record != nil && r.Seq == v.record.seq && !v.headSeen {
		v.headSeen = true
		if hex.EncodeToString(sum[:]) != v.record.hash {
			v.problem(path, number, r.Seq, "event %d was changed: its hash is not the one that was recorded apart from the log", r.Seq)
		}
	}
}

// first judges where the chain begins.
func (v *verifier) first(path string, number int, r *Record) {
	v.chain.FirstSeq, v.chain.From = r.Seq, r.Time
	start, prev := uint64(1), hex.EncodeToString(v.prev.hash[:])
	if v.base != nil && r.Seq != 1 {
		start, prev = v.base.seq, v.base.prev
	}
	switch {
	case r.Seq > start:
		v.problem(path, number, r.Seq, "events %d to %d are missing before it", start, r.Seq-1)
	case r.Seq == start && r.Prev != prev:
		v.problem(path, number, r.Seq, "event %d does not continue what was before it", r.Seq)
	}
}

// next judges whether r continues the line before.
func (v *verifier) next(path string, number int, r *Record) {
	linked := r.Prev == hex.EncodeToString(v.prev.hash[:])
	switch want := v.prev.seq + 1; {
	case r.Seq == want && linked:
	case linked:
		v.problem(path, number, r.Seq, "its seq is %d where %d was written", r.Seq, want)
	case r.Seq == want:
		v.problem(v.file, v.line, v.prev.seq, "event %d was changed or put there: event %d was written after another one", v.prev.seq, r.Seq)
	case r.Seq > want:
		v.problem(path, number, r.Seq, "%s missing before event %d", events(want, r.Seq-1), r.Seq)
	default:
		v.problem(path, number, r.Seq, "event %d stands after event %d: it was moved or put there", r.Seq, v.prev.seq)
	}
}

func events(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("event %d is", from)
	}
	return fmt.Sprintf("events %d to %d are", from, to)
}

// confession takes note of what the log says of itself.
func (v *verifier) confession(path string, number int, r *Record) {
	if r.Kind != Anomaly || r.Session != "" { // only links have one
		return
	}
	switch r.Reason {
	case reasonTruncated:
		v.problem(path, number, r.Seq, "the log was found cut when it went on here: %s", r.Args)
	case "audit_gap":
		v.lacks(fmt.Sprintf("event %d tells of an outage of the log: %s", r.Seq, r.Args))
	}
}

// lacks notes that events may be lacking, which is no proof of a problem.
func (v *verifier) lacks(note string) {
	v.chain.Notes = append(v.chain.Notes, note)
	v.chain.Lacking = append(v.chain.Lacking, note)
}

func (v *verifier) finish(recorded bool) {
	last := v.chain.Name
	if n := len(v.chain.Files); n > 0 {
		last = v.chain.Files[n-1]
	}
	switch {
	case !recorded:
		v.lacks("no head was compared: events cut off its end are not found")
	case v.record == nil && v.chain.Events > 0:
		v.problem(last, 0, v.prev.seq, "there is no recorded head: the chain was not written by this user on this machine at this place, or the head was removed")
	case v.record != nil && v.record.seq > v.prev.seq:
		v.problem(last, 0, v.prev.seq, "%s missing at the end (the last was in %s)", events(v.prev.seq+1, v.record.seq), v.record.segment)
	}
}
