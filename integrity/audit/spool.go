package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"unsafe"
)

// A spool makes Commit cheap: a file of fixed size beside the live segment, mapped into memory, to which Commit copies
// the staged events. They are in the page cache of the system then, where no death of the process reaches them, and no
// system call was made. Many of them go to the segment in one write later; recoverSpool does that for a dead process.
//
// The file is a ring behind a header. It holds the first bytes of what the log has yet to write, in the form in which
// events are staged. The memory of the process stays the truth as long as it lives: nothing is read back from a spool
// that others could have written to.
//
// Where there is no spool, each Commit writes to the segment.
type spool struct {
	path   string
	info   os.FileInfo // of the file
	mapped []byte
	ring   []byte // mapped, behind the header
	broken bool   // the mapping failed: take nothing more
	// Bytes ever released and ever put. The header holds copies, with which a reader knows what is in the ring.
	head, tail uint64
}

// The header: the magic, then head and tail, little endian. The magic comes last when the file is made, so that a file
// with nothing behind the magic is one that was never used.
const (
	spoolExt     = ".spool" // behind the segment's name
	spoolMagic   = "mcpx spool v1\n\x00\x00"
	spoolHeadAt  = len(spoolMagic)
	spoolTailAt  = spoolHeadAt + 8
	spoolHeader  = 64
	maxSpoolFile = 16 << 20

	// defaultSpool is the size of the ring in bytes. Three quarters of it are more than a hundred calls, so that the write
	// is none of the slowest one in a hundred.
	defaultSpool = 256 << 10
)

