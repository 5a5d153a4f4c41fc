package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// headEvery is how often Commit records the head at most. What is cut off a log whose process was killed is found
// unless it is younger than this.
const headEvery = time.Second

// A headFile is the record of a chain's head, kept apart from the log.
type headFile struct {
	log     string // the canonical path of the folder or file
	segment string // the name of the last segment
	seq     uint64
	hash    string // hex
}

func (r *headFile) append(b []byte) []byte {
	b = appendText(append(b, `{"log":`...), r.log, maxPath)
	b = appendText(append(b, `,"segment":`...), r.segment, maxPath)
	b = strconv.AppendUint(append(b, `,"seq":`...), r.seq, 10)
	return append(appendText(append(b, `,"hash":`...), r.hash, maxName), '}')
}

func (r *headFile) set(name string, value jsontext.Value) (err error) {
	switch name {
	case "segment":
		r.segment, err = unquote(value)
	case "seq":
		r.seq, err = number(value, parseUint)
	case "hash":
		r.hash, err = unquote(value)
	}
	return err
}

// A baseFile says where a chain begins since retention removed its first segments.
type baseFile struct {
	log  string
	seq  uint64 // of the first event that is left
	prev string // of that event
}

func (r *baseFile) append(b []byte) []byte {
	b = appendText(append(b, `{"log":`...), r.log, maxPath)
	b = strconv.AppendUint(append(b, `,"seq":`...), r.seq, 10)
	return append(appendText(append(b, `,"prev":`...), r.prev, maxName), '}')
}

func (r *baseFile) set(name string, value jsontext.Value) (err error) {
	switch name {
	case "seq":
		r.seq, err = number(value, parseUint)
	case "prev":
		r.prev, err = unquote(value)
	}
	return err
}

// maxPath bounds the paths in these records, which are there for people.
const maxPath = 4 << 10

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

func (h heads) save(instance, segment string, end head) error {
	if h.dir == "" {
		return nil
	}
	record := headFile{log: h.log, segment: filepath.Base(segment), seq: end.seq, hash: hex.EncodeToString(end.hash[:])}
	return replace(h.file(instance, headExt), record.append(nil))
}

func (h heads) saveBase(instance string, seq uint64, prev string) error {
	if h.dir == "" {
		return nil
	}
	record := baseFile{log: h.log, seq: seq, prev: prev}
	return replace(h.file(instance, baseExt), record.append(nil))
}

// load returns the recorded head of a chain, or nil if there is none.
func (h heads) load(instance string) (*headFile, error) {
	record := new(headFile)
	found, err := h.read(instance, headExt, record.set)
	if !found || err != nil {
		return nil, err
	}
	return record, nil
}

// base returns where a chain begins, or nil if that is event 1.
func (h heads) base(instance string) (*baseFile, error) {
	record := new(baseFile)
	found, err := h.read(instance, baseExt, record.set)
	if !found || err != nil {
		return nil, err
	}
	return record, nil
}

func (h heads) read(instance, ext string, set func(string, jsontext.Value) error) (found bool, err error) {
	if h.dir == "" {
		return false, nil
	}
	path := h.file(instance, ext)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the head of an audit log: %w", err)
	}
	if err := members(data, set); err != nil {
		return false, fmt.Errorf("read the head of an audit log: %s: %w: remove the file to go without it", path, err)
	}
	return true, nil
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

// replace writes data into the file at path, which is at every moment the old one or the new one, whole.
func replace(path string, data []byte) (err error) {
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
