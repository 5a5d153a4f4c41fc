package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A Result is what Verify found.
type Result struct {
	Chains   []Chain   `json:"chains"`
	Events   int       `json:"events"`
	Problems []Problem `json:"problems"`
}

// Intact reports whether nothing was found wrong.
func (r *Result) Intact() bool { return len(r.Problems) == 0 }

// A Chain is one verified chain: that of a process, or of a shared file.
type Chain struct {
	Name     string    `json:"name"`
	Files    []string  `json:"files"`
	Events   int       `json:"events"`
	FirstSeq uint64    `json:"first_seq"`
	LastSeq  uint64    `json:"last_seq"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Problems int       `json:"problems"`
	Notes    []string  `json:"notes,omitempty"` // what is no problem, but worth knowing
}

// A Problem is a place where a chain is not what was written.
type Problem struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"` // from 1; 0: the file as a whole
	Seq  uint64 `json:"seq,omitempty"`
	What string `json:"what"`
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.What
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.What)
}

// maxProblems is how many problems of one chain are listed. What follows the first few seldom says more.
const maxProblems = 20

// Verify reads each log, a folder or a file, and finds what was edited, removed, moved, inserted or cut off. The heads
// in stateDir show what is missing at the end; with "" that is not looked for, as for a copy from another machine.
// It returns an error only for what it cannot read.
func Verify(stateDir string, paths ...string) (*Result, error) {
	res := &Result{Problems: []Problem{}, Chains: []Chain{}}
	for _, path := range paths {
		y, err := findLayout(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = y.remembered(stateDir, err)
		}
		if err != nil {
			return nil, fmt.Errorf("verify audit log: %w", err)
		}
		if err := verifyLog(res, y, stateDir); err != nil {
			return nil, fmt.Errorf("verify audit log %s: %w", path, err)
		}
	}
	return res, nil
}

// remembered returns notExist unless a head is recorded for a log that is not there: then its absence is what Verify
// has to say.
func (y *layout) remembered(stateDir string, notExist error) error {
	hs := newHeads(stateDir, y.log)
	instances, err := hs.instances()
	if err != nil {
		return err
	}
	record, err := hs.load("")
	if err != nil {
		return err
	}
	y.folder = y.folder || len(instances) > 0
	if len(instances) > 0 || record != nil && record.Seq > 0 {
		return nil
	}
	return notExist
}

// verifyLog verifies one log. Another process may remove old segments meanwhile; then it looks again.
func verifyLog(res *Result, y layout, stateDir string) error {
	for try := 0; ; try++ {
		var own Result
		err := verifyOnce(&own, y, newHeads(stateDir, y.log))
		if errors.Is(err, fs.ErrNotExist) && try < 3 {
			continue
		}
		res.Chains = append(res.Chains, own.Chains...)
		res.Problems = append(res.Problems, own.Problems...)
		res.Events += own.Events
		return err
	}
}

func verifyOnce(res *Result, y layout, hs heads) error {
	if !y.folder {
		return verifyShared(res, y, hs)
	}
	// Heads come first: what they name is on the disk already, and a chain only grows.
	known, err := knownHeads(hs, y.instance)
	if err != nil {
		return err
	}
	chains, err := y.chains()
	if err != nil {
		return err
	}
	for _, c := range chains {
		record := known[c.instance]
		delete(known, c.instance)
		if record == nil { // a process that began just now
			if record, err = hs.load(c.instance); err != nil {
				return err
			}
		}
		if err := verifyChain(res, y, hs, c, record); err != nil {
			return err
		}
	}
	for instance, record := range known {
		if still, err := hs.load(instance); err != nil || still == nil || record.Seq == 0 {
			continue // removed by retention, or nothing was written yet
		}
		c := chainFiles{instance: instance}
		res.Chains = append(res.Chains, Chain{Name: c.name(y.log), Files: []string{}, Problems: 1})
		res.Problems = append(res.Problems, Problem{
			File: filepath.Join(y.log, record.Segment), Seq: record.Seq,
			What: fmt.Sprintf("all segments of this process are missing: %d events", record.Seq),
		})
	}
	return nil
}

