//go:build unix

package audit

import (
	"os"

	"golang.org/x/sys/unix"
)

// canMap says whether this system has spools.
const canMap = true

// mapFile maps the first size bytes of f so that a store is in the file at once, for every process, and stays there
// whatever becomes of this one.
func mapFile(f *os.File, size int) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func unmapFile(b []byte) error { return unix.Munmap(b) }
