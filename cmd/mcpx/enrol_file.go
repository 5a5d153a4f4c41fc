package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// maxStateFile bounds what is read of a small file in the state folder, in bytes.
const maxStateFile = 64 << 10

// A login is what `mcpx login` remembers of a hub: login.json in the state folder. The token is elsewhere.
type login struct {
	URL       string     `json:"url"`
	Key       uplink.Key `json:"key"`
	Principal string     `json:"principal"`
	Account   string     `json:"account,omitempty"` // in the keyring; "": the token is in a file
}

// A credential is a token beside the key of the hub that it is for, so that who changes the one file that says where the hub
// is cannot have the token sent elsewhere.
type credential struct {
	Token string     `json:"token"`
	URL   string     `json:"url"`
	Key   uplink.Key `json:"key"`
}

// An address is what a local hub without a socket says of itself: hub.json.
type address struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// readLogin gives the login of this machine, nil if there is none.
func readLogin() (*login, error) {
	file, err := statePath(loginName)
	if err != nil {
		return nil, err
	}
	l := new(login)
	switch err := readState(file, l); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: log in again with `mcpx login URL`, or `mcpx logout`", err)
	}
	if err := secureURL("url", l.URL); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return l, nil
}

// readDoor reads how to reach the local hub. It never leads away from this machine.
func readDoor(file string) (address, error) {
	var at address
	if err := readSecretState(file, &at); err != nil {
		return address{}, err
	}
	if err := loopbackURL(at.URL); err != nil || at.Token == "" {
		return address{}, fmt.Errorf("%s does not say how to reach the hub of this machine: start `mcpx hub` again", file)
	}
	return at, nil
}

// tokenLife is how long a token is remembered, so that not each call asks the keyring and a new login is noticed all the same.
const tokenLife = time.Minute

// token gives the login's token, read when it is asked for. It is safe for concurrent use.
func (l *login) token() func() (string, error) {
	var mu sync.Mutex
	var last string
	var read time.Time
	return func() (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if last != "" && time.Since(read) < tokenLife {
			return last, nil
		}
		c, err := l.credential()
		if err != nil {
			return "", err
		}
		last, read = c.Token, time.Now()
		return last, nil
	}
}

// credential reads the token from where the login has put it, and refuses one that is for another hub.
func (l *login) credential() (credential, error) {
	var c credential
	if l.Account != "" {
		text, err := keyringGet(l.Account)
		if err != nil {
			return credential{}, fmt.Errorf("read the hub's token from the keyring: %w: log in again with `mcpx login %s`", err, l.URL)
		}
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return credential{}, fmt.Errorf("what the keyring has for %q is no token: log in again with `mcpx login %s`", l.Account, l.URL)
		}
	} else {
		file, err := statePath(tokenName)
		if err != nil {
			return credential{}, err
		}
		if err := readSecretState(file, &c); err != nil {
			return credential{}, fmt.Errorf("read the hub's token: %w: log in again with `mcpx login %s`", err, l.URL)
		}
	}
	if c.URL != l.URL || c.Key != l.Key {
		return credential{}, fmt.Errorf("the token is for the hub %s with the key %s, but %s says %s with %s: somebody changed it, so the token is not sent; log in again with `mcpx login URL`",
			c.URL, c.Key, loginName, l.URL, l.Key)
	}
	return c, nil
}

func statePath(names ...string) (string, error) {
	folder, err := stateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(append([]string{folder}, names...)...), nil
}

// readSecretState is readState for a file that nobody else may read.
func readSecretState(file string, into any) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s can be read by others: chmod 600 it, and take what is in it for known", file)
	}
	return readState(file, into)
}

// readState reads a small document of ours, strictly.
func readState(path string, into any) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxStateFile+1))
	if err != nil {
		return err
	}
	if len(text) > maxStateFile {
		return fmt.Errorf("%s is larger than %d bytes", path, maxStateFile)
	}
	if err := json.Unmarshal(text, into, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%s cannot be read: %w", path, err)
	}
	return nil
}

// writeState writes a small document of ours for its owner alone, whole or not at all.
func writeState(path string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}
