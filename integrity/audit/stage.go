package audit

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

// maxHeld is how many bytes of events wait in memory while the log cannot be written. What comes later is lost, and the
// loss is counted.
const maxHeld = 4 << 20

// keepBuffer is the largest buffer that is kept for reuse.
const keepBuffer = 512 << 10

// A staged event is four bytes of length and four of a checksum, for the spool, then the event as it will be written, but
// without seq and prev: those are known only when it is written, because other processes may write to the same file and
// because what is lost must not leave a hole in the chain. They go behind the time and the id, whose lengths are fixed.
const (
	stagedLen = 8
	openTime  = `{"time":"`
	openID    = `","id":"`
	fixedLen  = len(openTime) + stampLen + len(openID) + idLen + len(`"`)
)

// A stage holds what was appended and not yet taken by a writer. The log's mutex guards it.
//
// What is yet to be written is held and then buf. The spool holds the first bytes of that, all of it if every event was
// committed.
type stage struct {
	buf     []byte
	held    int       // bytes that a writer has taken and has not written yet
	events  uint64    // appended ever, lost ones too
	lost    uint64    // not recorded and not yet confessed
	settled uint64    // of events: how many are written or confessed as lost
	lossy   [2]uint64 // the events of the last write that confessed a loss: (lossy[0], lossy[1]]
	spool   *spool    // nil: there is none, so only what is written is safe

	due   due         // when the spool is to be flushed
	timer *time.Timer // runs Log.flushSpool
}

// A due says when what is in the spool goes to the segment.
type due int

const (
	notDue  due = iota // it is empty, or being written
	dueSoon            // after flushEvery
	dueNow             // it is filling up, or a write failed and is going to be tried again
)

// flushEvery is how long an event stays in the spool at most, where only this package's readers look for it once the
// process is dead. After a write that failed the next one comes after retryEvery.
const (
	flushEvery = 200 * time.Millisecond
	retryEvery = time.Second
)

// fill puts what is staged into the spool and reports whether all of it is safe there, or in the file.
func (s *stage) fill() bool {
	if s.spool == nil || s.lost > 0 {
		return false
	}
	used := s.spool.used()
	switch {
	case used < s.held: // what was taken was never in the spool, and what follows must not overtake it
		return false
	case used == s.held+len(s.buf):
		return true
	}
	return s.spool.put(s.buf[used-s.held:])
}

// grow makes room at once for what a spool can hold.
func (s *stage) grow() {
	if s.spool != nil && cap(s.buf) < len(s.spool.ring) {
		s.buf = append(make([]byte, 0, len(s.spool.ring)), s.buf...)
	}
}

// secure makes all that is staged safe, if the spool can do that, and sees to it that it is written soon. The caller
// holds l.mu.
func (l *Log) secure() bool {
	s := &l.staged
	if !s.fill() {
		return false
	}
	switch {
	case s.spool.used() == 0:
	case s.due == notDue:
		l.flushIn(dueSoon, flushEvery)
	case s.due == dueSoon && 4*s.spool.used() > 3*len(s.spool.ring):
		l.flushIn(dueNow, 0)
	}
	return true
}

// flushIn arms the timer of the spool. The caller holds l.mu.
func (l *Log) flushIn(how due, after time.Duration) {
	s := &l.staged
	s.due = how
	if s.timer == nil {
		s.timer = time.AfterFunc(after, l.flushSpool)
		return
	}
	s.timer.Reset(after)
}

// flushSpool writes what is in the spool to its segment. While that fails it is tried again, for as long as the events
// are nowhere else.
func (l *Log) flushSpool() {
	l.write.Lock()
	defer l.write.Unlock()
	l.mu.Lock()
	idle := l.closed || l.staged.held+len(l.staged.buf) == 0
	l.mu.Unlock()
	if idle {
		return
	}
	_ = l.flushNow() // told by l.onError; who commits what no longer fits is told too
}

// Relieve writes a chunk of what is in the spool, if there is one and nobody else writes. Nothing depends on it: it lets
// a caller who is about to wait for a peer do in that time, in small bites, what would otherwise be done in large ones
// beside the next messages.
func (l *Log) Relieve() {
	if l.sink == nil {
		return
	}
	l.mu.Lock()
	worth := l.staged.spool.used() >= chunk && l.staged.lost == 0
	l.mu.Unlock()
	if worth && l.write.TryLock() {
		defer l.write.Unlock()
		_ = l.after(l.relieve()) // by l.onError, as in flushSpool
	}
}

// relieve writes whole chunks and leaves the rest staged, so that writes end with a page. The caller holds l.write.
func (l *Log) relieve() error {
	l.take()
	if !l.outage.since.IsZero() { // the log has something to say of itself first
		return l.flush()
	}
	for len(l.taken)-l.done >= chunk {
		if _, err := l.flushChunk(0); err != nil {
			return err
		}
	}
	if !l.giveBack() {
		return l.flush()
	}
	return nil
}

// giveBack puts what was taken and not written in front of what was staged since, if it is safe in the spool. The caller
// holds l.write.
func (l *Log) giveBack() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.staged
	if l.closed || s.spool.used() < s.held { // the spool is gone, or stayed with another segment
		return false
	}
	s.buf = slices.Insert(s.buf, 0, l.taken[l.done:]...)
	l.taken, l.done, s.held = l.taken[:0], 0, 0
	if s.due == notDue && s.spool.used() > 0 {
		l.flushIn(dueSoon, flushEvery)
	}
	return true
}

var argsPool = sync.Pool{New: func() any { return new([]byte) }}

func (l *Log) stage(k *Link, e *Event) {
	if l.sink == nil {
		return
	}
	// Hashing a large argument takes its time: not under the lock.
	args := argsPool.Get().(*[]byte)
	if e.Detail != nil {
		*args = append((*args)[:0], e.Detail...)
	} else {
		*args = l.args.append((*args)[:0], e.Args)
	}

	l.mu.Lock()
	l.staged.events++
	if l.closed || len(l.staged.buf)+l.staged.held > maxHeld {
		l.staged.lost++
	} else {
		l.staged.buf = l.appendEvent(l.staged.buf, k, e, *args)
	}
	l.mu.Unlock()

	if cap(*args) <= keepBuffer {
		argsPool.Put(args)
	}
}

// appendEvent appends a staged event. A nil link is the log itself. The caller holds l.mu.
func (l *Log) appendEvent(b []byte, k *Link, e *Event, args []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	now := e.Time
	if now.IsZero() {
		now = l.clock.now()
	}
	b = l.clock.appendStamp(append(b, openTime...), now)
	b = l.clock.appendID(append(b, openID...), now)
	b = append(b, '"')
	if k == nil {
		b = appendMember(append(b, l.members...), `,"era":`, e.Era, maxName)
	} else {
		b = append(b, k.shared(e.Era)...)
	}
	b = e.appendFields(b, args)
	body := b[start+stagedLen:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(body))) //nolint:gosec // every part is bounded
	binary.LittleEndian.PutUint32(b[start+4:], checksum(body))
	return b
}

// nextStaged splits the first event off b.
func nextStaged(b []byte) (event, rest []byte) {
	n := firstSize(b)
	return b[stagedLen:n], b[n:]
}

// firstSize is about how many bytes the first event of b is, 0 if there is none.
func firstSize(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	return stagedLen + int(binary.LittleEndian.Uint32(b))
}
