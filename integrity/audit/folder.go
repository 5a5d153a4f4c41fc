package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// openPath opens the layout that the configured path asks for.
func openPath(o origin) (sink, error) {
	path := o.opts.Path
	folder := path == "" || isFolder(path)
	if path == "" {
		path = o.opts.DefaultDir
	}
	if path == "" {
		return nil, errors.New("open audit log: there is no folder for it: set audit.path")
	}
	dir := path
	if !folder {
		dir = filepath.Dir(path)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open audit log: make its folder: %w: set audit.path to a place that can be written", err)
	}
	path, err := canonical(path)
	if err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	f := files{
		origin: o, path: path, heads: newHeads(o.opts.StateDir, path),
		maxSize: o.opts.MaxSize, retain: o.opts.Retain,
	}
	if f.maxSize == 0 {
		f.maxSize = DefaultMaxSize
	}
	if f.retain == 0 {
		f.retain = DefaultRetain
	}
	if err := f.heads.prepare(); err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	if folder {
		return openFolder(f)
	}
	return openShared(f)
}

// files is what the layouts that leave files have in common.
type files struct {
	origin
	path    string // canonical: the folder, or the shared file
	heads   heads
	maxSize int64
	retain  time.Duration
	saved   time.Time // when the head was recorded last
	stale   bool      // the head went on since
	over    bool      // more waits for hubs than may
	drops   []dropped // what goes as soon as the log has said so
}

func (f *files) lags() bool { return f.stale }

// saveHead records the head, at most once every headEvery unless it must be now. A head that cannot be recorded does
// not stop the log, since what it protects is there.
func (f *files) saveHead(instance, segment string, h head, must bool) {
	now := f.now()
	if !must && now.Sub(f.saved) < headEvery && !now.Before(f.saved) {
		f.stale = f.heads.dir != ""
		return
	}
	f.saved, f.stale = now, false
	if err := f.heads.save(instance, segment, h); err != nil {
		f.onError(fmt.Errorf("record the head of audit log %s: %w", f.path, err))
	}
}

// room is how many bytes may follow before the file is to be rotated.
func (f *files) room(offset int64) int { return int(max(0, f.maxSize-offset)) }

// A folder is a sink of segments that belong to this process alone.
type folder struct {
	files
	file   *os.File // the live segment, locked; nil before the first write
	start  time.Time
	seen   time.Time // when the live segment was examined last
	offset int64     // of the end of the last whole line
	dirty  bool      // something may stand behind offset
	foul   bool      // another hand was at the live segment
	head   head
	last   string // the segment before the live one
	notes  []note // to be written first
	spool  *spool // of the live segment; nil: there is none
	bare   bool   // the spool's file was removed, so it keeps nothing safe
}

func openFolder(f files) (*folder, error) {
	// The segment comes with the first event, since a client may start a process and throw it away. That it can
	// come has to be known now.
	probe, err := os.CreateTemp(f.path, ".probe-*")
	if err != nil {
		return nil, fmt.Errorf("open audit log: %w: make the folder writable or set audit.path", err)
	}
	err = lock(probe)
	if err = errors.Join(err, probe.Close(), os.Remove(probe.Name())); err != nil {
		return nil, fmt.Errorf("open audit log: lock a file in %s: %w: set audit.path to a local folder", f.path, err)
	}
	d := &folder{files: f}
	for _, err := range recoverSpools(d.path, d.heads) {
		d.onError(fmt.Errorf("recover what a process left: %w", err)) // it stays there, and no log of ours depends on it
	}
	d.removeOld()
	return d, nil
}

func (d *folder) name() string { return d.path }

func (d *folder) begin(size int) (place, error) {
	full := false
	if d.file != nil && d.offset > 0 {
		d.examine()
		full = d.offset+int64(size) > d.maxSize
	}
	if d.file == nil || d.foul || full {
		if err := d.next(); err != nil {
			return place{}, err
		}
	}
	if d.dirty {
		if err := d.file.Truncate(d.offset); err != nil {
			return place{}, fmt.Errorf("remove a torn line: %w", err)
		}
		d.dirty = false
	}
	at := place{head: d.head, notes: d.notes, room: d.room(d.offset), at: d.offset}
	if d.offset == 0 {
		at.notes = append([]note{opened(d.opts.Version, d.last)}, d.notes...)
	}
	if !d.bare {
		at.spool = d.spool
	}
	return at, nil
}

