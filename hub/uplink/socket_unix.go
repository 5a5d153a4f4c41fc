//go:build unix

package uplink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ownSocket reports what is wrong with a path that should be a socket of our own user. Who may write to its folder could put
// another socket there between this look and the call, so that counts as well.
func ownSocket(path string) error {
	if err := socketOf(path, os.Geteuid()); err != nil {
		return err
	}
	return folderOf(filepath.Dir(path), os.Geteuid())
}

// folderOf reports who else than a user, or the system, could put something into a folder.
func folderOf(dir string, uid int) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid != 0 && int64(owner.Uid) != int64(uid) {
		return fmt.Errorf("folder %q of the socket belongs to another user: nothing is sent there", dir)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write to the folder %q of the socket, so nothing is sent there: chmod go-w it, or use a folder of your own", dir)
	}
	return nil
}

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
