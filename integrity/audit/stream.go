package audit

import (
	"fmt"
	"io"
	"math"
)

// A stream is a sink without a file.
type stream struct {
	w     io.Writer
	label string
	head  head
	first note
}

func openStream(o origin) (*stream, error) {
	w := o.opts.Stderr
	if o.opts.Output == "stdout" && o.opts.Stdout != nil {
		w = o.opts.Stdout
	}
	if w == nil {
		return nil, fmt.Errorf("open audit log: there is no %s to write to", o.opts.Output)
	}
	return &stream{w: w, label: o.opts.Output, first: opened(o.opts.Version, "")}, nil
}

func (s *stream) begin(int) (place, error) {
	at := place{head: s.head, room: math.MaxInt}
	if s.head.seq == 0 {
		at.notes = []note{s.first}
	}
	return at, nil
}

func (s *stream) write(lines []byte, h head) error {
	if _, err := s.w.Write(lines); err != nil {
		return err
	}
	s.head = h
	return nil
}

func (s *stream) end()         {}
func (s *stream) settle()      {}
func (s *stream) lags() bool   { return false }
func (s *stream) close() error { return nil }
func (s *stream) name() string { return s.label }

// opened is the first event of a chain, or of a file that continues one.
func opened(version, previous string) note {
	n := note{kind: Lifecycle, reason: "log_opened"}
	if previous != "" {
		n.reason, n.target = "log_continued", previous
	}
	if version != "" {
		n.args = append(appendText([]byte(`{"version":`), version, maxName), '}')
	}
	return n
}
