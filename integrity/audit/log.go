package audit

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is returned by Commit after Close.
var ErrClosed = errors.New("audit log is closed")

// A Log records events. Its methods are safe for concurrent use.
type Log struct {
	sink    sink // nil: auditing is off
	args    argsMode
	members []byte // source, instance, host and user, ready to be copied
	warn    bool   // on_failure: warn
	onError func(error)

	instance string
	wrote    chan struct{} // of capacity 1; nil: auditing is off
	last     atomic.Uint64 // seq of the last event that was written
	failing  atomic.Bool   // there is an outage, for those who must not wait for write

	mu     sync.Mutex // held for the time of a copy, never while the disk is written
	clock  clock
	staged stage
	closed bool

	write   sync.Mutex // one writer at a time; guards all below. Taken before mu
	taken   []byte     // staged events, of which taken[done:] is yet to be written
	done    int
	out     []byte // the lines of one write
	outage  outage
	settler *time.Timer // runs settle, if armed
	armed   bool
}

// An outage is a time in which the log cannot be written.
type outage struct {
	since time.Time // zero: there is none
	err   error
}

// A sink is where lines go. The log calls it from one goroutine at a time.
type sink interface {
	// begin gets ready to write an event of size bytes and those that follow it. A nil error obliges to call end.
	begin(size int) (place, error)
	// write writes whole lines, after which the chain's head is h. On an error nothing of them stays.
	write(lines []byte, h head) error
	end()
	// settle records the head of the chain if it lags behind. lags reports whether it does.
	settle()
	lags() bool
	close() error
	name() string
}

// A place is where lines are going to be written.
type place struct {
	head  head   // of the chain
	notes []note // what the log has to say of itself before anything else
	room  int    // bytes after which the file is to be rotated, though it takes one event at least
	at    int64  // where in the file
	spool *spool // keeps events safe until they are written; nil: there is none
}

// A note is an event that the log records about itself.
type note struct {
	kind   Kind
	reason string
	target string
	args   []byte // JSON
}

