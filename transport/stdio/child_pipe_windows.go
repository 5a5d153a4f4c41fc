package stdio

import (
	"errors"
	"os"
)

// The ends of the three channels to a child; anonymous pipes, which know blocking calls only.
type ends struct {
	stdin, stdout, stderr *os.File    // ours
	child                 [3]*os.File // the child's; ours only until it is started
}

func openEnds(withPTY bool) (*ends, error) {
	if withPTY {
		return nil, errors.New("pseudo-terminals are not supported on Windows; leave out --pty")
	}
	e := &ends{}
	var err error
	if e.child[0], e.stdin, err = os.Pipe(); err == nil {
		if e.stdout, e.child[1], err = os.Pipe(); err == nil {
			e.stderr, e.child[2], err = os.Pipe()
		}
	}
	if err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

// growPipe does nothing here: a pipe's size is fixed when it is made.
func growPipe(*os.File) {}

// started gives up what now is the child's.
func (e *ends) started() {
	for _, f := range e.child {
		_ = f.Close()
	}
}

// close is for a child that could not be started.
func (e *ends) close() {
	for _, f := range append([]*os.File{e.stdin, e.stdout, e.stderr}, e.child[:]...) {
		_ = f.Close() // a nil *os.File answers ErrInvalid
	}
}
