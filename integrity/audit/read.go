package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"time"
)

// Read yields the events of a log, a folder or a file, in the order of their times, from the given time on. What a
// process that died left in its spool is added to its segment before, or read from there. The chains are not verified. A line that is no event is yielded as an error, and reading goes on behind it. At most the segments
// that overlap in time are open at once.
func Read(path string, since time.Time) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		y, err := findLayout(path)
		if err != nil {
			yield(nil, fmt.Errorf("read audit log: %w", err))
			return
		}
		if y.folder {
			_ = recoverSpools(y.log, heads{}) // where that is impossible, what is in them is read below
		}
		for _, err := range y.withoutSegment() {
			if !yield(nil, err) {
				return
			}
		}
		chains, err := y.chains()
		if err != nil {
			yield(nil, fmt.Errorf("read audit log: %w", err))
			return
		}
		m := merge{since: since, yield: yield}
		defer m.close()
		for _, c := range chains {
			if c.segments = youngerThan(c.segments, since); len(c.segments) == 0 {
				continue
			}
			// All that comes before this chain can begin goes out first.
			if !m.drain(c.segments[0].start) || !m.add(c.segments) {
				return
			}
		}
		m.drain(time.Time{})
	}
}

// youngerThan leaves out segments that were last written before since.
func youngerThan(segments []segment, since time.Time) []segment {
	if since.IsZero() {
		return segments
	}
	return slices.DeleteFunc(slices.Clone(segments), func(s segment) bool {
		info, err := os.Stat(s.path)
		return !s.spool && err == nil && writtenBefore(info, since)
	})
}

// writtenBefore reports whether all events of a file are older than t. File systems tell the time of the last write
// from a coarse clock, some of them to two seconds.
func writtenBefore(info os.FileInfo, t time.Time) bool {
	return info.ModTime().Add(2 * time.Second).Before(t)
}

// A merge yields the events of several chains by time.
type merge struct {
	since  time.Time
	yield  func(*Record, error) bool
	chains []*chainReader // each has a next event
}

func (m *merge) close() {
	for _, c := range m.chains {
		c.close()
	}
}

// add lets the chain of the segments take part. It reports whether the consumer wants more.
func (m *merge) add(segments []segment) bool {
	c := &chainReader{segments: segments}
	if !m.advance(c) {
		return false
	}
	if c.record != nil {
		m.chains = append(m.chains, c)
	}
	return true
}

// drain yields what is older than until, which is everything if until is zero.
func (m *merge) drain(until time.Time) bool {
	for len(m.chains) > 0 {
		first := 0
		for i, c := range m.chains {
			if c.record.Time.Before(m.chains[first].record.Time) {
				first = i
			}
		}
		c := m.chains[first]
		if !until.IsZero() && !c.record.Time.Before(until) {
			return true
		}
		if !c.record.Time.Before(m.since) && !m.yield(c.record, nil) {
			return false
		}
		if !m.advance(c) {
			return false
		}
		if c.record == nil {
			m.chains = slices.Delete(m.chains, first, first+1)
		}
	}
	return true
}

// advance reads the next event of c, or leaves c without one at its end. It reports whether the consumer wants more.
func (m *merge) advance(c *chainReader) bool {
	for {
		record, err := c.next()
		c.record = record
		if err == nil {
			return true
		}
		if errors.Is(err, io.EOF) {
			return true
		}
		if !m.yield(nil, err) {
			c.close()
			return false
		}
	}
}

// A chainReader reads the segments of a chain one after the other.
type chainReader struct {
	segments []segment // yet to be opened
	segment  segment   // that is being read
	file     *os.File
	name     string // of what is being read: the file, or its spool
	lines    *lineReader
	record   *Record
	seq      uint64 // of the last event
}

func (c *chainReader) close() {
	if c.file != nil {
		_ = c.file.Close() // only read
		c.file = nil
	}
}

// next returns the next event, io.EOF at the end, or the error of one line or segment, behind which it can go on.
func (c *chainReader) next() (*Record, error) {
	for {
		if c.file == nil {
			if len(c.segments) == 0 {
				return nil, io.EOF
			}
			c.segment = c.segments[0]
			c.segments = c.segments[1:]
			f, err := os.Open(c.segment.path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // retention was faster
			}
			if err != nil {
				return nil, err
			}
			c.file, c.name, c.lines = f, f.Name(), newLineReader(f)
		}
		line, err := c.lines.next()
		var long *longLineError
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			if err := c.openSpool(); err != nil {
				return nil, err
			}
			continue
		case errors.As(err, &long):
			return nil, fmt.Errorf("%s:%d: %w", c.name, c.lines.line, err)
		case err != nil:
			err = fmt.Errorf("read %s: %w", c.name, err)
			c.close()
			return nil, err
		}
		r, err := parseRecord(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: not an event: %w", c.name, c.lines.line, err)
		}
		c.seq = r.Seq
		return r, nil
	}
}

// openSpool goes on with what is left in the segment's spool, if there is anything, else it ends the segment.
func (c *chainReader) openSpool() error {
	lines, _, err := c.segment.pending(c.seq)
	c.segment.spool = false
	if len(lines) == 0 {
		c.close()
		return err
	}
	c.name, c.lines = c.segment.path+spoolExt, newLineReader(bytes.NewReader(lines))
	return err
}
