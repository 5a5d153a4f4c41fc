package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/wrap/clients"
)

const (
	backupsName   = "backups"                         // in the state folder: what clients' files held before we changed them
	backupTime    = "20060102T150405.000000000Z"      // sorts by time; the files of one command share it
	backupRuns    = 30                                // commands whose copies are kept
	backupDetails = ".about"                          // behind the name of a copy: where it belongs
	maxBackup     = 64 << 20                          // bytes
	backupRun     = len("20060102T150405.000000000Z") // of a name, up to the time's end
)

// backups are the copies that one command makes.
type backups struct {
	folder string
	run    string
	kept   int
}

func newBackups() (*backups, error) {
	folder, err := statePath(backupsName)
	if err != nil {
		return &backups{}, err
	}
	b := &backups{folder: folder, run: time.Now().UTC().Format(backupTime)}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return b, fmt.Errorf("make the folder for copies: %w", err)
	}
	return b, nil
}

// A backup says where a copy belongs. It has no copy if there was no file.
type backup struct {
	Client string `json:"client"`
	Path   string `json:"path"`
	Left   string `json:"left"` // SHA-256 of what we left at Path: if that is not there any more, undo keeps its hands off
	Made   bool   `json:"made"` // there was no file before

	copy string // its path
}

// keep makes the copy of a file that is about to be replaced. Both files reach the disk first.
func (b *backups) keep(c *clients.Change, before []byte) (string, error) {
	b.kept++
	name := fmt.Sprintf("%s-%02d-%s-%s", b.run, b.kept, c.File.Client.ID, strings.TrimPrefix(filepath.Base(c.File.Path), "."))
	path := filepath.Join(b.folder, name)
	details, err := json.Marshal(backup{Client: c.File.Client.ID, Path: c.File.Path, Left: digest(c.After), Made: before == nil})
	if err != nil {
		return "", err
	}
	if before != nil {
		if err := writePrivate(path, before); err != nil {
			return path, fmt.Errorf("keep a copy: %w", err)
		}
	}
	if err := writePrivate(path+backupDetails, append(details, '\n')); err != nil {
		return path, fmt.Errorf("keep a copy: %w", err)
	}
	return path, nil
}

// forget removes a copy that nobody needs. "" is none.
func (b *backups) forget(path string) {
	if path != "" {
		_ = os.Remove(path)
		_ = os.Remove(path + backupDetails)
	}
}

// prune removes the copies of all but the last commands: they hold what the files hold, secrets too.
func (b *backups) prune() {
	names, err := backupNames(b.folder)
	if err != nil {
		return
	}
	var runs []string
	for _, name := range names {
		runs = append(runs, name[:backupRun])
	}
	runs = slices.Compact(runs)
	if len(runs) <= backupRuns {
		return
	}
	oldest := runs[len(runs)-backupRuns]
	for _, name := range names {
		if name < oldest {
			_ = os.Remove(filepath.Join(b.folder, name))
		}
	}
}

// backupNames lists the copies and their details, oldest first.
func backupNames(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if len(e.Name()) <= backupRun {
			continue
		}
		if _, err := time.Parse(backupTime, e.Name()[:backupRun]); err == nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, err
}

// lastBackups gives the copies of the last command that are still there, and when that was.
func lastBackups() (list []backup, when time.Time, err error) {
	folder, err := statePath(backupsName)
	if err != nil {
		return nil, when, err
	}
	names, err := backupNames(folder)
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, backupDetails) })
	if err != nil || len(names) == 0 {
		return nil, when, err
	}
	run := names[len(names)-1][:backupRun]
	when, _ = time.Parse(backupTime, run) // backupNames has read it
	for _, name := range names {
		if !strings.HasPrefix(name, run) {
			continue
		}
		path := filepath.Join(folder, name)
		text, err := readUpTo(path, maxBackup)
		if err != nil {
			return nil, when, err
		}
		var b backup
		if err := json.Unmarshal(text, &b); err != nil {
			return nil, when, fmt.Errorf("read %s: %w", path, err)
		}
		b.copy = strings.TrimSuffix(path, backupDetails)
		list = append(list, b)
	}
	return list, when, nil
}

// left reads the file, which must hold what we left.
func (b *backup) left() ([]byte, error) {
	left, err := readUpTo(b.Path, maxBackup)
	if err != nil {
		return nil, err
	}
	if digest(left) != b.Left {
		return nil, fmt.Errorf("it was changed since: `mcpx clients unwrap %s` takes mcpx out of it and keeps the rest; or compare it with the copy %s by hand, then remove that", b.Client, b.copy)
	}
	return left, nil
}

// restore puts a file back, if it holds what we left, and removes the copy.
func (b *backup) restore() error {
	left, err := b.left()
	if err != nil {
		return err
	}
	var before []byte
	if !b.Made {
		if before, err = readUpTo(b.copy, maxBackup); err != nil {
			return err
		}
	}
	if err := clients.Restore(b.Path, left, before); err != nil {
		return err
	}
	return cmp.Or(os.Remove(b.copy+backupDetails), removeState(b.copy))
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// writePrivate writes a new file that only we can read, to the disk.
func writePrivate(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}
