package audit

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	segmentExt = ".jsonl"
	ackExt     = ".ack" // of a chain's cursor
	nameTime   = "20060102T150405.000000000Z"
)

// A segment is one file of a log.
type segment struct {
	path     string
	instance string    // of the process, in a folder; else empty
	start    time.Time // from its name; zero for the file that processes share
	// Of a folder's: the segments of the same chain beside it, and whether there is a spool of it.
	before, after string
	spool         bool
	destined      bool // its chain has a cursor
}

// segmentName names a new segment of a folder: TIME-PID-INSTANCE.jsonl. Names sort by time.
func segmentName(t time.Time, instance string) string {
	return t.UTC().Format(nameTime) + "-" + strconv.Itoa(os.Getpid()) + "-" + instance + segmentExt
}

// parseSegment reads a name that segmentName made.
func parseSegment(path string) (segment, bool) {
	base, ok := strings.CutSuffix(filepath.Base(path), segmentExt)
	if !ok {
		return segment{}, false
	}
	parts := strings.Split(base, "-")
	if len(parts) != 3 || parts[2] == "" {
		return segment{}, false
	}
	start, err := time.Parse(nameTime, parts[0])
	if err != nil {
		return segment{}, false
	}
	if _, err := strconv.ParseUint(parts[1], 10, 64); err != nil {
		return segment{}, false
	}
	return segment{path: path, instance: parts[2], start: start}, true
}

// folderSegments returns the segments of a folder by name, which is by time.
func folderSegments(dir string) ([]segment, error) {
	list, err := listFolder(dir)
	return list.segments, err
}

// A folderList is what lies in a folder.
type folderList struct {
	segments []segment // by time
	missing  []segment // that spools are named for, and that are not there
	lone     []string  // cursors of chains without a segment
}

func listFolder(dir string) (list folderList, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return list, err
	}
	spools, cursors := map[string]segment{}, map[string]bool{}
	for _, entry := range entries {
		if !ordinary(entry) {
			continue
		}
		if instance, ok := strings.CutSuffix(entry.Name(), ackExt); ok {
			cursors[instance] = true
			continue
		}
		name, spool := strings.CutSuffix(filepath.Join(dir, entry.Name()), spoolExt)
		switch s, ok := parseSegment(name); {
		case ok && spool:
			spools[name] = s
		case ok:
			list.segments = append(list.segments, s)
		}
	}
	slices.SortStableFunc(list.segments, func(a, b segment) int { return a.start.Compare(b.start) })
	last := map[string]int{}
	for i := range list.segments {
		s := &list.segments[i]
		if _, s.spool = spools[s.path]; s.spool {
			delete(spools, s.path)
		}
		s.destined = cursors[s.instance]
		if j, ok := last[s.instance]; ok {
			s.before, list.segments[j].after = list.segments[j].path, s.path
		}
		last[s.instance] = i
	}
	for _, s := range spools {
		list.missing = append(list.missing, s)
	}
	slices.SortFunc(list.missing, func(a, b segment) int { return strings.Compare(a.path, b.path) })
	for instance := range cursors {
		if _, ok := last[instance]; !ok {
			list.lone = append(list.lone, filepath.Join(dir, instance+ackExt))
		}
	}
	return list, nil
}

// ordinary reports whether an entry may be a file of ours. Links and pipes never are: who may write to the folder could lead us
// anywhere with them, or have us wait for ever. (Irregular is what some file systems say of files.)
func ordinary(entry fs.DirEntry) bool { return entry.Type()&^fs.ModeIrregular == 0 }

// rotatedName names what the shared file becomes when it is rotated: file.jsonl, file-TIME.jsonl.
func rotatedName(path string, t time.Time) string {
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-" + t.UTC().Format(nameTime) + ext
}

// sharedSegments returns the rotated files of a shared one by time, without the file itself.
func sharedSegments(path string) ([]segment, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	ext := filepath.Ext(path)
	prefix := strings.TrimSuffix(filepath.Base(path), ext) + "-"
	var segments []segment
	for _, entry := range entries {
		if !ordinary(entry) || !strings.HasPrefix(entry.Name(), prefix) || !strings.HasSuffix(entry.Name(), ext) || entry.Name() == prefix+ext {
			continue
		}
		stamp := strings.TrimSuffix(entry.Name()[len(prefix):], ext)
		start, err := time.Parse(nameTime, stamp)
		if err != nil || entry.Name() != prefix+start.Format(nameTime)+ext {
			continue
		}
		segments = append(segments, segment{path: filepath.Join(filepath.Dir(path), entry.Name()), start: start})
	}
	slices.SortStableFunc(segments, func(a, b segment) int { return a.start.Compare(b.start) })
	return segments, nil
}

// isFolder reports whether path names a folder: it is one, or it ends in a separator.
func isFolder(path string) bool {
	if path != "" && os.IsPathSeparator(path[len(path)-1]) {
		return true
	}
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// canonical returns the one name of path by which its heads are found: absolute, and with the links in its folder
// resolved.
func canonical(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}
