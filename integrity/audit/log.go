package audit

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"sync"
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

	mu     sync.Mutex // held for the time of a copy, never while the disk is written
	clock  clock
	staged stage
	closed bool

	write   sync.Mutex // one writer at a time; guards all below
	taken   []byte     // staged events, of which taken[done:] is yet to be written
	done    int
	out     []byte // the lines of one write
	outage  outage
	settled uint64      // of staged.events: how many are written or confessed as lost
	settler *time.Timer // runs settle, if armed
	armed   bool
	lossy   [2]uint64 // the events of the last write that confessed a loss: (lossy[0], lossy[1]]
}

// An outage is a time in which the log cannot be written.
type outage struct {
	since time.Time // zero: there is none
	err   error
}

// A sink is where lines go. The log calls it from one goroutine at a time.
type sink interface {
	// begin gets ready for a write of about size bytes, and returns the head of the chain and what the log has to
	// say of itself before anything else. A nil error obliges to call end.
	begin(size int) (head, []note, error)
	// write writes whole lines, after which the chain's head is h. On an error nothing of them stays.
	write(lines []byte, h head) error
	end()
	// settle records the head of the chain if it lags behind. lags reports whether it does.
	settle()
	lags() bool
	close() error
	name() string
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

// Commit returns when everything that was appended before is written, in the order in which it was appended. What one
// Commit writes goes out in one write, unless it is very much.
//
// When the log cannot be written, Commit says so and the events stay in memory for the next Commit; past a limit they
// are lost, and the log confesses how many as soon as it can. With on_failure: warn the caller is not told.
func (l *Log) Commit() error {
	if l.sink == nil {
		return nil
	}
	l.mu.Lock()
	upto, closed := l.staged.events, l.closed
	l.mu.Unlock()
	l.write.Lock()
	defer l.write.Unlock()
	switch {
	case closed:
		return ErrClosed
	case l.settled >= upto:
		return l.lossOf(upto)
	}
	err := l.flush()
	if l.sink.lags() && !l.armed {
		l.settleLater()
	}
	if err != nil {
		return l.failed(err)
	}
	return l.lossOf(upto)
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
		l.onError(err)
	}
	if l.warn {
		return nil
	}
	return err
}

// lossOf returns an error if events up to the given one, and not written before, were lost.
func (l *Log) lossOf(upto uint64) error {
	if l.warn || upto <= l.lossy[0] || upto > l.lossy[1] {
		return nil
	}
	return fmt.Errorf("audit log %s has a gap: events were lost while it could not be written", l.sink.name())
}

// chunk is about how much one write writes, and probe how much while it is not known whether it can succeed.
const (
	chunk = 256 << 10
	probe = 16 << 10
)

// flush writes all that is staged. The caller holds l.write.
func (l *Log) flush() error {
	for {
		upto, lost := l.take()
		if l.done == len(l.taken) && lost == 0 && l.outage.since.IsZero() {
			l.settled = upto
			return nil
		}
		last, err := l.flushChunk(lost)
		if err != nil {
			return err
		}
		if !last {
			continue
		}
		if lost > 0 {
			l.lossy = [2]uint64{l.settled, upto}
		}
		l.outage = outage{}
		l.settled = upto
		return nil
	}
}

// take moves what is staged behind what could not be written before.
func (l *Log) take() (upto, lost uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done == len(l.taken) {
		if cap(l.taken) > keepBuffer {
			l.taken = nil
		}
		l.taken, l.staged.buf = l.staged.buf, l.taken[:0]
		l.done = 0
	} else {
		l.taken = append(l.taken, l.staged.buf...)
		l.staged.buf = l.staged.buf[:0]
	}
	l.staged.held = len(l.taken) - l.done
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
	h, notes, err := l.sink.begin(min(len(pending), limit))
	if err != nil {
		return false, err
	}
	defer l.sink.end()
	out := l.out[:0]
	for _, n := range notes {
		own := l.ownEvent(n)
		if len(pending) > 0 { // times rise along the chain, and the first event was made before the note
			first, _ := nextStaged(pending)
			copy(own[len(openTime):], first[len(openTime):len(openTime)+stampLen])
		}
		out = h.link(out, own)
	}
	for len(pending) > 0 && len(out) < limit {
		var event []byte
		event, pending = nextStaged(pending)
		out = h.link(out, event)
	}
	last = len(pending) == 0
	if last && (lost > 0 || !l.outage.since.IsZero()) {
		out = h.link(out, l.ownEvent(l.gap(lost)))
	}
	l.out = out
	if cap(out) > 2*keepBuffer {
		l.out = nil
	}
	if err := l.sink.write(out, h); err != nil {
		return false, err
	}
	l.done = len(l.taken) - len(pending)
	if last {
		l.mu.Lock()
		l.staged.lost -= lost
		l.staged.held = 0
		l.mu.Unlock()
	}
	return last, nil
}

// ownEvent returns n in the form of a staged event, without the length.
func (l *Log) ownEvent(n note) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := Event{Kind: n.kind, Reason: n.reason, Target: []byte(n.target)}
	return l.appendEvent(nil, nil, &e, n.args)[lengthLen:]
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
	return errors.Join(err, l.sink.close())
}
