package audit

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"time"
)

// An outChain is a chain that we forward, as it lies on the disk.
type outChain struct {
	o        *Outbox
	instance string // of the process, in a folder; else empty
	own      bool
	segments []segment
	file     *os.File // of the cursor, locked
	cur      cursor
	pos      *position // of what is to be read next; nil: it is to be found

	gap     uint64    // the event that follows a gap that was made sure of
	rest    time.Time // until then nothing is sent
	fails   int       // since something was acknowledged
	told    bool      // of the last failure
	limit   int       // events of a batch; 0: as many as may be
	refused uint64    // the event that the hub refused alone
}

// A position is a place in a segment.
type position struct {
	path   string
	info   os.FileInfo // by which the file is known once it was renamed; nil: it was not opened yet
	offset int64
	sum    [sha256.Size]byte // of the line before it, if that was read
}

// save writes the cursor. Where that fails events are sent again, and the hub knows them.
func (c *outChain) save() error {
	_, err := c.file.WriteAt(c.cur.encode(), 0)
	c.publish()
	if err != nil {
		return fmt.Errorf("note what the hub has of the audit log: %w", err)
	}
	return nil
}

// publish makes known how far our own chain is.
func (c *outChain) publish() {
	if c.own {
		c.o.acked.Store(c.cur.need() - 1)
		c.o.claimed.Store(true)
	}
}

// rewind goes back to what the hub has, which is less than it said.
func (c *outChain) rewind(acked uint64) error {
	c.cur.acked, c.cur.skip, c.cur.sum = acked, 0, [sha256.Size]byte{}
	c.pos = nil
	return c.save()
}

var errMoving = errors.New("the audit log changes while it is read")

// fill reads the next batch. With no events in it the chain is sent as far as it is written.
func (c *outChain) fill(f *forwarder) (b Batch, next position, err error) {
	for moves := 0; moves < 4; {
		if c.pos == nil {
			if err := c.locate(f); err != nil || c.pos == nil {
				return b, next, err
			}
		}
		file, size, err := c.open()
		if err != nil {
			return b, next, err
		}
		if file == nil {
			moves++
			if err := c.lost(f); err != nil {
				return b, next, err
			}
			continue
		}
		next = *c.pos
		b, err = c.readBatch(f, file, size, &next)
		_ = file.Close() // only read
		switch {
		case err != nil:
			return b, next, err
		case b.Events > 0 && b.First > c.cur.need() && c.gap != b.First: // or a file came between two looks
			moves++
			c.gap = b.First
			if err := c.lost(f); err != nil {
				return b, next, err
			}
			continue
		case b.Events > 0:
			b.Chain, b.Gap = c.cur.chain, b.First > c.cur.acked+1
			return b, next, nil
		}
		end := next
		c.pos = &end
		following := c.after(c.pos.path)
		if following == "" {
			return b, next, nil
		}
		c.pos = &position{path: following}
	}
	return Batch{}, next, errMoving
}

// lost forgets the position, and looks at what is there now.
func (c *outChain) lost(f *forwarder) error {
	c.pos = nil
	_, err := c.o.look(false, f.tell)
	return err
}

// after returns the segment that follows the one at path, "" if there is none.
func (c *outChain) after(path string) string {
	i := slices.IndexFunc(c.segments, func(s segment) bool { return s.path == path })
	if i < 0 || i+1 == len(c.segments) {
		return ""
	}
	return c.segments[i+1].path
}

// open opens the file of the position, under whatever name it has. It returns nil if what was read is no longer there.
func (c *outChain) open() (*os.File, int64, error) {
	paths := []string{c.pos.path}
	if c.instance == "" {
		for _, s := range slices.Backward(c.segments) {
			paths = append(paths, s.path)
		}
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		info, err := f.Stat()
		if err == nil && (c.pos.info == nil || os.SameFile(info, c.pos.info)) && endsLine(f, info, c.pos.offset) {
			c.pos.path, c.pos.info = path, info
			size, err := c.whole(f)
			if err != nil {
				return nil, 0, errors.Join(err, f.Close())
			}
			return f, size, nil
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, 0, err
		}
	}
	return nil, 0, nil
}

// whole returns the size of a file at a moment when nobody writes to it: what is left of a write that fails half-way is taken
// back. Of our own segment the log itself knows what stays, see readBatch, and the others have no writer.
func (c *outChain) whole(f *os.File) (int64, error) {
	if c.instance == "" {
		if err := lock(f); err != nil {
			return 0, err
		}
	}
	info, err := f.Stat()
	if c.instance == "" {
		err = errors.Join(err, unlock(f))
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// endsLine reports whether a line ends at the offset.
func endsLine(f *os.File, info os.FileInfo, offset int64) bool {
	if offset == 0 || offset > info.Size() {
		return offset == 0
	}
	var last [1]byte
	_, err := f.ReadAt(last[:], offset-1)
	return err == nil && last[0] == '\n'
}

// readBatch reads lines of consecutive events, and moves the position behind them. A line that is no event is left out.
func (c *outChain) readBatch(f *forwarder, file *os.File, size int64, at *position) (b Batch, err error) {
	start, last, upto := at.offset, 0, uint64(math.MaxUint64)
	if c.own && c.instance != "" && c.after(at.path) == "" {
		upto = c.o.log.last.Load()
	}
	f.lines.reset(io.NewSectionReader(file, start, size-start))
	f.buf = f.buf[:0]
	var long *longLineError
	for {
		line, err := f.lines.next()
		if errors.Is(err, io.EOF) || errors.Is(err, errTorn) {
			break
		}
		if err != nil && !errors.As(err, &long) {
			return b, fmt.Errorf("read %s: %w", at.path, err)
		}
		seq, ok := uint64(0), false
		if err == nil {
			seq, ok = seqOf(line)
		}
		if b.Events > 0 && (!ok || seq != b.Last+1 || len(f.buf)+len(line) >= f.opt.MaxBytes || b.Events >= c.events()) {
			break
		}
		if ok && seq > upto {
			break
		}
		at.offset = start + f.lines.read
		if !ok {
			f.tell(fmt.Errorf("%s: the line that ends at byte %d is no event: the hub does not get it", at.path, at.offset))
			continue
		}
		if b.Events == 0 {
			b.First = seq
		}
		last = len(f.buf)
		f.buf = append(append(f.buf, line...), '\n')
		b.Events, b.Last = b.Events+1, seq
	}
	if b.Events > 0 {
		b.Lines = f.buf
		at.sum = Sum(f.buf[last : len(f.buf)-1])
	}
	return b, nil
}

func (c *outChain) events() int {
	if c.limit > 0 {
		return c.limit
	}
	return maxBatchEvents
}

// seqOf returns the seq of an event. What Commit writes has it at a fixed place; a line that has none there is read in full.
func seqOf(line []byte) (seq uint64, ok bool) {
	const name = `,"seq":`
	if len(line) > fixedLen+len(name) && string(line[:len(openTime)]) == openTime && string(line[fixedLen:fixedLen+len(name)]) == name {
		digits := line[fixedLen+len(name) : min(len(line), fixedLen+len(name)+20)]
		for i, c := range digits {
			if c == ',' && i > 0 && digits[0] != '0' && line[len(line)-1] == '}' {
				return seq, true
			}
			if c < '0' || c > '9' {
				break
			}
			seq = 10*seq + uint64(c-'0') // at most 19 digits
		}
	}
	r, err := parseRecord(line)
	if err != nil {
		return 0, false
	}
	return r.Seq, true
}
