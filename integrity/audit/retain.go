package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// removeOld removes the segments of a folder that are finished and old, and finds out whether more waits for hubs than may.
// Trouble stops nothing: it is told, and the next process tries again.
func (d *folder) removeOld() {
	list, err := listFolder(d.path)
	if err != nil {
		d.onError(fmt.Errorf("look for old audit segments: %w", err))
		return
	}
	d.over = pendingAtMost(list.segments) > d.maxPending()
	segments := list.segments
	chains := map[string][]segment{}
	for _, s := range segments {
		chains[s.instance] = append(chains[s.instance], s)
	}
	for instance, chain := range chains {
		keep := segments[len(segments)-1].path
		if instance == d.instance {
			keep = chain[len(chain)-1].path // the next one will continue it
		}
		d.removeFrom(chain, instance, keep)
	}
	for _, path := range list.lone { // a process was killed before its first event, or after its last one was removed
		if info, err := os.Lstat(path); err == nil && d.now().Sub(info.ModTime()) > loneAge {
			removeCursor(path)
		}
	}
}

// loneAge is how old a cursor without a segment must be to be taken for a left one. A cursor comes just before its segment.
const loneAge = time.Hour

// removeOld removes the rotated files of a shared one that are old. The caller holds the lock.
func (s *shared) removeOld() {
	rotated, err := sharedSegments(s.path)
	if err != nil {
		s.onError(fmt.Errorf("look for old audit files: %w", err))
		return
	}
	if _, err := os.Lstat(cursorPath(s.path, "")); err == nil {
		for i := range rotated {
			rotated[i].destined = true
		}
	}
	s.over = pendingAtMost(rotated) > s.maxPending()
	keep := s.path
	if info, err := s.file.Stat(); len(rotated) > 0 && (err != nil || info.Size() == 0) {
		keep = rotated[len(rotated)-1].path // the live file is going to continue it
	}
	s.removeFrom(append(rotated, segment{path: s.path}), "", keep)
}

// removeFrom removes the first segments of a chain, up to the first that is to be kept: because the caller says so, or
// because it is young, in use, or waits for the hub. The state directory learns where the chain begins before
// anything goes.
func (f *files) removeFrom(chain []segment, instance, keep string) {
	cutoff := f.now().Add(-f.retain)
	n := 0
	for n < len(chain) && chain[n].path != keep && f.removable(chain[n], cutoff) {
		n++
	}
	if n == 0 {
		return
	}
	if err := f.moveBase(chain[n:], instance); err != nil {
		f.onError(fmt.Errorf("remove old audit segments: %w", err))
		return
	}
	for _, s := range chain[:n] {
		if err := os.Remove(s.path); err != nil && !os.IsNotExist(err) {
			f.onError(fmt.Errorf("remove an old audit segment: %w", err))
			return
		}
	}
	f.ended(chain[n:], instance)
}

// ended forgets what is recorded of a chain of which nothing is left.
func (f *files) ended(left []segment, instance string) {
	if len(left) > 0 {
		return
	}
	f.heads.forget(instance)
	removeCursor(cursorPath(f.path, instance))
}

func (f *files) removable(s segment, cutoff time.Time) bool {
	if s.start.IsZero() || s.start.After(cutoff) {
		return false
	}
	if _, left := spoolOf(s.path); left { // a segment and what is yet to be added to it are one
		return false
	}
	info, err := os.Lstat(s.path)
	if err != nil || !info.Mode().IsRegular() || info.ModTime().After(cutoff) {
		return false
	}
	return !f.awaited(s) && dead(s.path)
}

// awaited reports whether a hub has yet to get something of the segment. What cannot be told is awaited.
func (f *files) awaited(s segment) bool {
	if !s.destined {
		return false
	}
	c, err := readCursor(cursorPath(f.path, s.instance))
	if errors.Is(err, fs.ErrNotExist) {
		return false // it went with another segment of the chain
	}
	if err != nil {
		return true
	}
	last, err := headOf(s.path)
	return err != nil || last.seq >= c.need()
}

// dead reports whether no process writes the file.
func dead(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	free, err := tryLock(file)
	_ = file.Close() // and the lock goes with it
	return free && err == nil
}

// moveBase records that the chain begins with the first of what is left of it.
func (f *files) moveBase(left []segment, instance string) error {
	if len(left) == 0 {
		return nil
	}
	first, err := firstRecord(left[0].path)
	if err != nil {
		return err
	}
	return f.heads.saveBase(instance, first.Seq, first.Prev)
}
