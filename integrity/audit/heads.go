package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// headEvery is how often Commit records the head at most. What is cut off a log whose process was killed is found
// unless it is younger than this.
const headEvery = time.Second

// A headFile is the record of a chain's head, kept apart from the log.
type headFile struct {
	Log     string    `json:"log"` // the canonical path of the folder or file
	Segment string    `json:"segment"`
	Seq     uint64    `json:"seq"`
	Hash    string    `json:"hash"`
	Time    time.Time `json:"time"`
}

// A baseFile says where a chain begins since retention removed its first segments.
type baseFile struct {
	Log  string `json:"log"`
	Seq  uint64 `json:"seq"`  // of the first event that is left
	Prev string `json:"prev"` // of that event
}

// heads are the records of all chains of one log. The zero value records nothing.
type heads struct {
	dir string // "" records nothing
	log string // canonical path
}

func newHeads(stateDir, log string) heads {
	if stateDir == "" {
		return heads{}
	}
	return heads{dir: stateDir, log: log}
}

// prefix begins the names of all files of this log.
func (h heads) prefix() string {
	sum := sha256.Sum256([]byte(h.log))
	return hex.EncodeToString(sum[:8])
}

// file names the record of one chain: that of a process, or with an empty instance that of a shared file.
func (h heads) file(instance, ext string) string {
	name := h.prefix()
	if instance != "" {
		name += "-" + instance
	}
	return filepath.Join(h.dir, name+ext)
}

const (
	headExt = ".head"
	baseExt = ".base"
)

func (h heads) prepare() error {
	if h.dir == "" {
		return nil
	}
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return fmt.Errorf("prepare the state directory of the audit log: %w: make it writable or set MCPX_STATE_DIR", err)
	}
	return nil
}

func (h heads) save(instance, segment string, end head, now time.Time) error {
	if h.dir == "" {
		return nil
	}
	return replace(h.file(instance, headExt), headFile{
		Log: h.log, Segment: filepath.Base(segment), Seq: end.seq, Hash: hex.EncodeToString(end.hash[:]), Time: now.UTC(),
	})
}

func (h heads) saveBase(instance string, seq uint64, prev string) error {
	if h.dir == "" {
		return nil
	}
	return replace(h.file(instance, baseExt), baseFile{Log: h.log, Seq: seq, Prev: prev})
}

// load returns the recorded head of a chain, or nil if there is none.
func (h heads) load(instance string) (*headFile, error) { return load[headFile](h, instance, headExt) }

// base returns where a chain begins, or nil if that is event 1.
func (h heads) base(instance string) (*baseFile, error) { return load[baseFile](h, instance, baseExt) }

func load[T any](h heads, instance, ext string) (*T, error) {
	if h.dir == "" {
		return nil, nil
	}
	path := h.file(instance, ext)
	data, err := os.ReadFile(path) //nolint:gosec // below the state directory
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the head of an audit log: %w", err)
	}
	record := new(T)
	if err := json.Unmarshal(data, record); err != nil {
		return nil, fmt.Errorf("read the head of an audit log: %s: %w", path, err)
	}
	return record, nil
}

// forget removes what is recorded of a chain of which nothing is left.
func (h heads) forget(instance string) {
	if h.dir != "" {
		_ = os.Remove(h.file(instance, headExt))
		_ = os.Remove(h.file(instance, baseExt))
	}
}

// instances returns the chains of a folder that have a head recorded.
func (h heads) instances() ([]string, error) {
	if h.dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(h.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the heads of an audit log: %w", err)
	}
	var found []string
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), headExt)
		if name, rest := strings.CutPrefix(name, h.prefix()+"-"); ok && rest {
			found = append(found, name)
		}
	}
	return found, nil
}

// replace writes value into the file at path, which is at every moment the old one or the new one, whole.
func replace(path string, value any) (err error) {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".head-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
