package audit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// A shared is a sink for a file that several processes write. All it knows between two writes is advisory: under the
// file's lock it is compared with what is there.
type shared struct {
	files
	file   *os.File // nil: none is open
	locked bool
	offset int64 // behind the last line that this process knows
	head   head
	last   string // the rotated file that a new one continues
	notes  []note // to be written first
	synced bool   // offset and head were read from the file at least once
}

func openShared(f files) (*shared, error) {
	s := &shared{files: f}
	err := s.acquire()
	var e end
	if err == nil {
		e, err = readEnd(s.file) // nothing is repaired before there is an event to write
	}
	if err == nil {
		err = s.tighten()
	}
	if err != nil {
		return nil, fmt.Errorf("open audit log: %w", errors.Join(err, s.close()))
	}
	if err := s.destine(e.head); err != nil {
		return nil, fmt.Errorf("open audit log: %w", errors.Join(err, s.close()))
	}
	s.removeOld()
	s.end()
	return s, nil
}

func (s *shared) name() string { return s.path }

// destine makes the cursor of the chain, if it is to have a destination and has none. What was written before is nothing
// that a team's hub is to know. The caller holds the lock.
func (s *shared) destine(h head) error {
	if s.opts.Hub == "" {
		return nil
	}
	path := cursorPath(s.path, "")
	c := cursor{hub: s.opts.Hub, from: 1}
	if s.opts.Hub != LocalHub {
		if h.seq == 0 {
			var err error
			if h, err = s.rotatedEnd(); err != nil {
				return err
			}
		}
		c.from = h.seq + 1
	}
	err := createCursor(path, c)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	switch there, err := readCursor(path); {
	case err != nil:
		s.onError(err) // who forwards the chain mends it
	case there.hub != s.opts.Hub:
		s.onError(fmt.Errorf("%s: what is in the audit log goes to the hub %q already, not to %q: set audit.path to another file", path, there.hub, s.opts.Hub))
	}
	return nil
}

// tighten takes the rights of others from a file that was there before.
func (s *shared) tighten() error {
	info, err := s.file.Stat()
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	return s.file.Chmod(0o600)
}

// acquire gets the lock of the file that has the name now.
func (s *shared) acquire() error {
	for {
		if s.file == nil {
			if info, err := os.Stat(s.path); err == nil && !info.Mode().IsRegular() {
				return &ForeignError{Path: s.path, Why: "not a regular file"}
			}
			file, err := openShareable(s.path)
			if err != nil {
				return fmt.Errorf("%w: make it writable or set audit.path", err)
			}
			s.file, s.offset, s.synced = file, 0, false
		}
		if err := lock(s.file); err != nil {
			return fmt.Errorf("lock %s: %w", s.path, err)
		}
		s.locked = true
		here, err := s.file.Stat()
		if err != nil {
			return err
		}
		there, err := os.Stat(s.path)
		if err == nil && os.SameFile(here, there) {
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.release() // another process rotated it away
	}
}

func (s *shared) release() {
	_ = s.file.Close() // nothing is buffered, and the lock goes with it
	s.file, s.locked = nil, false
}

func (s *shared) begin(size int) (place, error) {
	if err := s.prepare(size); err != nil {
		s.end()
		return place{}, err
	}
	at := place{head: s.head, notes: s.notes, room: s.room(s.offset), at: s.offset}
	if s.offset == 0 {
		at.notes = append([]note{opened(s.opts.Version, s.last)}, s.notes...)
	}
	return at, nil
}

func (s *shared) prepare(size int) error {
	if err := s.acquire(); err != nil {
		return err
	}
	if err := s.sync(); err != nil {
		return err
	}
	if s.offset == 0 || s.offset+int64(size) <= s.maxSize {
		return nil
	}
	return s.rotate()
}

// sync continues from what is in the file, whoever wrote it. The caller holds the lock.
func (s *shared) sync() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	if s.synced && info.Size() == s.offset {
		return nil
	}
	e, err := readEnd(s.file)
	if err != nil {
		return err
	}
	if e.torn > 0 {
		if err := s.file.Truncate(e.offset); err != nil {
			return fmt.Errorf("remove a torn line from %s: %w", s.path, err)
		}
		args := strconv.AppendInt([]byte(`{"bytes":`), e.torn, 10)
		s.notes = append(s.notes, note{kind: Anomaly, reason: "torn_line", args: append(args, '}')})
	}
	if e.offset == 0 {
		if e.head, err = s.rotatedEnd(); err != nil {
			return err
		}
	}
	s.checkHead(e.head)
	s.head, s.offset, s.synced = e.head, e.offset, true
	return nil
}