func knownHeads(hs heads, only string) (map[string]*headFile, error) {
	instances, err := hs.instances()
	if err != nil {
		return nil, err
	}
	known := map[string]*headFile{}
	for _, instance := range instances {
		if only != "" && instance != only {
			continue
		}
		record, err := hs.load(instance)
		if err != nil {
			return nil, err
		}
		if record != nil {
			known[instance] = record
		}
	}
	return known, nil
}

// verifyShared takes the file's lock for as long as it looks at what there is, and reads the file that it found then,
// so that no rotation comes between.
func verifyShared(res *Result, y layout, hs heads) error {
	live, err := holdShared(y.log)
	if err != nil {
		return err
	}
	if live != nil {
		defer live.Close() //nolint:errcheck // only read
	}
	record, err := hs.load("")
	if err != nil {
		return err
	}
	chains, err := y.chains()
	if err != nil {
		return err
	}
	if live != nil {
		if err := unlock(live); err != nil {
			return err
		}
	}
	c := chains[0]
	c.live = live
	if n := len(c.segments); live == nil && n > 0 && c.segments[n-1].path == y.log {
		c.segments = c.segments[:n-1] // made after the look at it
	}
	return verifyChain(res, y, hs, c, record)
}

// holdShared opens and locks the file at path. It returns nil if there is none, not even after the moment that a
// rotation takes to make a new one.
func holdShared(path string) (*os.File, error) {
	for patience := 20; ; {
		f, err := os.Open(path) //nolint:gosec // the caller's log
		if errors.Is(err, fs.ErrNotExist) {
			if patience--; patience == 0 {
				return nil, nil
			}
			<-time.After(time.Millisecond)
			continue
		}
		if err != nil {
			return nil, err
		}
		here, err := f.Stat()
		if err == nil && !here.Mode().IsRegular() {
			err = &ForeignError{Path: path, Why: "not a regular file"}
		}
		if err == nil {
			err = lock(f)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if there, err := os.Stat(path); err == nil && os.SameFile(here, there) {
			return f, nil
		}
		_ = f.Close() // it was rotated away, and the lock goes with it
	}
}

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
	lost     uint64 // events that the log confesses to have lost
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
			err = v.segment(s.path, last)
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

func (v *verifier) segment(path string, last bool) error {
	f, err := os.Open(path) //nolint:gosec // a segment
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	return v.read(f, path, last)
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
		v.chain.Notes = append(v.chain.Notes, "the last line is torn: its writer was killed or is writing")
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
	if v.record != nil && r.Seq == v.record.Seq && !v.headSeen {
		v.headSeen = true
		if hex.EncodeToString(sum[:]) != v.record.Hash {
			v.problem(path, number, r.Seq, "event %d was changed: its hash is not the one that was recorded apart from the log", r.Seq)
		}
	}
}

// first judges where the chain begins.
func (v *verifier) first(path string, number int, r *Record) {
	v.chain.FirstSeq, v.chain.From = r.Seq, r.Time
	start, prev := uint64(1), hex.EncodeToString(v.prev.hash[:])
	if v.base != nil && r.Seq != 1 {
		start, prev = v.base.Seq, v.base.Prev
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
		v.chain.Notes = append(v.chain.Notes, fmt.Sprintf("event %d tells of an outage of the log: %s", r.Seq, r.Args))
	}
}

func (v *verifier) finish(recorded bool) {
	last := v.chain.Name
	if n := len(v.chain.Files); n > 0 {
		last = v.chain.Files[n-1]
	}
	switch {
	case !recorded:
		v.chain.Notes = append(v.chain.Notes, "no head was compared: events cut off its end are not found")
	case v.record == nil && v.chain.Events > 0:
		v.problem(last, 0, v.prev.seq, "there is no recorded head: the chain was not written by this user on this machine at this place, or the head was removed")
	case v.record != nil && v.record.Seq > v.prev.seq:
		v.problem(last, 0, v.prev.seq, "%s missing at the end (the last was in %s)", events(v.prev.seq+1, v.record.Seq), v.record.Segment)
	}
}
