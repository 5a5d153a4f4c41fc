package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json/jsontext"
)

// A cursor says for which hub a chain is, and what of it that hub has. Its file is one line of JSON of a fixed size, which is
// rewritten in place: it carries the lock of whoever forwards the chain, so it is never replaced. Numbers have a fixed width,
// so that a write that was torn leaves the hub and the name of the chain as they were.
type cursor struct {
	hub   string
	chain string            // "" until there is an event to name it by
	from  uint64            // the first event that is meant for the hub
	acked uint64            // the hub has everything that is meant for it up to this event
	sum   [sha256.Size]byte // of that event; zero: not known
	skip  uint64            // the last event that the hub refused for good, and that was left out; 0: none
	// Where everything was sent and the process was dead: the start of the last segment in nanoseconds, and its size.
	end, size uint64
}

const (
	cursorSize = 1024
	maxHub     = 400 // bytes
	maxChain   = 128 // bytes
)

// need is the first event that the hub has yet to get.
func (c *cursor) need() uint64 { return max(c.acked, c.skip, max(c.from, 1)-1) + 1 }

// finished reports whether everything in the segments of a dead process was sent.
func (c *cursor) finished(segments []segment) bool {
	last := segments[len(segments)-1]
	info, err := os.Lstat(last.path)
	return err == nil && c.end != 0 && c.end == stamp(last) && c.size == uint64(info.Size()) && !last.spool //nolint:gosec // no size is negative
}

func stamp(s segment) uint64 { return uint64(s.start.UnixNano()) }

func cursorPath(log, instance string) string {
	if instance == "" {
		return log + ackExt
	}
	return filepath.Join(log, instance+ackExt)
}

// checkHub refuses what no cursor can hold.
func checkHub(hub string) error {
	if len(hub) > maxHub || plainPrefix(hub) < len(hub) {
		return fmt.Errorf("the destination %.100q of the audit log is too long or no URL", hub)
	}
	return nil
}

func (c *cursor) encode() []byte {
	b := appendText(append(make([]byte, 0, cursorSize), `{"hub":`...), c.hub, maxHub)
	b = appendText(append(b, `,"chain":`...), c.chain, maxChain)
	number := func(name string, n uint64) { b = fmt.Appendf(b, `,%q:"%020d"`, name, n) }
	number("from", c.from)
	number("acked", c.acked)
	b = fmt.Appendf(b, `,"sum":"%x"`, c.sum)
	number("skip", c.skip)
	number("end", c.end)
	number("size", c.size)
	b = fmt.Appendf(b, `,"check":"%08x"}`, checksum(b))
	for len(b) < cursorSize-1 {
		b = append(b, ' ')
	}
	return append(b, '\n')
}

// A cursorError is the error of a file that is named like a cursor and is none, or is one that was torn.
type cursorError struct{ path, why string }

func (e *cursorError) Error() string {
	return fmt.Sprintf("%s is not the cursor of an audit log (%s): what was acknowledged is not known, and is sent again", e.path, e.why)
}

// parseCursor reads what encode made. Of a torn cursor it returns, with an error, what never changes.
func parseCursor(data []byte) (cursor, error) {
	var c cursor
	err := members(data, func(name string, value jsontext.Value) (err error) {
		switch name {
		case "hub":
			c.hub, err = unquote(value)
		case "chain":
			c.chain, err = unquote(value)
		case "from":
			c.from, err = digits(value)
		case "acked":
			c.acked, err = digits(value)
		case "sum":
			err = unhex(c.sum[:], value)
		case "skip":
			c.skip, err = digits(value)
		case "end":
			c.end, err = digits(value)
		case "size":
			c.size, err = digits(value)
		}
		return err
	})
	switch {
	case err != nil:
		return cursor{}, err
	case c.hub == "" || checkHub(c.hub) != nil:
		return cursor{}, errors.New("it names no hub")
	case c.chain != "" && !validChain(c.chain):
		return cursor{}, errors.New("it names no chain")
	case c.from == 0:
		return cursor{}, errors.New("it does not say what is meant for the hub")
	}
	if string(c.encode()) != string(data) { // and with that the checksum
		return cursor{hub: c.hub, chain: c.chain, from: c.from}, errors.New("it was torn")
	}
	return c, nil
}

