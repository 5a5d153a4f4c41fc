package audit

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
)

// What waits for a hub is bounded: where the hub stays away for too long the oldest segments go, and the log says so. It says
// so first, with the next write, and they go then: who is killed between the two has not removed anything in silence.

// reasonDropped is the anomaly of events that went before a hub had them.
const reasonDropped = "pending_dropped"

// A dropped is a segment that goes although a hub waits for it. Its lock is held until then.
type dropped struct {
	segment
	file         *os.File
	before, left []segment // of its chain, before and after it; what is before goes too, since a chain has no holes
}

func (f *files) maxPending() int64 {
	if f.opts.MaxPending > 0 {
		return f.opts.MaxPending
	}
	return DefaultMaxPending
}

// pendingAtMost is how many bytes the segments hold that have a destination, whether acknowledged or not.
func pendingAtMost(segments []segment) (sum int64) {
	for _, s := range segments {
		if !s.destined {
			continue
		}
		if info, err := os.Lstat(s.path); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// A waiting is a finished segment of which a hub has yet to get something.
type waiting struct {
	segment
	before, left []segment // of its chain
	bytes        int64
	events       uint64 // that the hub does not have
	chain        string
	keep         bool // it counts, and does not go
}

// planDrop chooses the segments of a folder that are going to be dropped.
func (d *folder) planDrop() {
	d.over = false
	segments, err := folderSegments(d.path)
	if err != nil {
		d.onError(fmt.Errorf("look for audit segments that no hub has: %w", err))
		return
	}
	d.notes = append(d.notes, d.plan(segments)...)
}

// planDrop chooses the rotated files of a shared one that are going to be dropped: never the newest, which the live file
// continues. The caller holds the lock.
func (s *shared) planDrop() {
	s.over = false
	rotated, err := sharedSegments(s.path)
	if err != nil {
		s.onError(fmt.Errorf("look for audit files that no hub has: %w", err))
		return
	}
	for i := range rotated {
		rotated[i].destined = true
	}
	s.notes = append(s.notes, s.plan(append(rotated, segment{path: s.path}))...)
}

// plan chooses what is dropped of the given segments and locks it. It returns what the log has to say about that.
func (f *files) plan(segments []segment) (notes []note) {
	all := f.waiting(segments)
	sum := int64(0)
	for _, w := range all {
		sum += w.bytes
	}
	busy := map[string]bool{} // chains that another process is at
	for _, w := range all {
		if sum <= f.maxPending() || w.keep {
			break
		}
		if busy[w.instance] {
			continue
		}
		file, err := os.Open(w.path)
		if err != nil {
			busy[w.instance] = true // retention was faster
			continue
		}
		if free, err := tryLock(file); !free || err != nil { // another process drops it
			busy[w.instance] = true
			_ = file.Close()
			continue
		}
		sum -= w.bytes
		f.drops = append(f.drops, dropped{segment: w.segment, file: file, before: w.before, left: w.left})
		args := strconv.AppendUint([]byte(`{"events":`), w.events, 10)
		args = strconv.AppendInt(append(args, `,"bytes":`...), w.bytes, 10)
		args = append(appendText(append(args, `,"chain":`...), w.chain, maxName), '}')
		notes = append(notes, note{kind: Anomaly, reason: reasonDropped, args: args})
	}
	return notes
}

// waiting returns the finished segments that hubs wait for, by time. In each chain the first of them goes first.
func (f *files) waiting(segments []segment) (all []waiting) {
	chains := map[string][]segment{}
	for _, s := range segments {
		chains[s.instance] = append(chains[s.instance], s)
	}
	for instance, chain := range chains {
		c, err := readCursor(cursorPath(f.path, instance))
		if bad := (*cursorError)(nil); err != nil && !errors.As(err, &bad) {
			continue // it has no destination
		}
		if instance != "" && c.finished(chain) {
			continue
		}
		for i, s := range chain {
			if s.path == f.path || !s.destined || s.spool || !dead(s.path) {
				break
			}
			w, ok := s.awaits(&c)
			if !ok {
				continue
			}
			w.before, w.left = chain[:i], chain[i+1:]
			w.keep = instance == "" && i == len(chain)-2 // the live file continues it
			all = append(all, w)
		}
	}
	slices.SortStableFunc(all, func(a, b waiting) int { return a.start.Compare(b.start) })
	return all
}

// awaits measures what a hub with the given cursor has yet to get of the segment, if there is anything.
func (s segment) awaits(c *cursor) (waiting, bool) {
	info, err := os.Lstat(s.path)
	if err != nil || !info.Mode().IsRegular() {
		return waiting{}, false
	}
	w := waiting{segment: s, bytes: info.Size(), chain: c.chain}
	first, err := firstRecord(s.path)
	if err != nil {
		return w, info.Size() > 0
	}
	last, err := headOf(s.path)
	if err != nil {
		return w, true
	}
	if need := max(first.Seq, c.need()); last.seq >= need {
		w.events = last.seq - need + 1
	}
	return w, w.events > 0
}

// drop removes what the log has said it removes. Who writes calls it.
func (f *files) drop() {
	for _, d := range f.drops {
		f.dropOne(d)
	}
	f.drops = nil
}

func (f *files) dropOne(d dropped) {
	defer d.file.Close() // the lock goes with it
	if err := f.moveBase(d.left, d.instance); err != nil {
		f.onError(fmt.Errorf("remove audit segments that no hub has: %w", err))
		return
	}
	if !canRemoveOpen {
		_ = d.file.Close()
	}
	for _, s := range append(slices.Clone(d.before), d.segment) {
		if err := os.Remove(s.path); err != nil && !os.IsNotExist(err) {
			f.onError(fmt.Errorf("remove an audit segment that no hub has: %w", err))
			return
		}
	}
	f.ended(d.left, d.instance)
}

// keepDrops leaves what was to be dropped, since nothing could be written any more.
func (f *files) keepDrops() {
	for _, d := range f.drops {
		_ = d.file.Close()
	}
	f.drops = nil
}