// examine looks once in a while whether the live segment is still what was written. If another hand was at it, it is
// left as it is, and the chain goes on in a new one that says so.
func (d *folder) examine() {
	now := d.now()
	if now.Sub(d.seen) < headEvery && !now.Before(d.seen) || d.dirty || d.foul {
		return
	}
	d.seen = now
	if d.spool != nil && !d.bare && !d.spool.there() {
		d.bare = true
		d.notes = append(d.notes, note{kind: Anomaly, reason: "spool_removed", target: filepath.Base(d.spool.path)})
	}
	here, err := d.file.Stat()
	if err != nil {
		return // the write will tell
	}
	reason := ""
	there, err := os.Lstat(d.file.Name())
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !os.SameFile(here, there):
		reason = "segment_removed"
	case here.Size() != d.offset:
		reason = "segment_altered"
	default:
		return
	}
	d.notes = append(d.notes, note{kind: Anomaly, reason: reason, target: filepath.Base(d.file.Name())})
	d.foul = true
}

// next ends the live segment, if there is one, and makes the next. The spool goes along before the lock of its segment
// is given up: else another process would take us for dead. It holds nothing then that is in the old segment.
func (d *folder) next() error {
	start := d.now()
	if !start.After(d.start) {
		start = d.start.Add(1) // names sort as they were made, even if the clock does not
	}
	if err := d.destine(); err != nil {
		return err
	}
	file, err := d.create(start)
	if err != nil {
		return err
	}
	path := file.Name()
	switch {
	case d.spool != nil && !d.bare:
		if err := d.spool.rename(path + spoolExt); err != nil {
			return errors.Join(err, file.Close(), os.Remove(path))
		}
	case d.spool == nil && canMap && d.spoolSize() > 0:
		d.spool, _ = newSpool(path+spoolExt, d.spoolSize()) // without one, each Commit writes
	}
	old := d.file
	if old != nil {
		d.last = filepath.Base(old.Name())
		d.saveHead(d.instance, old.Name(), d.head, true)
		_ = old.Close() // nothing is buffered, and the lock goes with it
	}
	d.file, d.start, d.seen, d.offset, d.dirty, d.foul = file, start, start, 0, false, false
	if d.head.seq == 0 { // before the segment holds anything, so that a chain without a recorded head is not one of ours
		d.saveHead(d.instance, path, d.head, true)
	}
	if old != nil {
		d.removeOld()
	}
	if d.over {
		d.planDrop()
	}
	return nil
}

// destine makes the cursor of a chain that has a destination, before there is anything of the chain: whenever the process
// is killed, who comes after it knows where the events are to go.
func (d *folder) destine() error {
	if d.opts.Hub == "" || d.file != nil || d.head.seq > 0 {
		return nil
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return err
	}
	c := cursor{hub: d.opts.Hub, chain: d.chainName(d.instance), from: 1}
	if err := writeCursor(cursorPath(d.path, d.instance), c); err != nil {
		return fmt.Errorf("say where the audit log is to go: %w", err)
	}
	return nil
}

func (d *folder) spoolSize() int {
	if d.opts.spool == 0 {
		return defaultSpool
	}
	return d.opts.spool
}

// create makes a segment.
func (d *folder) create(start time.Time) (*os.File, error) {
	path := filepath.Join(d.path, segmentName(start, d.instance))
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(file); err != nil { // tells others that its process lives
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close(), os.Remove(path))
	}
	return file, nil
}

func (d *folder) write(lines []byte, h head) error {
	if _, err := d.file.WriteAt(lines, d.offset); err != nil {
		d.dirty = d.file.Truncate(d.offset) != nil
		return err
	}
	first := d.head.seq == 0
	d.offset += int64(len(lines))
	d.head, d.notes = h, nil
	d.saveHead(d.instance, d.file.Name(), h, first)
	d.drop()
	return nil
}

func (d *folder) end() {}

func (d *folder) settle() {
	if d.file != nil && d.stale {
		d.saveHead(d.instance, d.file.Name(), d.head, true)
	}
}

func (d *folder) close() error {
	if d.file == nil {
		return nil
	}
	d.keepDrops()
	path, left := d.file.Name(), d.spool.used() > 0 && !d.bare
	spoolErr := d.spool.close()
	if d.offset == 0 && !left { // nothing could ever be written to it
		err := errors.Join(spoolErr, d.file.Close(), os.Remove(path))
		if d.head.seq == 0 {
			d.heads.forget(d.instance)
			_ = os.Remove(cursorPath(d.path, d.instance)) // most have none
		}
		return err
	}
	d.saveHead(d.instance, path, d.head, true)
	return errors.Join(spoolErr, d.file.Close())
}