// newSpool makes the spool at path. Its blocks are written once, so that a full disk is found now and not by a store.
func newSpool(path string, size int) (_ *spool, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = file.Close() // the mapping does not need it
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	zeros := make([]byte, min(size, 32<<10)+spoolHeader)
	for at := 0; at < spoolHeader+size; at += len(zeros) {
		if _, err := file.Write(zeros[:min(len(zeros), spoolHeader+size-at)]); err != nil {
			return nil, err
		}
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	mapped, err := mapFile(file, spoolHeader+size)
	if err != nil {
		return nil, err
	}
	copy(mapped, spoolMagic)
	return &spool{path: path, info: info, mapped: mapped, ring: mapped[spoolHeader:]}, nil
}

// used is how many bytes of events the spool holds.
func (s *spool) used() int {
	if s == nil {
		return 0
	}
	return int(s.tail - s.head) //nolint:gosec // at most the ring
}

// put adds staged events, which are safe when it returns true. It returns false if there is no room.
func (s *spool) put(events []byte) (ok bool) {
	if s == nil || s.broken || len(events) > len(s.ring)-s.used() {
		return false
	}
	// A store to a page that is gone (somebody cut the file; a file system that copies on write is full) is a fault.
	// It costs the spool, not the process: what is in memory is written to the segment.
	defer s.unless(debug.SetPanicOnFault(true), &ok)
	at := int(s.tail % uint64(len(s.ring))) //nolint:gosec // less than the ring
	n := copy(s.ring[at:], events)
	copy(s.ring, events[n:])
	s.tail += uint64(len(events))
	s.publish(spoolTailAt, s.tail)
	return true
}

// release gives back the room of the first n bytes, which are in the segment.
func (s *spool) release(n int) {
	if n = min(n, s.used()); n == 0 || s.broken {
		return
	}
	ok := false
	defer s.unless(debug.SetPanicOnFault(true), &ok)
	s.head += uint64(n) //nolint:gosec // positive
	s.publish(spoolHeadAt, s.head)
}

// unless is deferred, and ends the use of a spool whose memory is gone.
func (s *spool) unless(old bool, ok *bool) {
	debug.SetPanicOnFault(old)
	switch r := recover().(type) {
	case nil:
	case interface {
		runtime.Error
		Addr() uintptr // only a fault has one
	}:
		s.broken, s.head, *ok = true, s.tail, false
	default:
		panic(r)
	}
}

// publish stores v after all that was stored before.
func (s *spool) publish(at int, v uint64) {
	var little [8]byte
	binary.LittleEndian.PutUint64(little[:], v)
	to := (*uint64)(unsafe.Pointer(&s.mapped[at])) // aligned: a mapping begins at a page
	atomic.StoreUint64(to, binary.NativeEndian.Uint64(little[:]))
}

// there reports whether the file still has its name.
func (s *spool) there() bool {
	info, err := os.Lstat(s.path)
	return err == nil && os.SameFile(info, s.info)
}

// rename moves the file to the next segment.
func (s *spool) rename(path string) error {
	if err := os.Rename(s.path, path); err != nil {
		return err
	}
	s.path = path
	return nil
}

// close lets go of the spool. Its file stays if there are events in it.
func (s *spool) close() error {
	if s == nil || s.mapped == nil {
		return nil
	}
	err := unmapFile(s.mapped)
	s.mapped, s.ring = nil, nil
	if s.used() == 0 && s.there() {
		err = errors.Join(err, os.Remove(s.path))
	}
	s.broken = true
	return err
}

// A SpoolError is the error of a file that is named like a spool and holds something else, or was damaged. It is left
// as it is.
type SpoolError struct {
	Path string
	Why  string
}

func (e *SpoolError) Error() string {
	return fmt.Sprintf("%s: the spool %s: it is left as it is: move it away to go without what is in it", e.Path, e.Why)
}

// readSpool returns the staged events in a spool that no process has open, and the size of its ring. With a SpoolError
// come the events before the damage.
func readSpool(path string) (events []byte, size int, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	bad := func(why string) ([]byte, int, error) { return events, size, &SpoolError{Path: path, Why: why} }
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, 0, err
	case !info.Mode().IsRegular():
		return bad("is not a regular file")
	case info.Size() > maxSpoolFile:
		return bad("is too large")
	}
	data, err := io.ReadAll(io.LimitReader(file, maxSpoolFile))
	if err != nil {
		return nil, 0, err
	}
	if unusedSpool(data) {
		return nil, max(0, len(data)-spoolHeader), nil
	}
	if len(data) < spoolHeader || string(data[:len(spoolMagic)]) != spoolMagic {
		return bad("is not one of mcpx")
	}
	ring := data[spoolHeader:]
	size = len(ring)
	head, tail := binary.LittleEndian.Uint64(data[spoolHeadAt:]), binary.LittleEndian.Uint64(data[spoolTailAt:])
	if tail < head || tail-head > uint64(len(ring)) {
		return bad("is damaged: its header makes no sense")
	}
	if tail == head {
		return nil, size, nil
	}
	at := head % uint64(len(ring))
	all := append(append([]byte{}, ring[at:]...), ring[:at]...)[:tail-head]
	for rest := all; len(rest) > 0; {
		n, ok := checkStaged(rest)
		if !ok {
			events = all[:len(all)-len(rest)]
			return bad(fmt.Sprintf("is damaged at byte %d of %d", len(events), len(all)))
		}
		rest = rest[n:]
	}
	return all, size, nil
}

// unusedSpool reports whether data is what newSpool leaves behind, wherever it is killed.
func unusedSpool(data []byte) bool {
	for i, c := range data {
		if c != 0 && (i >= len(spoolMagic) || c != spoolMagic[i]) {
			return false
		}
	}
	return true
}

// checksum makes its table when it is first needed, not at the start of a program.
func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// checkStaged returns the length of the first staged event of b, and whether it is whole.
func checkStaged(b []byte) (n int, ok bool) {
	if len(b) < stagedLen {
		return 0, false
	}
	size := int64(binary.LittleEndian.Uint32(b))
	if size < int64(fixedLen) || size > int64(len(b)-stagedLen) {
		return 0, false
	}
	n = stagedLen + int(size)
	body := b[stagedLen:n]
	return n, string(body[:len(openTime)]) == openTime && binary.LittleEndian.Uint32(b[4:]) == checksum(body)
}

// spoolOf names the spool of a segment if there is one.
func spoolOf(segment string) (path string, ok bool) {
	path = segment + spoolExt
	_, err := os.Lstat(path)
	return path, !errors.Is(err, fs.ErrNotExist)
}
