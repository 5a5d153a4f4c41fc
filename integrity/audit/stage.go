package audit

import (
	"encoding/binary"
	"sync"
)

// maxHeld is how many bytes of events wait in memory while the log cannot be written. What comes later is lost, and the
// loss is counted.
const maxHeld = 4 << 20

// keepBuffer is the largest buffer that is kept for reuse.
const keepBuffer = 256 << 10

// A staged event is four bytes of length, then the event as it will be written, but without seq and prev: those are
// known only when it is written, because other processes may write to the same file and because what is lost must not
// leave a hole in the chain. They go behind the time and the id, whose lengths are fixed.
const (
	lengthLen = 4
	openTime  = `{"time":"`
	openID    = `","id":"`
	fixedLen  = len(openTime) + stampLen + len(openID) + idLen + len(`"`)
)

// A stage holds what was appended and not yet taken by a writer. The log's mutex guards it.
type stage struct {
	buf    []byte
	held   int    // bytes that a writer has taken and could not yet write
	events uint64 // appended ever, lost ones too
	lost   uint64 // not recorded and not yet confessed
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
	b = append(b, 0, 0, 0, 0)
	now := l.clock.now()
	b = l.clock.appendStamp(append(b, openTime...), now)
	b = l.clock.appendID(append(b, openID...), now)
	b = append(b, '"')
	b = append(b, l.members...)
	era := e.Era
	if k != nil {
		b = append(b, k.members...)
		if era == "" {
			era = k.era
		}
	}
	b = appendMember(b, `,"era":`, era, maxName)
	b = e.appendFields(b, args)
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-lengthLen)) //nolint:gosec // every part is bounded
	return b
}

// nextStaged splits the first event off b.
func nextStaged(b []byte) (event, rest []byte) {
	n := lengthLen + int(binary.LittleEndian.Uint32(b))
	return b[lengthLen:n], b[n:]
}
