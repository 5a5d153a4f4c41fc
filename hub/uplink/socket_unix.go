//go:build unix

package uplink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// ownSocket reports what is wrong with a path that should be a socket of our own user.
func ownSocket(path string) error { return socketOf(path, os.Geteuid()) }

func socketOf(path string, uid int) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%q is not a socket", path)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int64(owner.Uid) != int64(uid) {
		return fmt.Errorf("socket %q belongs to another user: nothing is sent there", path)
	}
	return nil
}

func connectionRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// readableByOthers reports whether a file is open to more than its owner.
func readableByOthers(mode fs.FileMode) bool { return mode.Perm()&0o077 != 0 }
