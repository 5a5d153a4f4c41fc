package integrity

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// maxLockSize bounds mcpx.lock, in bytes. A server cannot make it grow beyond.
const maxLockSize = 64 << 20

// A File is mcpx.lock, which several processes may have open. It is safe for concurrent use.
type File struct {
	path    string // of the file itself, not of a symbolic link to it
	content atomic.Pointer[content]

	mu    sync.Mutex  // held for reading and writing the file
	stamp fs.FileInfo // of the file as content has it; nil: absent; guarded by mu

	said sync.Map // shadowed tools that were reported; see Pins.firstShadow
}

// Open reads the lock file. A file that does not exist is an empty one; one that cannot be read or
// understood is an error that says where, and is left as it is.
func Open(path string) (*File, error) {
	path, err := resolve(path)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	f := &File{path: path}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

// resolve makes a path absolute and follows symbolic links, so that the file is replaced and not the link.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		return real, nil
	}
	if target, linkErr := os.Readlink(path); linkErr == nil {
		return "", fmt.Errorf("%q is a link to %q, which does not exist", path, target)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	return "", err
}

// Path returns where the file is.
func (f *File) Path() string { return f.path }

// refresh reads the file again if it is not the one that was read last.
func (f *File) refresh() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	switch {
	case err == nil && sameStamp(info, f.stamp), errors.Is(err, fs.ErrNotExist) && f.stamp == nil:
		return nil
	}
	return f.read()
}

func sameStamp(a, b fs.FileInfo) bool {
	return b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// read replaces content by what the file holds. f.mu is held. After an error content is what it was and
// the next refresh reads again.
func (f *File) read() error {
	data, stamp, err := readLimited(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		f.content.Store(&content{})
		f.stamp = nil
		return nil
	}
	if err != nil {
		return fmt.Errorf("read lock file: %w", err)
	}
	c, err := decode(data)
	if err != nil {
		return fmt.Errorf("read lock file %q: %w; restore it from version control, or remove it to trust anew", f.path, err)
	}
	f.content.Store(c)
	f.stamp = stamp
	return nil
}

func readLimited(path string) ([]byte, fs.FileInfo, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%q is no regular file", path) // opening a named pipe would wait for somebody to write
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	stamp, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxLockSize+1))
	if err == nil && len(data) > maxLockSize {
		err = fmt.Errorf("%q is larger than %d bytes", path, maxLockSize)
	}
	return data, stamp, err
}

func (f *File) lock() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return nil, err
	}
	return lock(f.path + ".lck")
}

// errSave marks an update that was computed but could not be written.
var errSave = errors.New("save lock file")

// notSaved says why, and what helps where that is known.
func notSaved(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w; let the user that mcpx runs as write there, or have somebody pin the server who may (mcpx doctor says how)", errSave, err)
	}
	return fmt.Errorf("%w: %w", errSave, err)
}

// update replaces the file by what change makes of it, under a lock that other processes heed. change gets
// the file as it is then, not as it was read last, and returns the same content to leave it alone.
func (f *File) update(change func(*content) (*content, error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	unlock, err := f.lock()
	if err != nil {
		return notSaved(err)
	}
	defer unlock()
	if info, err := os.Stat(f.path); f.stamp == nil || err != nil || !sameStamp(info, f.stamp) {
		if err := f.read(); err != nil {
			return err
		}
	}
	old := f.content.Load()
	next, err := change(old)
	if err != nil || next == old {
		return err
	}
	data, err := encode(next)
	if err == nil && len(data) > maxLockSize {
		err = fmt.Errorf("it would become larger than %d bytes", maxLockSize)
	}
	if err != nil {
		return fmt.Errorf("%w %q: %w", errSave, f.path, err)
	}
	stamp, err := replace(f.path, data)
	if err != nil {
		return notSaved(err)
	}
	f.content.Store(next)
	f.stamp = stamp
	return nil
}
