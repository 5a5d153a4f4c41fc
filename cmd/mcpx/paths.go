package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const (
	configName = "mcpx.yaml"
	almostName = "mcpx.yml" // which is no configuration, and taken for one
	lockName   = "mcpx.lock"
	auditName  = "audit" // in the state folder: the audit log, unless the configuration says where
	headsName  = "heads" // in the state folder: where each audit chain ends

	loginName  = "login.json" // in the state folder: the hub that this machine is enrolled at
	tokenName  = "token"      // in the state folder: its token, where there is no keyring
	socketName = "hub.sock"   // the hub's own socket, see findDoor
	doorName   = "hub.json"   // in the state folder: how to reach the hub where it has no socket
	hubName    = "hub"        // folder in the state folder, of the hub itself
	storeName  = "hub.db"     // there: what it knows
	keyName    = "hub.key"    // beside it: what it signs with

	configVariable = "MCPX_CONFIG"
	stateVariable  = "MCPX_STATE_DIR"
)

// findConfig gives the path of the configuration file in use: --config, $MCPX_CONFIG, ./mcpx.yaml,
// then the user's own. A file that is named must exist; "" means that there is none.
func (a *app) findConfig() (string, error) {
	for _, named := range []struct{ path, by string }{
		{a.configPath, ""},
		{os.Getenv(configVariable), " that $" + configVariable + " names"},
	} {
		if named.path == "" {
			continue
		}
		if _, err := os.Stat(named.path); err != nil {
			if path, ok := errors.AsType[*fs.PathError](err); ok {
				err = path.Err
			}
			return "", fmt.Errorf("read the configuration %q%s: %w", named.path, named.by, err)
		}
		return named.path, nil
	}
	for _, path := range configPlaces() {
		switch _, err := os.Stat(path); {
		case err == nil:
			return path, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("read the configuration: %w", err)
		}
		if err := misnamed(path); err != nil {
			return "", err
		}
	}
	return "", nil
}

// misnamed refuses to go on where somebody has written rules under a name that nobody reads: without them all would be allowed.
func misnamed(path string) error {
	almost := filepath.Join(filepath.Dir(path), almostName)
	if _, err := os.Lstat(almost); err != nil {
		return nil //nolint:nilerr // there is no such file, or none that could be meant
	}
	return fmt.Errorf("%q is not read: rename it to %s, or name it with --config", almost, configName)
}

// configPlaces lists where a configuration is looked for when nobody names one.
func configPlaces() []string {
	places := []string{configName}
	if folder := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(folder) {
		places = append(places, filepath.Join(folder, "mcpx", configName))
	}
	home, err := os.UserHomeDir()
	if err == nil && runtime.GOOS != "windows" && len(places) == 1 {
		places = append(places, filepath.Join(home, ".config", "mcpx", configName))
	}
	// ~/Library/Application Support on macOS, %AppData% on Windows.
	if folder, err := os.UserConfigDir(); err == nil && runtime.GOOS != "linux" {
		places = append(places, filepath.Join(folder, "mcpx", configName))
	}
	return places
}

// stateDir gives the folder for what mcpx remembers: $MCPX_STATE_DIR, else the platform's usual place.
func stateDir() (string, error) {
	if folder := os.Getenv(stateVariable); folder != "" {
		return filepath.Abs(folder)
	}
	if folder := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(folder) {
		return filepath.Join(folder, "mcpx"), nil
	}
	if runtime.GOOS == "windows" {
		if folder := os.Getenv("LocalAppData"); folder != "" {
			return filepath.Join(folder, "mcpx"), nil
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for mcpx's state: %w: set $%s", err, stateVariable)
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "mcpx"), nil
	}
	return filepath.Join(home, ".local", "state", "mcpx"), nil
}

// lockPath gives the file that holds the pins: beside the configuration in use, else in the state folder.
func (a *app) lockPath() (string, error) {
	path, err := a.findConfig()
	if err != nil {
		return "", err
	}
	return lockBeside(path)
}

// lockBeside is lockPath for a configuration file that is known, "" for none.
func lockBeside(config string) (string, error) {
	if config != "" {
		return filepath.Abs(filepath.Join(filepath.Dir(config), lockName))
	}
	folder, err := stateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, lockName), nil
}

// auditPath gives the audit log's file or folder: the configuration's, else the one in the state folder.
func (a *app) auditPath() (string, error) {
	c, err := a.loadConfig()
	if err != nil {
		return "", err
	}
	if c.Audit.Path != "" {
		return c.Audit.Path, nil
	}
	folder, err := stateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, auditName), nil
}

// A door is where the hub of this user on this machine listens for this user alone. One of the two is set: the path of a Unix
// socket, or that of a file which says how to reach the hub.
type door struct{ socket, file string }

// findDoor gives the same to the hub and to everyone who looks for it. The socket is in the runtime folder of the user; with
// the state that $MCPX_STATE_DIR sets apart goes a hub apart.
func findDoor() (door, error) {
	state, err := stateDir()
	if err != nil {
		return door{}, err
	}
	socket := filepath.Join(state, socketName)
	if folder := runtimeDir(); folder != "" && os.Getenv(stateVariable) == "" {
		socket = filepath.Join(folder, "mcpx", socketName)
	}
	if len(socket) > longestSocket {
		return door{file: filepath.Join(state, doorName)}, nil
	}
	return door{socket: socket}, nil
}
