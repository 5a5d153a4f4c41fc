package audit

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// locate finds the position of the first event that the hub has yet to get. It stays unknown in a chain without events.
func (c *outChain) locate(f *forwarder) error {
	if c.instance == "" {
		if named, err := c.named(f); err != nil || !named {
			return err
		}
	}
	at, last, err := c.segmentOf(f, c.cur.need())
	if err != nil || at < 0 {
		return err
	}
	pos, found, err := c.scan(f, c.segments[at].path)
	if err != nil {
		return err
	}
	known := c.cur.acked > 0 && c.cur.sum != [sha256.Size]byte{}
	cut := at == last && found.last < c.cur.acked
	if known && (cut || found.other) {
		f.tell(fmt.Errorf("%s is not what was sent to the hub up to event %d: it is sent again", c.segments[at].path, c.cur.acked))
		if err := c.rewind(0); err != nil {
			f.tell(err)
		}
		if at, _, err = c.segmentOf(f, c.cur.need()); err != nil || at < 0 {
			return err
		}
		if pos, _, err = c.scan(f, c.segments[at].path); err != nil {
			return err
		}
	}
	c.pos = &pos
	return nil
}

// segmentOf returns the index of the segment that holds an event, or else of what comes after it, and that of the last segment
// with events; -1 without any.
func (c *outChain) segmentOf(f *forwarder, seq uint64) (at, last int, err error) {
	at, last = -1, -1
	for i, s := range slices.Backward(c.segments) {
		_, first, err := c.firstEvent(f, s.path)
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return -1, -1, err
		}
		at, last = i, max(i, last)
		if first <= seq {
			break
		}
	}
	return at, last, nil
}

// firstEvent returns the first event of a segment, io.EOF if there is none. The line is valid until the next one is read.
func (c *outChain) firstEvent(f *forwarder, path string) (line []byte, seq uint64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	f.lines.reset(file)
	var long *longLineError
	for {
		line, err := f.lines.next()
		switch {
		case errors.Is(err, errTorn):
			return nil, 0, io.EOF
		case err != nil && !errors.As(err, &long):
			return nil, 0, err
		case err == nil:
			if seq, ok := seqOf(line); ok {
				return line, seq, nil
			}
		}
	}
}

// A scanned is what a look through a segment found.
type scanned struct {
	last  uint64 // the last event before the position
	other bool   // the event that was acknowledged is not the one that is there
}

// scan finds the position of the first event in a segment that the hub has yet to get, or the end.
func (c *outChain) scan(f *forwarder, path string) (pos position, found scanned, err error) {
	pos.path = path
	file, err := os.Open(path)
	if err != nil {
		return pos, found, err
	}
	defer file.Close()
	if pos.info, err = file.Stat(); err != nil {
		return pos, found, err
	}
	f.lines.reset(file)
	var long *longLineError
	for {
		line, err := f.lines.next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			return pos, found, nil
		case errors.As(err, &long):
			pos.offset = f.lines.read
			continue
		case err != nil:
			return pos, found, fmt.Errorf("read %s: %w", path, err)
		}
		if seq, ok := seqOf(line); ok {
			if seq >= c.cur.need() {
				found.last = max(found.last, seq-1)
				return pos, found, nil
			}
			if found.last = seq; seq == c.cur.acked {
				pos.sum = Sum(line)
				found.other = pos.sum != c.cur.sum
			}
		}
		pos.offset = f.lines.read
	}
}

// named gives the chain of a shared file its name, which is that of its first event: a file that was moved away and begun anew
// is another chain. It reports whether there is a name.
func (c *outChain) named(f *forwarder) (bool, error) {
	for _, s := range c.segments {
		line, seq, err := c.firstEvent(f, s.path)
		if errors.Is(err, io.EOF) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		r, err := parseRecord(line)
		if err != nil || seq != 1 && c.cur.chain != "" {
			break
		}
		name := c.o.files.sharedName(r.ID)
		switch c.cur.chain {
		case name:
			return true, nil
		case "":
			c.cur.chain = name
		default:
			c.cur = cursor{hub: c.cur.hub, chain: name, from: 1}
		}
		return true, c.save()
	}
	return c.cur.chain != "", nil
}
