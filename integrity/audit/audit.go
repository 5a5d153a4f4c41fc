// Package audit keeps the record of what mcpx decided and of what came of it: JSON lines, each of which carries the
// SHA-256 of the line before it, so that an event that was edited, removed, moved or cut off is found by Verify.
//
// A log has one of three layouts. In a folder every process writes segments of its own, and no lock is ever waited
// for. Several processes that name the same file share one chain: each Commit takes the file's lock. A stream
// (stderr or stdout) is chained too, but leaves no file to verify.
//
// In a folder Commit makes no system call: it copies the events to a spool, a small mapped file beside the segment, from
// which they go to the segment in one write a moment later, or when the next process finds that theirs has died.
//
// The package does not sync to the platter: an event survives the death of the process from the moment Commit returns,
// not the loss of power. It signs nothing: whoever may write both the log and the state directory can forge both.
// A chain may have a hub as its destination. Its Outbox hands the lines over and keeps a cursor beside the segments, which
// says what the hub has: so a later process can go on where one was killed.
//
// It does not decide anything, knows no network and never sees a credential.
package audit

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Defaults of Config.
const (
	DefaultMaxSize = 100 << 20
	DefaultRetain  = 30 * 24 * time.Hour
)

// DefaultMaxPending is how many bytes wait for a hub at most, if Options do not say so.
const DefaultMaxPending = 1 << 30

// A Config is the audit section of mcpx.yaml.
type Config struct {
	Enabled   *bool         `yaml:"enabled"`    // nil: true
	Output    string        `yaml:"output"`     // stdout, stderr or file; "" is file
	Path      string        `yaml:"path"`       // a file, or a folder (it is one, or it ends in a separator); "" is Options.DefaultDir
	MaxSize   int64         `yaml:"max_size"`   // bytes after which a file is rotated; 0 is DefaultMaxSize
	Retain    time.Duration `yaml:"retain"`     // how long a finished file is kept; 0 is DefaultRetain
	OnFailure string        `yaml:"on_failure"` // block or warn; "" is block
	Args      string        `yaml:"args"`       // off, hash, redacted or full; "" is hash
	Redact    []string      `yaml:"redact"`     // names of members whose values are never recorded, at any depth, compared without case
}

// The least size that makes sense for a file: an event with full arguments must fit.
const minMaxSize = 64 << 10

// Validate returns all that is wrong with c, each problem prefixed with its key.
func (c Config) Validate() error {
	var errs []error
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch c.Output {
	case "", "stdout", "stderr", "file":
	default:
		problem("output: unknown value %q: use stdout, stderr or file", c.Output)
	}
	if c.Path != "" && (c.Output == "stdout" || c.Output == "stderr") {
		problem("path: %q is not used with output %s: remove one of them", c.Path, c.Output)
	}
	switch {
	case c.MaxSize < 0:
		problem("max_size: %d is negative", c.MaxSize)
	case c.MaxSize > 0 && c.MaxSize < minMaxSize:
		problem("max_size: %d bytes is too small: use at least 64KiB", c.MaxSize)
	}
	if c.Retain < 0 {
		problem("retain: %s is negative", c.Retain)
	}
	switch c.OnFailure {
	case "", "block", "warn":
	default:
		problem("on_failure: unknown value %q: use block or warn", c.OnFailure)
	}
	switch c.Args {
	case "", "off", "hash", "redacted", "full":
	default:
		problem("args: unknown mode %q: use off, hash, redacted or full", c.Args)
	}
	for i, name := range c.Redact {
		if name == "" {
			problem("redact[%d]: an empty name: name the member whose values are to be left out", i)
		}
	}
	return errors.Join(errs...)
}

// Options say how Open opens a log.
type Options struct {
	Config
	DefaultDir string // the folder that is used when Config.Path is empty; required then
	StateDir   string // a folder for the heads of all logs, so that a cut tail is found; "" keeps none
	Source     string // wrap or hub
	Version    string // of mcpx; said in the first event of each file

	Stdout, Stderr io.Writer // for output stdout and stderr; a nil Stdout means Stderr

	// OnError is told once per outage that the log cannot be written, and of other trouble that stops nothing.
	// It is called while the log is locked and must not call back. Nil: a line to Stderr, if there is one.
	OnError func(error)
	// Hub is the destination of what is written: LocalHub or the URL of a team's hub. No file goes before the hub has
	// acknowledged what is in it. "": none.
	Hub string
	// MaxPending bounds what waits for a hub: where the finished files that have a destination hold more bytes than
	// this, the oldest go all the same, and the log says how many events went with them. 0 is DefaultMaxPending.
	MaxPending int64
	Now        func() time.Time // nil: time.Now

	spool int // bytes of the spool; 0 is defaultSpool, less is none
}
