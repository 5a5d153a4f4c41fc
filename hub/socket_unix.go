//go:build unix

package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// ListenSocket listens on a Unix socket that only the user of this process can reach. Its folder is made, closed to all others; one
// that is there is left as it is, and must be one to which nobody else may write. Where another process listens there it is an error; what is left of one that has died is replaced. Closing the
// listener removes the file.
func ListenSocket(path string) (net.Listener, error) {
	l, err := listenSocket(path)
	if err != nil {
		return nil, fmt.Errorf("listen on socket %q: %w", path, err)
	}
	return l, nil
}

func listenSocket(path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid != 0 && int64(owner.Uid) != int64(os.Geteuid()) || info.Mode().Perm()&0o022 != 0 {
		return nil, errors.New("others may write to its folder, and could put a socket of theirs in its place: name one in a folder of your own, or chmod go-w that folder")
	}
	lock, err := lockSocket(path)
	if err != nil {
		return nil, err
	}
	l, err := replaceSocket(path)
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return &socket{l, lock}, nil
}

// lockSocket holds a lock as long as the socket is ours: two hubs that start at once do not replace each other's.
func lockSocket(path string) (*os.File, error) {
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return lock, nil
	}
	_ = lock.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errSocketInUse
	}
	return nil, fmt.Errorf("lock it: %w", err)
}

var errSocketInUse = errors.New("another hub listens there")

// replaceSocket listens, in place of a process that has died.
func replaceSocket(path string) (net.Listener, error) {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, errors.New("a file that is no socket is there: remove it, or name another path")
	default:
		if c, err := net.Dial("unix", path); err == nil {
			_ = c.Close()
			return nil, errSocketInUse
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil { // until now Accept keeps others out
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// A socket keeps its lock until it is closed.
type socket struct {
	net.Listener
	lock *os.File
}

// Accept implements [net.Listener]. It returns connections of processes of our own user, and closes all others.
func (s *socket) Accept() (net.Conn, error) {
	for {
		conn, err := s.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if uplink.CheckPeer(conn, os.Geteuid()) == nil {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// Close implements [net.Listener].
func (s *socket) Close() error {
	err := s.Listener.Close() // removes the file
	if unlocked := s.lock.Close(); err == nil && !errors.Is(unlocked, os.ErrClosed) {
		err = unlocked
	}
	return err
}
