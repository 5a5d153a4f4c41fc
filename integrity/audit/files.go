package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A chainFiles is a chain as it lies on the disk: its segments in order.
type chainFiles struct {
	instance string // of the process, in a folder; else empty
	segments []segment
	live     *os.File // the last segment if it is open already, else nil
}

// name is what people know the chain by.
func (c chainFiles) name(log string) string {
	if c.instance == "" {
		return log
	}
	return filepath.Join(log, c.instance)
}

// A layout is what a path that a person names stands for.
type layout struct {
	log      string // canonical path of the folder or the shared file
	instance string // the one chain of the folder that is meant; "" means all
	folder   bool
}

// findLayout tells what path is: a folder, a segment of one (which stands for its chain), a shared file, or a rotated
// one (which stands for the shared file).
func findLayout(path string) (layout, error) {
	log, err := canonical(path)
	if err != nil {
		return layout{log: path}, err
	}
	info, err := os.Stat(log)
	if err == nil && info.IsDir() {
		return layout{log: log, folder: true}, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		return layout{}, &ForeignError{Path: log, Why: "not a regular file"}
	}
	if s, ok := parseSegment(log); ok {
		return layout{log: filepath.Dir(log), instance: s.instance, folder: true}, err
	}
	ext := filepath.Ext(log)
	base := strings.TrimSuffix(log, ext)
	// The time in a rotated name has a dot of its own, so the cut is at the last dash.
	if dash := strings.LastIndexByte(base, '-'); dash > 0 {
		if _, err := time.Parse(nameTime, base[dash+1:]); err == nil {
			return layout{log: base[:dash] + ext}, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		if rotated, _ := sharedSegments(log); len(rotated) > 0 {
			return layout{log: log}, nil
		}
	}
	return layout{log: log}, err
}

// chains lists the chains of a log by the time of their first segment.
func (y layout) chains() ([]chainFiles, error) {
	if !y.folder {
		segments, err := sharedSegments(y.log)
		if err != nil {
			return nil, fmt.Errorf("list audit files: %w", err)
		}
		if _, err := os.Stat(y.log); err == nil {
			segments = append(segments, segment{path: y.log})
		}
		return []chainFiles{{segments: segments}}, nil
	}
	segments, err := folderSegments(y.log)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list audit segments: %w", err)
	}
	var chains []chainFiles
	index := map[string]int{}
	for _, s := range segments {
		if y.instance != "" && s.instance != y.instance {
			continue
		}
		i, ok := index[s.instance]
		if !ok {
			i = len(chains)
			index[s.instance] = i
			chains = append(chains, chainFiles{instance: s.instance})
		}
		chains[i].segments = append(chains[i].segments, s)
	}
	return chains, nil
}
