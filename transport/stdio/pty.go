//go:build unix

package stdio

import (
	"fmt"
	"io"
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// A terminal is a raw pseudo-terminal for a child's stdout, with a pipe on our side of it, so that
// whoever uses the Child sees no difference. It is for servers that hold answers back in a buffer
// when their stdout is no terminal. Raw: line ends and all else pass unchanged, at any length.
//
// Stdin stays a pipe. It has no part in how a program buffers; many programs wait for a person
// when it is a terminal; and a raw terminal has no end of input but the hang-up, which loses what
// was not read yet and the answers with it. So the end of stdin means what it means without a
// terminal.
//
// It is no controlling terminal: the child gets neither SIGHUP nor SIGINT from it.
type terminal struct {
	stdout *os.File // our user's end of the pipe
	output *os.File // our own end of the pipe
	master *os.File
	slave  *os.File // the child's
}

func openTerminal() (*terminal, error) {
	t := &terminal{}
	if err := t.open(); err != nil {
		t.close()
		_ = t.slave.Close()
		return nil, fmt.Errorf("open pseudo-terminal: %w", err)
	}
	return t, nil
}

func (t *terminal) open() error {
	master, slave, err := pty.Open()
	if err != nil {
		return err
	}
	// The child must not find its stdout in non-blocking mode, which it would share with us.
	t.slave, err = blockingCopy(slave)
	if err != nil {
		_ = master.Close()
		return err
	}
	if t.master, err = blockingCopy(master); err != nil {
		return err
	}
	if err := setRaw(t.slave); err != nil {
		return err
	}
	t.stdout, t.output, err = blockingPipe()
	return err
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
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// carry copies until nobody holds the slave any more, which reads as EIO, or until our user
// stops reading.
func (t *terminal) carry() {
	defer t.close()
	_, _ = io.CopyBuffer(onlyWriter{t.output}, onlyReader{t.master}, make([]byte, 32<<10))
}

// onlyReader and onlyWriter hide what io.Copy would rather use: splice, which ends in EINVAL here.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// close closes what is ours alone.
func (t *terminal) close() {
	_ = t.output.Close() // a nil *os.File answers ErrInvalid
	_ = t.master.Close()
}

func setRaw(f *os.File) error {
	fd := int(f.Fd())
	m, err := unix.IoctlGetTermios(fd, ioctlGetTermios)
	if err != nil {
		return err
	}
	m.Iflag = 0
	m.Oflag &^= unix.OPOST
	m.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	m.Cflag = m.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	m.Cc[unix.VMIN], m.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, ioctlSetTermios, m)
}
