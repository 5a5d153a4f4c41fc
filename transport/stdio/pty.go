//go:build unix

package stdio

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// eofRetry is how often the end of input is offered to a child that has not taken it.
const eofRetry = 5 * time.Millisecond

// A terminal is a raw pseudo-terminal for a child's stdin and stdout with a pipe on our side of
// each, so that whoever uses the Child sees no difference. Raw: no echo, no line editing, no
// signals from bytes, no translation of line ends, lines of any length.
//
// A raw terminal has no end of input, and hanging up loses what was not read yet and the child's
// answers. So when our side closes stdin, the terminal waits until the child has read everything,
// then turns to canonical mode with Ctrl-D as its only special character and sends that: the
// child reads 0 bytes, the end. It is sent again as often as the child reads again.
// A child that sets the terminal to raw itself after that moment reads the Ctrl-D as a byte.
//
// It is no controlling terminal: the child gets neither SIGHUP nor SIGINT from it.
type terminal struct {
	stdin, stdout *os.File // our user's ends of the pipes
	input, output *os.File // our own ends of the pipes
	master        *os.File

	mu    sync.Mutex
	slave *os.File // kept open for the end of input; nil once the leader is gone; guarded by mu
}

func openTerminal() (t *terminal, err error) {
	t = &terminal{}
	defer func() {
		if err != nil {
			t.abandon()
			err = fmt.Errorf("open pseudo-terminal: %w", err)
		}
	}()
	master, slave, err := pty.Open()
	if err != nil {
		return t, err
	}
	if t.master, err = blockingCopy(master); err != nil {
		_ = slave.Close()
		return t, err
	}
	if t.slave, err = blockingCopy(slave); err != nil {
		return t, err
	}
	if err = t.setRaw(); err != nil {
		return t, err
	}
	if t.input, t.stdin, err = blockingPipe(); err != nil {
		return t, err
	}
	t.stdout, t.output, err = blockingPipe()
	return t, err
}

// blockingCopy replaces f by a file outside the runtime's poller.
func blockingCopy(f *os.File) (*os.File, error) {
	defer func() { _ = f.Close() }()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil //nolint:gosec // a descriptor
}

// slaves are the child's ends.
func (t *terminal) slaves() (stdin, stdout *os.File, err error) {
	var ends [2]*os.File
	for i := range ends {
		fd, err := unix.FcntlInt(t.slave.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			_ = ends[0].Close()
			return nil, nil, err
		}
		ends[i] = os.NewFile(uintptr(fd), t.slave.Name()) //nolint:gosec // a descriptor
	}
	return ends[0], ends[1], nil
}

// start begins to carry. Both directions end when the child and all who hold the terminal are
// gone, the input also when our user closed it and the child has been told.
func (t *terminal) start() {
	go t.carryOutput()
	go t.carryInput()
}

func (t *terminal) carryOutput() {
	defer func() { _ = t.output.Close() }()
	// The error is EIO once nobody holds the slave, or our user stopped reading.
	_, _ = io.CopyBuffer(onlyWriter{t.output}, onlyReader{t.master}, make([]byte, 32<<10))
}

func (t *terminal) carryInput() {
	defer func() { _ = t.input.Close() }()
	_, err := io.CopyBuffer(onlyWriter{t.master}, onlyReader{t.input}, make([]byte, 32<<10))
	if err != nil {
		return // the child's side is gone
	}
	pause := time.NewTicker(eofRetry)
	defer pause.Stop()
	for t.offerEOF() {
		<-pause.C
	}
}

// onlyReader and onlyWriter hide what io.Copy would rather use: splice and the like.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// leaderGone lets go of the slave, so that the output ends when no descendant holds it either.
func (t *terminal) leaderGone() {
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.slave.Close()
	t.slave = nil
}

// offerEOF sends the end of input when the child has read all there was, and reports whether
// the child is still there.
func (t *terminal) offerEOF() (more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slave == nil {
		return false
	}
	if unread(t.slave) {
		return true
	}
	const ctrlD = 4
	if t.setCanonical(ctrlD) != nil {
		return false
	}
	_, err := t.master.Write([]byte{ctrlD})
	return err == nil
}

func (t *terminal) setRaw() error {
	return t.change(func(m *unix.Termios) {
		m.Iflag = 0
		m.Oflag &^= unix.OPOST
		m.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
		m.Cflag = m.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
		m.Cc[unix.VMIN], m.Cc[unix.VTIME] = 1, 0
	})
}

func (t *terminal) setCanonical(eof uint8) error {
	return t.change(func(m *unix.Termios) {
		for i := range m.Cc {
			m.Cc[i] = vdisable
		}
		m.Cc[unix.VEOF] = eof
		m.Lflag |= unix.ICANON
	})
}

func (t *terminal) change(set func(*unix.Termios)) error {
	fd := int(t.slave.Fd()) //nolint:gosec // a descriptor
	m, err := unix.IoctlGetTermios(fd, ioctlGetTermios)
	if err != nil {
		return err
	}
	set(m)
	return unix.IoctlSetTermios(fd, ioctlSetTermios, m)
}

// abandon is for a terminal that carries nothing yet.
func (t *terminal) abandon() {
	for _, f := range []*os.File{t.stdin, t.stdout, t.input, t.output, t.master, t.slave} {
		_ = f.Close() // a nil *os.File answers ErrInvalid
	}
}
