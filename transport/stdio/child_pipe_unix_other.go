//go:build unix && !linux

package stdio

import (
	"os"
	"syscall"
)

// growPipe does nothing here: the system sizes its pipes itself.
func growPipe(*os.File) {}

func blockingPipe() (r, w *os.File, err error) {
	var p [2]int
	syscall.ForkLock.RLock() // no child may be forked before both are marked
	defer syscall.ForkLock.RUnlock()
	if err := syscall.Pipe(p[:]); err != nil {
		return nil, nil, os.NewSyscallError("pipe", err)
	}
	syscall.CloseOnExec(p[0])
	syscall.CloseOnExec(p[1])
	return os.NewFile(uintptr(p[0]), "pipe"), os.NewFile(uintptr(p[1]), "pipe"), nil
}
