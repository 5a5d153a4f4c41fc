package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// A leftover is what a process that died left in the spool of a segment and had not written.
type leftover struct {
	end   end    // of the segment
	from  head   // that the lines continue
	lines []byte // that belong behind the segment, chained
	count int
	head  head   // after them
	tail  []byte // of the segment: what was looked at
}

// recoverSpools adds what dead processes left in the spools of a folder to their segments, and returns what went wrong.
// Each spool is bounded, and a dead process leaves one.
func recoverSpools(dir string, hs heads) (errs []error) {
	list, err := listFolder(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return []error{err}
	}
	for _, s := range list.segments {
		if !s.spool {
			continue
		}
		if err := s.recover(hs); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errs
}

// recover adds what is in the spool to the segment, unless its process lives, and removes the spool. The segment's lock
// keeps others from doing the same.
func (s segment) recover(hs heads) (err error) {
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if free, err := tryLock(f); !free {
		return err
	}
	left, err := s.leftover(f)
	if err != nil {
		return err
	}
	record, err := hs.load(s.instance)
	if err != nil {
		return err
	}
	known := false // that the recorded head is in the segment: only then may it move on
	if record != nil {
		var cut bool
		if known, cut = left.holds(record); cut {
			return fmt.Errorf("%s is not what was written: what is in its spool stays there: see mcpx audit verify", s.path)
		}
	}
	if left.count > 0 {
		if left.end.torn > 0 {
			if err := f.Truncate(left.end.offset); err != nil {
				return fmt.Errorf("remove a torn line: %w", err)
			}
		}
		if _, err := f.WriteAt(left.lines, left.end.offset); err != nil {
			return errors.Join(err, f.Truncate(left.end.offset))
		}
	}
	if known {
		if err := hs.save(s.instance, s.path, left.head); err != nil {
			return err
		}
	}
	return os.Remove(s.path + spoolExt)
}

// pending returns what recover would add, for a reader that may not write, and that has read the segment up to the given
// event. With a SpoolError comes what can be read. It returns nothing of a process that lives, or if the segment has
// grown since it was read.
func (s segment) pending(upto uint64) (lines []byte, count int, err error) {
	if !s.spool {
		return nil, 0, nil
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, 0, goneIsNothing(err) // retention was faster
	}
	defer f.Close()
	if free, err := tryLock(f); !free {
		return nil, 0, err
	}
	left, err := s.leftover(f)
	if left.from.seq != upto {
		return nil, 0, nil
	}
	return left.lines, left.count, goneIsNothing(err) // it was recovered meanwhile
}

func goneIsNothing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// leftover reads what is in the spool and not in the segment f. A flush that was killed has written the first events of
// the spool, or all: these are known by their ids. With a SpoolError comes what can be read.
func (s segment) leftover(f *os.File) (left leftover, err error) {
	events, size, bad := readSpool(s.path + spoolExt)
	if spoolErr := (*SpoolError)(nil); bad != nil && !errors.As(bad, &spoolErr) {
		return left, bad
	}
	if left.end, err = readEnd(f); err != nil {
		return left, err
	}
	left.from = left.end.head
	if left.end.offset == 0 && s.before != "" {
		if left.from, err = headOf(s.before); err != nil {
			return left, err
		}
	}
	left.head = left.from
	// The lines of a spool are shorter than four times its size, with all that the log says of itself between them.
	first := max(0, left.end.offset-4*int64(size)-maxLine)
	left.tail = make([]byte, left.end.offset-first)
	if _, err := f.ReadAt(left.tail, first); err != nil && !errors.Is(err, io.EOF) {
		return left, err
	}
	written := map[string]bool{}
	for line := range bytes.Lines(left.tail) {
		written[idOf(line)] = true
	}
	for len(events) > 0 {
		var event []byte
		event, events = nextStaged(events)
		if !written[idOf(event)] {
			left.lines = left.head.link(left.lines, event, 0)
			left.count++
		}
	}
	if left.count > 0 && s.after != "" && bad == nil {
		if info, err := os.Stat(s.after); err == nil && info.Size() > 0 {
			bad = &SpoolError{Path: s.path + spoolExt, Why: "holds events although the chain goes on in another segment"}
		}
	}
	return left, bad
}

// holds compares the segment with the head that was recorded of its chain: whether that is in what was looked at, and
// whether the segment is cut or changed there.
func (l *leftover) holds(record *headFile) (known, cut bool) {
	if record.seq >= l.from.seq {
		known = record.seq == l.from.seq && record.hash == hex.EncodeToString(l.from.hash[:])
		return known, !known
	}
	for _, line := range slices.Backward(slices.Collect(bytes.Lines(l.tail))) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		r, err := parseRecord(line)
		if err != nil || r.Seq < record.seq {
			return false, false // for Verify to judge
		}
		if r.Seq == record.seq {
			sum := sha256.Sum256(line)
			known = hex.EncodeToString(sum[:]) == record.hash
			return known, !known
		}
	}
	return false, false
}

// withoutSegment returns the errors of spools in a folder whose segments were removed.
func (y layout) withoutSegment() (errs []error) {
	if !y.folder {
		return nil
	}
	list, _ := listFolder(y.log) // who reads the segments tells of a folder that cannot be read
	for _, s := range list.missing {
		if y.instance != "" && s.instance != y.instance {
			continue
		}
		spool, left := spoolOf(s.path)
		if _, err := os.Lstat(s.path); left && errors.Is(err, fs.ErrNotExist) { // and not made just now
			errs = append(errs, &SpoolError{Path: spool, Why: "has no segment: that was removed"})
		}
	}
	return errs
}

// headOf returns the head at the end of a segment.
func headOf(path string) (head, error) {
	f, err := os.Open(path)
	if err != nil {
		return head{}, err
	}
	defer f.Close()
	e, err := readEnd(f)
	return e.head, err
}

// idOf returns the id of an event, staged or written, or "" if there is no room for one.
func idOf(event []byte) string {
	const at = len(openTime) + stampLen + len(openID)
	if len(event) < fixedLen {
		return ""
	}
	return string(event[at : at+idLen])
}
