package clients

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrChanged is the error of a file that is not any more what was read, most likely because its client wrote it.
var ErrChanged = errors.New("it was changed meanwhile: run the command again")

// Write replaces the file by what the change makes of it, in one step, with its mode and owner, through a symlink if it is one. It
// refuses a file that is not as it was read. keep gets what was there before, nil if there was no file, before it is replaced.
func (c *Change) Write(keep func(before []byte) error) error {
	if c.Empty() {
		return nil
	}
	if c.File.new {
		if err := keep(nil); err != nil {
			return err
		}
		return create(c.File.Path, c.After)
	}
	return replace(c.File.Path, c.File.source, c.After, keep)
}

// Restore writes what a file held before, if it holds what we left there: see [Change.Write]. A nil before removes the file.
func Restore(path string, left, before []byte) error {
	if before != nil {
		return replace(path, left, before, func([]byte) error { return nil })
	}
	if err := still(path, left); err != nil {
		return err
	}
	return os.Remove(path)
}

// create writes a file that must not be there.
func create(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return ErrChanged
	}
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}

func replace(path string, before, after []byte, keep func([]byte) error) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	if err := still(target, before); err != nil {
		return err
	}
	if err := keep(before); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".mcpx-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // gone already if all went well
	if err := fill(temporary, info, after); err != nil {
		return fmt.Errorf("write beside it: %w", err)
	}
	// The last moment to look. Between here and the next line nobody can stand guard: clients take no lock.
	if err := still(target, before); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), target)
}

// fill writes a file to the disk, with mode and owner of another, and closes it.
func fill(file *os.File, like fs.FileInfo, content []byte) error {
	_, err := file.Write(content)
	if err == nil {
		err = file.Chmod(like.Mode().Perm())
	}
	if err == nil {
		err = own(file, like)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func still(path string, content []byte) error {
	now, err := readLimited(path)
	if err != nil {
		return err
	}
	if string(now) != string(content) {
		return ErrChanged
	}
	return nil
}