func digits(value jsontext.Value) (uint64, error) {
	text, err := unquote(value)
	if err != nil {
		return 0, err
	}
	return parseUint(text)
}

func unhex(to []byte, value jsontext.Value) error {
	text, err := unquote(value)
	if err != nil {
		return err
	}
	if hex.DecodedLen(len(text)) != len(to) {
		return errors.New("not a SHA-256")
	}
	_, err = hex.Decode(to, []byte(text))
	return err
}

func validChain(name string) bool {
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return name != "" && len(name) <= maxChain
}

// readCursor reads the cursor at path. With a *cursorError comes what is known all the same: at most the hub, the chain and
// where it begins. Whoever rewrites the file may be read in the midst of it, so what looks torn is read again.
func readCursor(path string) (c cursor, err error) {
	for range 3 {
		var f *os.File
		if f, err = openCursor(path, os.O_RDONLY); err != nil {
			return cursor{}, err
		}
		c, err = readCursorFile(f)
		_ = f.Close() // only read
		if bad := (*cursorError)(nil); !errors.As(err, &bad) {
			return c, err
		}
	}
	return c, err
}

func readCursorFile(f *os.File) (cursor, error) {
	data, err := io.ReadAll(io.NewSectionReader(f, 0, cursorSize+1))
	if err != nil {
		return cursor{}, err
	}
	c, err := parseCursor(data)
	if err != nil {
		return c, &cursorError{path: f.Name(), why: err.Error()}
	}
	return c, nil
}

// writeCursor writes a cursor that nobody else knows of yet.
func writeCursor(path string, c cursor) error { return os.WriteFile(path, c.encode(), 0o600) }

// createCursor makes a cursor that others may make too: only one does, the others get fs.ErrExist, and nobody sees half of it.
func createCursor(path string, c cursor) error { return createWhole(path, c.encode()) }

// createWhole makes a file with this content, unless there is one.
func createWhole(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Link(f.Name(), path)
	}
	_ = os.Remove(f.Name())
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// A file system without links: somebody may see half of it, and takes it for torn.
	if f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// openCursor opens a cursor that is there, and nothing else: a link could have us write to any file of our user.
func openCursor(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, how|openPlain, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// claimCursor opens the cursor at path and takes its lock: nobody else forwards the chain then. Without an error, nil says
// that somebody else does. A *cursorError comes with the file.
func claimCursor(path string) (*os.File, cursor, error) {
	f, err := openCursor(path, os.O_RDWR)
	if err != nil {
		return nil, cursor{}, err
	}
	free, err := tryLock(f)
	if err != nil || !free {
		return nil, cursor{}, errors.Join(err, f.Close())
	}
	here, err := f.Stat()
	if err == nil {
		if there, gone := os.Stat(path); gone != nil || !os.SameFile(here, there) { // the last of its chain was removed
			return nil, cursor{}, f.Close()
		}
		var c cursor
		c, err = readCursorFile(f)
		if bad := (*cursorError)(nil); err == nil || errors.As(err, &bad) {
			return f, c, err
		}
	}
	return nil, cursor{}, errors.Join(err, f.Close())
}

// removeCursor removes the cursor of a chain of which nothing is left, unless somebody is at it.
func removeCursor(path string) {
	f, err := openCursor(path, os.O_RDONLY)
	if err != nil {
		return // most chains have none
	}
	free, err := tryLock(f)
	if !free || err != nil {
		_ = f.Close()
		return
	}
	if canRemoveOpen {
		_ = os.Remove(path)
		_ = f.Close()
		return
	}
	_ = f.Close()
	_ = os.Remove(path)
}
