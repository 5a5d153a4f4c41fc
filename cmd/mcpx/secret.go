package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// A secret prints as <secret>, whatever verb or encoder is used.
type secret string

const secretMask = "<secret>"

func (secret) String() string               { return secretMask }
func (secret) GoString() string             { return secretMask }
func (secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(secretMask)) }
func (secret) MarshalText() ([]byte, error) { return []byte(secretMask), nil }
func (secret) LogValue() slog.Value         { return slog.StringValue(secretMask) }

// maxSecretFile bounds what is read as one secret, in bytes.
const maxSecretFile = 64 << 10

// readSecret reads a secret from a file, without the line feed at its end. A relative path starts
// at the folder of the configuration file.
func readSecret(folder, path string) (secret, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(folder, path)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the file %q does not exist", path)
	}
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecretFile {
		return "", fmt.Errorf("read the secret: %q is not a regular file of at most %d bytes", path, maxSecretFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	value := strings.TrimRight(string(text), "\r\n")
	if strings.TrimSpace(value) == "" {
		return "", fmt.Errorf("the secret in %q is empty", path)
	}
	return secret(value), nil
}

// takeSecret settles `key` against `key_file`: one of the two at most, and never empty.
func takeSecret(d *document, base, key string, value *secret, file string) {
	path := join(base, key)
	inline, inFile := d.given(path), d.given(path+"_file")
	switch {
	case inline && inFile:
		d.problem(path+"_file", fmt.Errorf("stands beside %s: keep one of the two", key))
	case inFile && file == "":
		d.problem(path+"_file", errors.New("is empty: name a file, or leave the key out"))
	case inFile:
		read, err := readSecret(d.folder, file)
		if err != nil {
			d.problem(path+"_file", err)
			return
		}
		*value = read
	case inline && strings.TrimSpace(string(*value)) == "":
		d.problem(path, errors.New("the secret is empty"))
	}
}
