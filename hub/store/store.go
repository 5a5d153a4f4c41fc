// Package store keeps what a hub knows: the events of all wrappers, each exactly once, and with them chains, wrappers, tokens,
// definitions, approvals and revocations.
//
// It is one SQLite file in WAL mode, which the commands of the same user may have open beside the hub. All that is written goes
// through one writer, which makes one transaction of what comes together. A transaction is on the disk when its caller is told so:
// synchronous=FULL, so that neither kill -9 nor a power cut loses an event that was acknowledged. It is affordable because what
// waits shares a flush: 20,000 events in a second come in about 40 batches, and a flush takes a millisecond or two.
//
// The package believes nobody's clock but its own: events are removed by when they arrived, and found under the time they
// carry, or under that of their arrival where they claim to be more than five minutes ahead of it. What was written stays as it is.
//
// It does not speak HTTP, checks no digest of a definition and decides nothing about calls: that is for package hub.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Options say how Open opens a store.
type Options struct {
	Path    string           // of the SQLite file; its folder is made
	Retain  time.Duration    // how long events are kept; 0: DefaultRetain; below 0: this process removes none
	OnError func(error)      // trouble in the background; nil: nobody
	Now     func() time.Time // nil: time.Now
}

// DefaultRetain is how long events are kept.
const DefaultRetain = 90 * 24 * time.Hour

// What a caller may want to tell apart. Errors of the file itself are none of these.
var (
	ErrNotFound = errors.New("not found")
	ErrInvalid  = errors.New("not valid") // it will never be taken
	ErrLimit    = errors.New("a limit of the hub is reached")

	errClosed = errors.New("the store is closed")
)

// A Store is open on one SQLite file, which several processes may have open. It is safe for concurrent use.
type Store struct {
	retain  time.Duration
	onError func(error)
	now     func() time.Time

	readers *sql.DB
	writer  *sql.DB // one connection
	w       *writer // is only used by the goroutine that runs write
	jobs    chan *job
	closing chan struct{}
	closed  sync.Once
	running sync.WaitGroup
	failed  error // of closing

	mu   sync.Mutex
	used map[string]int64 // by token, when it was last used, as far as it is not written yet; guarded by mu
}

// Open opens the file, and makes or migrates it.
func Open(ctx context.Context, opt Options) (*Store, error) {
	if opt.Path == "" {
		return nil, errors.New("open store: there is no path")
	}
	s := &Store{
		retain: opt.Retain, onError: opt.OnError, now: opt.Now,
		jobs: make(chan *job), closing: make(chan struct{}), used: map[string]int64{},
	}
	if s.retain == 0 {
		s.retain = DefaultRetain
	}
	if s.onError == nil {
		s.onError = func(error) {}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.open(ctx, opt.Path); err != nil {
		return nil, fmt.Errorf("open store %q: %w", opt.Path, err)
	}
	s.running.Go(s.write)
	s.running.Go(s.tidyUp)
	return s, nil
}

// Close ends what runs in the background, and lets go of the file.
func (s *Store) Close() error {
	s.closed.Do(func() {
		flushed := s.flushUsed(context.Background())
		close(s.closing)
		s.running.Wait()
		s.failed = errors.Join(flushed, s.w.close(), s.writer.Close(), s.readers.Close())
	})
	return s.failed
}

func (s *Store) nowMilli() int64 { return s.now().UnixMilli() }

func milli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
