package uplink

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	pemType    = "PRIVATE KEY"
	maxKeyFile = 16 << 10 // bytes
)

// LoadKey reads the private key of a hub from a PKCS#8 PEM file that only its owner can read. If there is none it makes one;
// processes that do so at once get the same.
func LoadKey(path string) (ed25519.PrivateKey, error) {
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKey(path); err == nil {
			key, err = readKey(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("load hub key: %w", err)
	}
	return key, nil
}

func readKey(path string) (ed25519.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a file", path)
	}
	if readableByOthers(info.Mode()) {
		return nil, fmt.Errorf("%q has mode %#o, so others can read it: chmod 600 it, or remove it for a new key, which all wrappers have to log in for again",
			path, info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != pemType {
		return nil, fmt.Errorf("%q is not a PKCS#8 key in PEM", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%q is not a PKCS#8 key in PEM", path) // the cause might show what the file holds
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%q holds a key that is not Ed25519", path)
	}
	return key, nil
}

// makeKey makes the file with a new key, whole or not at all, unless another process was faster.
func makeKey(path string) error {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".hub-key-*") // with mode 0600
	if err != nil {
		return err
	}
	temporary := f.Name()
	defer os.Remove(temporary)
	if err := writeKey(f, text); err != nil {
		return err
	}
	err = os.Link(temporary, path) // fails where there is one, which a rename would not
	if err != nil && !errors.Is(err, fs.ErrExist) {
		// A file system without links: whoever reads this file in the same moment finds half a key, and says so.
		if f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			err = writeKey(f, text)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func writeKey(f *os.File, text []byte) error {
	_, err := f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
