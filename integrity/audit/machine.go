package audit

import (
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// machineFile holds, in the state directory, the random id by which the chains of this machine are told from those of others.
const (
	machineFile  = "machine"
	machineBytes = 6
)

// machineID returns the id of this machine in twelve digits. Without a state directory, or one that can be used, it is made
// from the machine's name.
func machineID(stateDir string) string {
	if stateDir != "" {
		if id, err := machineFrom(filepath.Join(stateDir, machineFile)); err == nil {
			return id
		}
	}
	host, _ := os.Hostname()
	sum := sha256.Sum256([]byte("mcpx machine " + host))
	return hex.EncodeToString(sum[:machineBytes])
}

// machineFrom reads the id in the file at path, and makes the file if there is none. Processes that race agree.
func machineFrom(path string) (string, error) {
	id, err := readMachine(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	var random [machineBytes]byte
	_, _ = crand.Read(random[:]) // never fails, as its documentation says
	err = createWhole(path, fmt.Appendf(nil, "%x\n", random))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return readMachine(path)
}

func readMachine(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(data))
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != machineBytes || strings.ToLower(id) != id {
		return "", fmt.Errorf("%s does not hold the id of a machine: remove it", path)
	}
	return id, nil
}

// chainName names the chain of a process in a folder.
func (f *files) chainName(instance string) string { return machineID(f.opts.StateDir) + "-" + instance }

// sharedName names the chain of a shared file that begins with the given event: one that was begun anew is another one.
func (f *files) sharedName(firstID string) string {
	sum := sha256.Sum256([]byte(f.path + "\n" + firstID))
	return machineID(f.opts.StateDir) + "-" + hex.EncodeToString(sum[:8])
}