// Open opens a log, or says why that is impossible: nothing should start then. With audit disabled it returns a log
// that takes events and keeps none.
func Open(opts Options) (*Log, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if err := checkHub(opts.Hub); err != nil {
		return nil, err
	}
	l := &Log{
		args:    newArgsMode(opts.Config),
		warn:    opts.OnFailure == "warn",
		onError: opts.OnError,
		clock:   newClock(opts.Now),
	}
	if l.onError == nil {
		l.onError = func(err error) {
			if opts.Stderr != nil {
				_, _ = fmt.Fprintf(opts.Stderr, "mcpx: %v\n", err)
			}
		}
	}
	if opts.Enabled != nil && !*opts.Enabled {
		return l, nil
	}
	instance := string(l.clock.appendID(nil, l.clock.now())[idLen-12:])
	l.members = appendOrigin(nil, opts.Source, instance)
	l.instance, l.wrote = instance, make(chan struct{}, 1)
	base := origin{opts: opts, instance: instance, now: l.clock.now, onError: l.onError}
	var err error
	switch opts.Output {
	case "stdout", "stderr":
		l.sink, err = openStream(base)
	default:
		l.sink, err = openPath(base)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// An origin is what every sink needs to know.
type origin struct {
	opts     Options
	instance string
	now      func() time.Time
	onError  func(error)
}

func appendOrigin(b []byte, source, instance string) []byte {
	b = appendMember(b, `,"source":`, source, maxName)
	b = appendMember(b, `,"instance":`, instance, maxName)
	host, _ := os.Hostname()
	b = appendMember(b, `,"host":`, host, maxName)
	return appendMember(b, `,"user":`, username(), maxName)
}

func username() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}

// Commit returns when everything that was appended before is safe from the death of the process, in the order in which
// it was appended: it is in the spool, or written. What one Commit writes goes out in one write, unless it is very much.
//
// When the log cannot be written, and the spool is full, Commit says so and the events stay in memory for the next
// Commit; past a limit they are lost, and the log confesses how many as soon as it can. With on_failure: warn the caller
// is not told.
func (l *Log) Commit() error {
	if l.sink == nil {
		return nil
	}
	l.mu.Lock()
	upto, closed := l.staged.events, l.closed
	safe, loss := !closed && l.secure(), l.lossOf(upto)
	l.mu.Unlock()
	switch {
	case closed:
		return ErrClosed
	case safe:
		return loss
	}
	return l.commitNow(upto)
}

// Failing reports whether the log could not be written when that was tried last. It does not wait for a disk.
func (l *Log) Failing() bool { return l.failing.Load() }

// commitNow waits for the writer, and writes what that one left.
func (l *Log) commitNow(upto uint64) error {
	l.write.Lock()
	defer l.write.Unlock()
	l.mu.Lock()
	safe, loss := l.staged.settled >= upto || !l.closed && l.secure(), l.lossOf(upto)
	closed := l.closed
	l.mu.Unlock()
	switch {
	case safe:
		return loss
	case closed:
		return ErrClosed
	}
	if err := l.flushNow(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lossOf(upto)
}

// flushNow writes all that is staged, and handles the failure. The caller holds l.write.
func (l *Log) flushNow() error { return l.after(l.flush()) }

// after sees to what follows a write: the head is to be recorded, an outage to be told. The caller holds l.write.
func (l *Log) after(err error) error {
	if l.sink.lags() && !l.armed {
		l.settleLater()
	}
	if err != nil {
		return l.failed(err)
	}
	return nil
}

// settleLater sees to it that the head is recorded even if no Commit follows. The caller holds l.write.
func (l *Log) settleLater() {
	l.armed = true
	if l.settler == nil {
		l.settler = time.AfterFunc(headEvery, l.settle)
		return
	}
	l.settler.Reset(headEvery)
}

func (l *Log) settle() {
	l.write.Lock()
	defer l.write.Unlock()
	if l.armed { // and not closed meanwhile
		l.armed = false
		l.sink.settle()
	}
}

// failed handles an outage. The caller holds l.write.
func (l *Log) failed(err error) error {
	err = fmt.Errorf("write audit log %s: %w", l.sink.name(), err)
	if l.outage.since.IsZero() {
		l.outage = outage{since: l.clock.now(), err: err}
		l.failing.Store(true)
		l.onError(err)
	}
	l.mu.Lock()
	if l.staged.spool.used() > 0 && !l.closed {
		l.flushIn(dueNow, retryEvery)
	}
	l.mu.Unlock()
	if l.warn {
		return nil
	}
	return err
}

// lossOf returns an error if events up to the given one, and not written before, were lost. The caller holds l.mu.
func (l *Log) lossOf(upto uint64) error {
	if l.warn || upto <= l.staged.lossy[0] || upto > l.staged.lossy[1] {
		return nil
	}
	return fmt.Errorf("audit log %s has a gap: events were lost while it could not be written", l.sink.name())
}

// chunk is about how much one write writes, and probe how much while it is not known whether it can succeed. A write
// that is not the last one ends with a page of the file: a page that two writes share costs twice, and whole pages are
// taken by the system many at once. Lines of 600 bytes in writes of 64 KB cost 40 % less so.
const (
	chunk = 64 << 10
	probe = 16 << 10
	page  = 4 << 10
)

// goal is how many bytes of at most limit end with a page of the file, limit if that is out of reach.
func (p *place) goal(limit int) int {
	end := limit - int((p.at+int64(limit))%page)
	if end <= 0 || end > p.room {
		return limit
	}
	return end
}

// flush writes all that is staged. The caller holds l.write.
func (l *Log) flush() error {
	for {
		upto, lost := l.take()
		last := l.done == len(l.taken) && lost == 0 && l.outage.since.IsZero()
		if !last {
			var err error
			if last, err = l.flushChunk(lost); err != nil {
				return err
			}
		}
		if last {
			if !l.outage.since.IsZero() {
				l.outage = outage{}
				l.failing.Store(false)
			}
			l.settleEvents(upto, lost)
			return nil
		}
	}
}

// settleEvents notes that all events up to the given one are written, but for those that were lost.
func (l *Log) settleEvents(upto, lost uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lost > 0 {
		l.staged.lossy = [2]uint64{l.staged.settled, upto}
		l.staged.lost -= lost
	}
	l.staged.settled = upto
}

// take moves what is staged behind what could not be written before.
func (l *Log) take() (upto, lost uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.staged.fill() // what nobody has committed yet is not to keep what follows out of the spool
	if l.done == len(l.taken) {
		if cap(l.taken) > keepBuffer {
			l.taken = nil
		}
		l.taken, l.staged.buf = l.staged.buf, l.taken[:0]
		l.staged.grow()
		l.done = 0
	} else {
		l.taken = append(l.taken, l.staged.buf...)
		l.staged.buf = l.staged.buf[:0]
	}
	l.staged.held = len(l.taken) - l.done
	l.staged.due = notDue
	return l.staged.events, l.staged.lost
}

// flushChunk writes the first events of what was taken, and reports whether these were the last. The last ones are
// followed by the confession of an outage.
func (l *Log) flushChunk(lost uint64) (last bool, err error) {
	pending := l.taken[l.done:]
	limit := chunk
	if !l.outage.since.IsZero() {
		limit = probe
	}
	at, err := l.sink.begin(firstSize(pending))
	if err != nil {
		return false, err
	}
	defer l.sink.end()
	l.mu.Lock()
	l.staged.spool = at.spool
	l.staged.grow()
	l.mu.Unlock()
	out, h := l.out[:0], at.head
	for _, n := range at.notes {
		own := l.ownEvent(n)
		if len(pending) > 0 { // times rise along the chain, and the first event was made before the note
			first, _ := nextStaged(pending)
			copy(own[len(openTime):], first[len(openTime):len(openTime)+stampLen])
		}
		out = h.link(out, own, 0)
	}
	limit = at.goal(limit)
	for first := true; len(pending) > 0 && len(out) < limit && (first || len(out)+firstSize(pending) <= at.room); first = false {
		event, rest := nextStaged(pending)
		pad := 0
		if free := limit - len(out) - h.lineSize(event); 0 < free && free < page && len(rest) > 0 {
			if next, _ := nextStaged(rest); free < h.lineSize(next) {
				pad = free
			}
		}
		out, pending = h.link(out, event, pad), rest
	}
	last = len(pending) == 0
	if last && (lost > 0 || !l.outage.since.IsZero()) {
		out = h.link(out, l.ownEvent(l.gap(lost)), 0)
	}
	l.out = out
	if cap(out) > 2*keepBuffer {
		l.out = nil
	}
	if err := l.sink.write(out, h); err != nil {
		return false, err
	}
	l.last.Store(h.seq)
	select {
	case l.wrote <- struct{}{}:
	default:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	written := len(l.taken) - len(pending) - l.done
	l.done += written
	l.staged.held -= written
	l.staged.spool.release(written)
	return last, nil
}

// ownEvent returns n in the form of a staged event, without the length.
func (l *Log) ownEvent(n note) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := Event{Kind: n.kind, Reason: n.reason, Target: []byte(n.target)}
	return l.appendEvent(nil, nil, &e, n.args)[stagedLen:]
}

// gap is the confession of an outage.
func (l *Log) gap(lost uint64) note {
	args := strconv.AppendUint([]byte(`{"count":`), lost, 10)
	if !l.outage.since.IsZero() {
		args = appendText(append(args, `,"since":`...), l.outage.since.UTC().Format(time.RFC3339Nano), maxName)
		args = appendText(append(args, `,"error":`...), l.outage.err.Error(), maxReason)
	}
	return note{kind: Anomaly, reason: "audit_gap", args: append(args, '}')}
}

// Close writes what is staged, records the head and lets go of the files. Events that are appended later are lost.
func (l *Log) Close() error {
	if l.sink == nil {
		return nil
	}
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	if l.staged.timer != nil {
		l.staged.timer.Stop()
	}
	l.mu.Unlock()
	if closed {
		return nil
	}
	l.write.Lock()
	defer l.write.Unlock()
	if l.armed {
		l.settler.Stop()
		l.armed = false
	}
	err := l.flush()
	if err != nil {
		err = fmt.Errorf("write audit log %s: %w", l.sink.name(), err)
	}
	l.mu.Lock()
	l.staged.spool = nil
	l.mu.Unlock()
	return errors.Join(err, l.sink.close())
}