// rotatedEnd returns the head that an empty file continues: that of the newest rotated one.
func (s *shared) rotatedEnd() (head, error) {
	rotated, err := sharedSegments(s.path)
	if err != nil || len(rotated) == 0 {
		s.last = ""
		return head{}, err
	}
	newest := rotated[len(rotated)-1].path
	f, err := os.Open(newest)
	if err != nil {
		return head{}, err
	}
	defer f.Close()
	e, err := readEnd(f)
	s.last = filepath.Base(newest)
	return e.head, err
}

// checkHead compares the head that was found with those that are known. Where events are missing the chain goes on
// from what is there, and says what is not, since refusing would let whoever cut the log stop the server too.
func (s *shared) checkHead(found head) {
	want, hash := s.head.seq, hex.EncodeToString(s.head.hash[:])
	if want > 0 && found.seq > want {
		return
	}
	record, err := s.heads.load("")
	if err != nil {
		s.onError(err) // the log itself is whole, and the head is written anew
	}
	if record == nil {
		s.saveHead("", s.path, found, true) // before the first event, so that a log without a head is not one of ours
	}
	if record != nil && record.seq > want {
		want, hash = record.seq, record.hash
	}
	same := found.seq == want && hex.EncodeToString(found.hash[:]) == hash
	if found.seq > want || same || want == 0 {
		return
	}
	args := strconv.AppendUint([]byte(`{"expected_seq":`), want, 10)
	args = append(appendText(append(args, `,"expected_hash":`...), hash, maxName), `,"found_seq":`...)
	args = append(strconv.AppendUint(args, found.seq, 10), '}')
	s.notes = slices.DeleteFunc(s.notes, func(n note) bool { return n.reason == reasonTruncated })
	s.notes = append(s.notes, note{kind: Anomaly, reason: reasonTruncated, args: args})
}

// reasonTruncated is the anomaly of a log that was found shorter than it had been.
const reasonTruncated = "audit_truncated"

// rotate gives the file another name and starts a new one. The caller holds the lock, and holds that of the new file
// afterwards. Between the two another process may be the first in the new file, so it is read like any other.
func (s *shared) rotate() error {
	now := s.now()
	rotated, err := sharedSegments(s.path)
	if err != nil {
		return err
	}
	if n := len(rotated); n > 0 && !now.After(rotated[n-1].start) {
		now = rotated[n-1].start.Add(1) // names sort as they were made, even if the clock does not
	}
	s.saveHead("", s.path, s.head, true)
	if err := os.Rename(s.path, rotatedName(s.path, now)); err != nil {
		// Windows does not rename what a reader has open. The file grows until it can be rotated.
		return nil //nolint:nilerr // a log that is too large is better than none
	}
	s.release()
	if err := s.acquire(); err != nil {
		return err
	}
	if err := s.sync(); err != nil {
		return err
	}
	s.removeOld()
	if s.over {
		s.planDrop()
	}
	return nil
}

func (s *shared) write(lines []byte, h head) error {
	if _, err := s.file.WriteAt(lines, s.offset); err != nil {
		// If this fails too, the next sync finds a torn line, or lines of ours that it continues.
		_ = s.file.Truncate(s.offset)
		s.synced = false
		return err
	}
	said := len(s.notes) > 0 // what is missing is to be said once, so the head is moved at once
	s.offset += int64(len(lines))
	s.head, s.notes = h, nil
	s.saveHead("", s.path, h, said)
	s.drop()
	return nil
}

func (s *shared) end() {
	if s.file != nil && s.locked {
		_ = unlock(s.file)
		s.locked = false
	}
}

// settle records the head as it is in the file, since another process may have recorded a later one than ours.
func (s *shared) settle() {
	if s.file == nil || !s.stale {
		return
	}
	if err := s.acquire(); err == nil && s.sync() == nil {
		s.saveHead("", s.path, s.head, true)
	}
	s.end()
}

func (s *shared) close() error {
	s.keepDrops()
	s.settle()
	if s.file != nil {
		s.release()
	}
	return nil
}
