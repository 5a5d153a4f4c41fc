package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A Tail looks at the end of a log: first Last, then Poll for what came since.
type Tail struct {
	layout  layout
	offsets map[string]int64 // by path: up to where a segment was read
	live    os.FileInfo      // the shared file as it was when last read
	shown   map[string]bool  // ids of events that Last found in a spool, and that may come to their segment yet
}

// NewTail returns a tail of the folder or file at path, which need not exist yet.
func NewTail(path string) (*Tail, error) {
	y, err := findLayout(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	return &Tail{layout: y, offsets: map[string]int64{}, shown: map[string]bool{}}, nil
}

// A tailFile is a segment with what is known of it from the outside.
type tailFile struct {
	segment
	info os.FileInfo
}

// list returns all segments, the one that was written last first.
func (t *Tail) list() ([]tailFile, error) {
	if !t.layout.folder { // it may have come only now
		if y, err := findLayout(t.layout.log); err == nil {
			t.layout = y
		}
	}
	if t.layout.folder {
		_ = recoverSpools(t.layout.log, heads{}) // Last shows what cannot be recovered
	}
	chains, err := t.layout.chains()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it may come yet
	}
	if err != nil {
		return nil, err
	}
	var files []tailFile
	for _, c := range chains {
		for _, s := range c.segments {
			info, err := os.Stat(s.path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // retention was faster
			}
			if err != nil {
				return nil, err
			}
			files = append(files, tailFile{segment: s, info: info})
		}
	}
	slices.SortStableFunc(files, func(a, b tailFile) int { return b.info.ModTime().Compare(a.info.ModTime()) })
	return files, nil
}

// Last returns the last n events by time. It reads files from their ends, and only as many as it needs.
func (t *Tail) Last(n int) ([]*Record, error) {
	files, err := t.list()
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	var last []*Record
	for _, f := range files {
		t.seen(f, f.info.Size())
		// A file that was not written since the oldest event that is wanted holds none that is younger.
		if n <= 0 || len(last) == n && !f.spool && writtenBefore(f.info, last[0].Time) {
			continue
		}
		records, whole, err := lastRecords(f.path, f.info.Size(), n)
		if err != nil {
			return nil, err
		}
		t.seen(f, whole)
		last = append(last, records...)
		if len(records) > 0 && f.spool {
			last = append(last, t.spooled(f, records[len(records)-1].Seq)...)
		}
		sortByTime(last)
		last = last[max(0, len(last)-n):]
	}
	return last, nil
}

// spooled returns what is in the spool of a segment that ends with the given event.
func (t *Tail) spooled(f tailFile, upto uint64) (records []*Record) {
	lines, _, _ := f.pending(upto) // what is damaged is for Verify
	for line := range bytes.Lines(lines) {
		if r, err := parseRecord(bytes.TrimSuffix(line, []byte{'\n'})); err == nil {
			records = append(records, r)
			t.shown[r.ID] = true
		}
	}
	return records
}

func (t *Tail) seen(f tailFile, offset int64) {
	t.offsets[f.path] = offset
	if f.path == t.layout.log {
		t.live = f.info
	}
}

func sortByTime(records []*Record) {
	slices.SortStableFunc(records, func(a, b *Record) int { return a.Time.Compare(b.Time) })
}

// Poll returns what was appended since the last call. A line that is no event is passed over.
func (t *Tail) Poll() ([]*Record, error) {
	files, err := t.list()
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	offsets := map[string]int64{} // all are told before any is moved: a rotated file takes over the live one's
	for _, f := range files {
		offsets[f.path] = t.offset(f)
	}
	var records []*Record
	for _, f := range files {
		offset := offsets[f.path]
		if f.info.Size() > offset {
			more, whole, err := readFrom(f.path, offset, f.info.Size())
			if err != nil {
				return nil, err
			}
			records = append(records, slices.DeleteFunc(more, func(r *Record) bool { return t.shown[r.ID] })...)
			offset = whole
		}
		offsets[f.path] = offset
		if f.path == t.layout.log {
			t.live = f.info
		}
	}
	t.offsets = offsets
	sortByTime(records)
	return records, nil
}

// offset returns up to where f was read, under this name or, if it was rotated since, under the shared file's.
func (t *Tail) offset(f tailFile) int64 {
	rotated := t.live != nil && f.path != t.layout.log && os.SameFile(t.live, f.info)
	replaced := t.live != nil && f.path == t.layout.log && !os.SameFile(t.live, f.info)
	switch _, known := t.offsets[f.path]; {
	case replaced:
		return 0
	case rotated && !known:
		return t.offsets[t.layout.log]
	}
	if t.offsets[f.path] > f.info.Size() {
		return 0 // it was cut: show what is there
	}
	return t.offsets[f.path]
}

// readFrom returns the events of whole lines between two offsets, and where the last of these lines ends.
func readFrom(path string, from, to int64) (records []*Record, end int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, from, nil // retention was faster
	}
	if err != nil {
		return nil, from, err
	}
	defer f.Close()
	section := io.NewSectionReader(f, from, to-from)
	for lines := newLineReader(section); ; {
		line, err := lines.next()
		var long *longLineError
		switch {
		case errors.Is(err, io.EOF):
			return records, to, nil
		case errors.Is(err, errTorn):
			return records, to - int64(len(line)), nil
		case errors.As(err, &long):
			continue
		case err != nil:
			return records, from, fmt.Errorf("read %s: %w", filepath.Base(path), err)
		}
		if r, err := parseRecord(line); err == nil {
			records = append(records, r)
		}
	}
}

// lastRecords returns the last n events of the first size bytes of a file, and where its last whole line ends.
func lastRecords(path string, size int64, n int) ([]*Record, int64, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, size, nil // retention was faster
	}
	if err != nil {
		return nil, size, err
	}
	defer f.Close()
	start, err := lineStart(f, size, n)
	if err != nil {
		return nil, size, fmt.Errorf("read %s: %w", path, err)
	}
	records, end, err := readFrom(path, start, size)
	return records[max(0, len(records)-n):], end, err
}

// lineStart finds where the last n whole lines of the first size bytes begin. It reads backwards.
func lineStart(f *os.File, size int64, n int) (int64, error) {
	block := make([]byte, 64<<10)
	ends := -1 // the end of the last line does not begin one of the n
	for to := size; to > 0; {
		from := max(0, to-int64(len(block)))
		part := block[:to-from]
		if _, err := f.ReadAt(part, from); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for i := bytes.LastIndexByte(part, '\n'); i >= 0; i = bytes.LastIndexByte(part[:i], '\n') {
			if ends++; ends == n {
				return from + int64(i) + 1, nil
			}
		}
		to = from
	}
	return 0, nil
}

// Interval is how often a follower should Poll.
const Interval = 200 * time.Millisecond
