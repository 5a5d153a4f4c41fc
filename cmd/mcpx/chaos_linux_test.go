package main

import "golang.org/x/sys/unix"

// chaosDisk is how large a file of the hub may be while its disk is "full", in bytes: less than its store has.
const chaosDisk = 16 << 10

// fillDisk makes writes of a process fail, as on a full disk, until free is called.
func fillDisk(pid int) (free func() error, err error) {
	set := func(limit uint64) error {
		return unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: unix.RLIM_INFINITY}, nil)
	}
	return func() error { return set(unix.RLIM_INFINITY) }, set(chaosDisk)
}
