package wrap

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// BundlePath is the file in which the last valid bundle of a hub for a server is kept. principal is who we are to it, "" where
// nobody has said: a machine that changes hands does not find what was said to another.
func BundlePath(dir, destination, principal, server string) string {
	sum := sha256.Sum256([]byte(destination + "\x00" + principal + "\x00" + server))
	return filepath.Join(dir, "bundles", fmt.Sprintf("%x.bundle", sum[:8]))
}

// keyPath is the file in which the key of a hub is kept that was believed when it was first seen.
func keyPath(dir, destination string) string {
	if destination == audit.LocalHub {
		return filepath.Join(dir, "local.key")
	}
	sum := sha256.Sum256([]byte(destination))
	return filepath.Join(dir, fmt.Sprintf("hub-%x.key", sum[:4]))
}

// PinnedKey returns the key of a hub that was believed when it was first seen; zero: there is none.
func PinnedKey(dir, destination string) (uplink.Key, error) {
	path := keyPath(dir, destination)
	text, err := readAtMost(path, 1<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return uplink.Key{}, nil
	}
	if err != nil {
		return uplink.Key{}, fmt.Errorf("read the key of the hub: %w", err)
	}
	key, err := uplink.ParseKey(strings.TrimSpace(string(text)))
	if err != nil {
		return uplink.Key{}, fmt.Errorf("read the key of the hub in %q: %w; remove the file to believe the hub anew", path, err)
	}
	return key, nil
}

// pinKey keeps a key unless one is kept already, and returns the one that is.
func pinKey(dir, destination string, key uplink.Key) (uplink.Key, error) {
	err := keep(keyPath(dir, destination), []byte(key.String()+"\n"), linkNew)
	if err == nil {
		return key, nil
	}
	if errors.Is(err, fs.ErrExist) {
		return PinnedKey(dir, destination)
	}
	return uplink.Key{}, fmt.Errorf("keep the key of the hub: %w", err)
}

func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%q is larger than %d bytes", path, limit)
	}
	return data, err
}

// keep makes a file, whole or not at all, also if the machine stops meanwhile. Only its owner may read it.
func keep(path string, data []byte, place func(from, to string) error) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(folder, "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = place(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
	}
	return err
}

// linkNew gives a file its name if nothing has that name: of two processes one wins. Where files have one name only, the last
// one wins.
func linkNew(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return fs.ErrExist
	}
	return os.Rename(from, to)
}
