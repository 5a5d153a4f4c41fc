package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// LocalHub is the destination of chains that go to the hub of this user on this machine.
const LocalHub = "local"

// An Outbox finds the chains of one log that a hub waits for: that of our own Log and those of processes that have died, each
// with a cursor on the disk that says up to where the hub has it. A lock on the cursor keeps other processes from forwarding
// the same chain. A nil Outbox has nothing to send.
type Outbox struct {
	log   *Log
	files *files // of the log; only what never changes is looked at
	hub   string
	own   string // the instance of our own chain; "" where the log is a file that processes share

	life context.Context // ends with Close
	end  context.CancelFunc
	busy chan struct{} // of capacity 1: full while somebody uses what follows

	chains  []*outChain     // claimed
	settled map[string]bool // instances of chains that are not for us, or of which everything is sent
	acked   atomic.Uint64   // of our own chain: up to where nothing is left to do
	claimed atomic.Bool     // our own chain
}

// Outbox returns the outbox of the folder or file that l writes, for a hub. The chains are those destined for this hub, and
// where that is LocalHub also those that are destined for none. Nil for a log that leaves no files.
func (l *Log) Outbox(hub string) (*Outbox, error) {
	if hub == "" {
		return nil, errors.New("forward the audit log: no hub is named")
	}
	if err := checkHub(hub); err != nil {
		return nil, err
	}
	o := &Outbox{log: l, hub: hub, busy: make(chan struct{}, 1), settled: map[string]bool{}}
	switch s := l.sink.(type) {
	case *folder:
		o.files, o.own = &files{origin: s.origin, path: s.path, heads: s.heads}, l.instance
	case *shared:
		o.files = &files{origin: s.origin, path: s.path, heads: s.heads}
	default:
		return nil, nil //nolint:nilnil // as documented: a stream leaves nothing to forward
	}
	o.life, o.end = context.WithCancel(context.Background())
	return o, nil
}

// Instance returns the instance that all events of l carry, "" where auditing is off.
func (l *Log) Instance() string { return l.instance }

// Wrote returns a channel on which something comes after events were written to a file. There is one for all callers.
func (l *Log) Wrote() <-chan struct{} { return l.wrote }

// A Batch is what Forward sends at a time.
type Batch struct {
	Chain  string // unique among all chains of all machines: 1 to 128 of [A-Za-z0-9._-]
	Lines  []byte // whole lines, as they were written; valid until Send returns
	First  uint64 // seq
	Last   uint64
	Events int
	Gap    bool // we have nothing for this hub between what it has acknowledged and First
}

// A BehindError is how a Sender says that the hub wants earlier events first.
type BehindError interface {
	error
	AckedUpTo() uint64
}

// ForwardOptions say how Forward goes about it; zero means a default.
type ForwardOptions struct {
	// Send sends a batch and returns up to which event of the chain the hub has everything.
	//
	// A BehindError makes Forward go on from where the hub is. An error with a method Permanent() bool that returns true is
	// about this batch: it is sent in smaller parts, until the event that the hub does not take is known and left out. Any
	// other error is about the hub: all chains wait, at least for RetryAfter() time.Duration if the error has that method.
	Send     func(context.Context, Batch) (acked uint64, err error)
	OnError  func(error) // is told once per outage; nil: nobody
	OnSent   func()      // after each acknowledgement; nil: nobody
	MaxBytes int         // of a batch's lines, unless one line is longer; 0 is 256 KiB

	// Rest is asked after each batch that the hub took, in so much time, how long to leave it alone: what waits is safe, others may
	// need the CPUs now. Where a quarter of Options.MaxPending waits, nobody is asked. nil: no time at all.
	Rest func(took time.Duration) time.Duration
}

// Forward sends what there is, and what comes, until ctx ends or the outbox is closed, and returns nil then. An event counts as
// sent once Send has acknowledged it; what was not is sent again, by us or by the process that comes after us.
func (o *Outbox) Forward(ctx context.Context, opt ForwardOptions) error {
	if o == nil {
		<-ctx.Done()
		return nil
	}
	f, err := o.forwarder(opt)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(o.life, stop)()
	select {
	case o.busy <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	defer func() { <-o.busy }()
	f.run(ctx)
	return nil
}

// Drain sends what there is of our own chain now, and returns what went wrong at the first trouble. It is for a process that is
// about to end, after Forward has returned.
func (o *Outbox) Drain(ctx context.Context, opt ForwardOptions) error {
	if o == nil {
		return nil
	}
	f, err := o.forwarder(opt)
	if err != nil {
		return err
	}
	select {
	case o.busy <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("send the rest of the audit log: %w", ctx.Err())
	}
	defer func() { <-o.busy }()
	o.log.flushSpool()
	return f.drain(ctx)
}

func (o *Outbox) forwarder(opt ForwardOptions) (*forwarder, error) {
	if opt.Send == nil {
		return nil, errors.New("forward the audit log: there is no way to send it")
	}
	if o.life.Err() != nil {
		return nil, errors.New("forward the audit log: the outbox is closed")
	}
	if opt.MaxBytes <= 0 {
		opt.MaxBytes = maxBatchBytes
	}
	if opt.OnError == nil {
		opt.OnError = func(error) {}
	}
	if opt.Rest == nil {
		opt.Rest = func(time.Duration) time.Duration { return 0 }
	}
	if opt.OnSent == nil {
		opt.OnSent = func() {}
	}
	return &forwarder{o: o, opt: opt, lines: newLineScanner()}, nil
}

// Pending returns how many events of our own chain are yet to be acknowledged; 0 if it is not for this hub.
func (o *Outbox) Pending() uint64 {
	if o == nil {
		return 0
	}
	acked := o.acked.Load()
	if !o.claimed.Load() { // not yet, or another process forwards the shared file
		switch c, err := readCursor(cursorPath(o.files.path, o.own)); {
		case err == nil && c.hub != o.hub:
			return 0
		case err == nil:
			acked = c.need() - 1
		case o.hub != LocalHub && o.hub != o.files.opts.Hub:
			return 0
		}
	}
	if last := o.log.last.Load(); last > acked {
		return last - acked
	}
	return 0
}

// Close ends Forward and lets go of the cursors.
func (o *Outbox) Close() error {
	if o == nil {
		return nil
	}
	o.end()
	o.busy <- struct{}{}
	defer func() { <-o.busy }()
	var errs []error
	for _, c := range o.chains {
		errs = append(errs, c.file.Close())
	}
	o.chains = nil
	o.claimed.Store(false)
	return errors.Join(errs...)
}

// Parse reads a line of a log, without its end, strictly. The record keeps line.
func Parse(line []byte) (*Record, error) { return parseRecord(line) }

// Sum returns the hash of a line, without its end: what the next line of the chain has as its prev.
func Sum(line []byte) [sha256.Size]byte { return sha256.Sum256(line) }

// How Forward goes about it.
const (
	maxBatchBytes  = 256 << 10
	maxBatchEvents = 1000
	maxClaims      = 8                      // chains of dead processes at a time
	gatherFor      = 250 * time.Millisecond // after events were written, so that a batch forms
	gatherBusy     = time.Second            // from one batch to the next while events keep coming: calls share the CPUs with us
	rescanEvery    = 10 * time.Second       // for chains whose processes died
	pollEvery      = time.Second            // for what others write to a shared file
	sendTimeout    = 2 * time.Minute
	minBackoff     = 500 * time.Millisecond
	maxBackoff     = time.Minute
	maxRetryAfter  = 10 * time.Minute
)
