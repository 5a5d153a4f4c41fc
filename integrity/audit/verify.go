package audit

import (
	"errors"
	"fmt"
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
	Lacking  []string  `json:"-"`               // those of Notes by which events may be lacking that should be there
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
//
// What a process that died left in its spool is added to its segment before, unless stateDir is "" or the folder cannot
// be written: then it is read as events that follow.
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
	if len(instances) > 0 || record != nil && record.seq > 0 {
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
	if hs.dir != "" {
		_ = recoverSpools(y.log, hs) // what cannot be recovered is looked at below
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
	for _, err := range y.withoutSegment() {
		res.Problems = append(res.Problems, spoolProblem(err))
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
		if still, err := hs.load(instance); err != nil || still == nil || record.seq == 0 {
			continue // removed by retention, or nothing was written yet
		}
		c := chainFiles{instance: instance}
		res.Chains = append(res.Chains, Chain{Name: c.name(y.log), Files: []string{}, Problems: 1})
		res.Problems = append(res.Problems, Problem{
			File: filepath.Join(y.log, record.segment), Seq: record.seq,
			What: fmt.Sprintf("all segments of this process are missing: %d events", record.seq),
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
		defer live.Close()
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
		f, err := os.Open(path)
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
