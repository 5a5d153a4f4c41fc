package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	settle    = 200 * time.Millisecond // without an event before the file is looked at: editors write in steps
	maxSettle = time.Second            // after the first event, however many follow
)

// A fileWatch tells when the content of a file has changed. It watches folders, not the file: editors put a new
// file in its place, and a mounted Kubernetes volume swaps a symbolic link beside it.
type fileWatch struct {
	path    string
	notify  *fsnotify.Watcher
	content [sha256.Size]byte
}

// watchFile remembers the content that the file has now: what changes from here on is a change.
func watchFile(path string) (*fileWatch, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch %q: %w", path, err)
	}
	w := &fileWatch{path: path, notify: notify}
	if err := errors.Join(w.follow(), w.remember()); err != nil {
		return nil, errors.Join(fmt.Errorf("watch %q: %w", path, err), notify.Close())
	}
	return w, nil
}

// follow watches the folder of the path and, where that is a link, the folder of what it leads to.
func (w *fileWatch) follow() error {
	if err := w.notify.Add(filepath.Dir(w.path)); err != nil {
		return err
	}
	target, err := filepath.EvalSymlinks(w.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // between two steps of an editor
	}
	if err != nil {
		return err
	}
	return w.notify.Add(filepath.Dir(target)) // nothing new if that is the same folder
}

func (w *fileWatch) remember() error {
	text, err := os.ReadFile(w.path)
	if err == nil {
		w.content = sha256.Sum256(text)
	}
	return err
}

// run sends to changed after each change, until ctx ends. trouble is told what keeps it from seeing changes.
func (w *fileWatch) run(ctx context.Context, changed chan<- struct{}, trouble func(error)) {
	defer w.notify.Close()
	timer := time.NewTimer(settle)
	timer.Stop()
	defer timer.Stop()
	var first time.Time // of the events that have not been looked at; zero: there are none
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-w.notify.Events:
			if !ok {
				return
			}
		case err, ok := <-w.notify.Errors: // events may be lost
			if !ok {
				return
			}
			trouble(err)
		case <-timer.C:
			first = time.Time{}
			if !w.changed(trouble) {
				continue
			}
			select {
			case changed <- struct{}{}:
			case <-ctx.Done():
				return
			}
			continue
		}
		if first.IsZero() {
			first = time.Now()
		}
		timer.Reset(min(settle, time.Until(first.Add(maxSettle))))
	}
}

// changed reports whether the file is there with a content that it did not have the last time.
func (w *fileWatch) changed(trouble func(error)) bool {
	if err := w.follow(); err != nil {
		trouble(err)
	}
	before := w.content
	switch err := w.remember(); {
	case errors.Is(err, fs.ErrNotExist):
		return false // what is in effect stays, until there is a file again
	case err != nil:
		trouble(err)
		return false
	default:
		return w.content != before
	}
}
