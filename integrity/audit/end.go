package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxLine is the longest line that is read as an event, in bytes. What Append makes is shorter.
const maxLine = 512 << 10

// A ForeignError is the error of a file that holds something else than an audit log of ours. It is left as it is.
type ForeignError struct {
	Path string
	Why  string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s is not an audit log of mcpx (%s): move it away, or set audit.path to another file", e.Path, e.Why)
}

// An end is what a file of a log ends with.
type end struct {
	head   head  // of the last whole line; zero in a file without one
	offset int64 // behind the last whole line
	torn   int64 // bytes behind that: a line whose writer died
}

// readEnd finds the end of a file, and makes sure that the file is a log.
func readEnd(f *os.File) (end, error) {
	info, err := f.Stat()
	if err != nil {
		return end{}, err
	}
	if info.Size() == 0 {
		return end{}, nil
	}
	if err := checkStart(f); err != nil {
		return end{}, err
	}
	from := max(0, info.Size()-2*maxLine)
	tail := make([]byte, info.Size()-from)
	if _, err := f.ReadAt(tail, from); err != nil && !errors.Is(err, io.EOF) {
		return end{}, err
	}
	stop := bytes.LastIndexByte(tail, '\n') + 1
	e := end{offset: from + int64(stop), torn: int64(len(tail) - stop)}
	if e.torn > 0 && !tornLine(tail[stop:]) {
		return end{}, &ForeignError{Path: f.Name(), Why: "its last line is not the start of an event"}
	}
	if stop == 0 {
		if from > 0 {
			return end{}, &ForeignError{Path: f.Name(), Why: "its last line is too long"}
		}
		return e, nil
	}
	line := tail[:stop-1]
	line = line[bytes.LastIndexByte(line, '\n')+1:]
	r, err := parseRecord(line)
	if err != nil {
		return end{}, &ForeignError{Path: f.Name(), Why: "its last line is not an event: " + err.Error()}
	}
	e.head = head{seq: r.Seq, hash: sha256.Sum256(line)}
	return e, nil
}

// checkStart reports a file that does not start like a log.
func checkStart(f *os.File) error {
	start := make([]byte, len(openTime))
	n, err := f.ReadAt(start, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !tornLine(start[:n]) {
		return &ForeignError{Path: f.Name(), Why: "it does not start with an event"}
	}
	return nil
}

// tornLine reports whether s is what a crash can leave of an event: its first bytes, or zeros after a loss of power.
func tornLine(s []byte) bool {
	n := min(len(s), len(openTime))
	return string(s[:n]) == openTime[:n] || len(bytes.Trim(s, "\x00")) == 0
}
