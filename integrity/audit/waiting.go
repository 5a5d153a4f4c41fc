package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// A WaitingChain is a chain of which a hub has yet to get something.
type WaitingChain struct {
	Name  string    // of the file, or of the folder and the instance
	Hub   string    // LocalHub or a URL; "" where the cursor cannot be read
	Since time.Time // when the oldest file begins that the hub does not have in full
	Bytes int64     // of such files
}

// Waiting returns the chains of a log, a folder or a file, for which hubs wait. It only reads: what a dead process left in its
// spool, and nothing in its segment, does not count.
func Waiting(path string) ([]WaitingChain, error) {
	y, err := findLayout(path)
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	chains, err := y.chains()
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	var all []WaitingChain
	for _, c := range chains {
		cur, err := readCursor(cursorPath(y.log, c.instance))
		if bad := (*cursorError)(nil); err != nil && !errors.As(err, &bad) {
			if errors.Is(err, fs.ErrNotExist) {
				continue // it has no destination
			}
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		w := WaitingChain{Name: c.name(y.log), Hub: cur.hub}
		for _, s := range c.segments {
			if found, ok := s.awaits(&cur); ok {
				w.Bytes += found.bytes
				if w.Since.IsZero() {
					w.Since = s.begins()
				}
			}
		}
		if w.Bytes > 0 {
			all = append(all, w)
		}
	}
	return all, nil
}

// begins is when a segment begins; of a shared file its first event says so.
func (s segment) begins() time.Time {
	if !s.start.IsZero() {
		return s.start
	}
	first, err := firstRecord(s.path)
	if err != nil {
		return time.Time{}
	}
	return first.Time
}
