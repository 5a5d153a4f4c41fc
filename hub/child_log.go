package hub

import (
	"bytes"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/integrity"
)

const (
	logLine = 1 << 10 // bytes that are logged of one line of a child
	logRate = 100     // lines of a child that are logged in a second
)

// A childLog logs what a child writes to stderr, a line each: without what could act on a terminal, not too long, and not
// so much that nothing else is found.
type childLog struct {
	log zerolog.Logger

	writing sync.Mutex
	line    []byte // what came of the current line, at most logLine; guarded by writing
	long    bool   // and there was more of it; guarded by writing
	missed  int    // lines that were left out since the last one; guarded by writing

	mu     sync.Mutex // Write and junk are called beside one another
	second time.Time  // when the current second began; guarded by mu
	lines  int        // that were logged in it; guarded by mu
}

func newChildLog(log zerolog.Logger) *childLog { return &childLog{log: log} }

// room reports whether another line may be logged now.
func (c *childLog) room() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.second) >= time.Second {
		c.second, c.lines = now, 0
	}
	c.lines++
	return c.lines <= logRate
}

// Write implements [io.Writer].
func (c *childLog) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			c.add(p)
			return n, nil
		}
		c.add(p[:i])
		p = p[i+1:]
		c.flush()
	}
}

// end logs what a child that is gone has left of a line: why it died is often the one that it did not finish.
func (c *childLog) end() {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.flush()
}

func (c *childLog) add(p []byte) {
	room := logLine - len(c.line)
	if len(p) > room {
		p, c.long = p[:room], true
	}
	c.line = append(c.line, p...)
}

func (c *childLog) flush() {
	line := bytes.TrimRight(c.line, " \t\r")
	long := c.long
	c.line, c.long = c.line[:0], false
	if len(line) == 0 {
		return
	}
	if !c.room() {
		c.missed++
		return
	}
	more := map[string]any{}
	if long {
		more["cut"] = true
	}
	if c.missed > 0 {
		more["lines_left_out"] = c.missed
		c.missed = 0
	}
	c.log.Info().Fields(more).Str("stderr", integrity.Visible(string(line))).Msg("server says")
}

// junk logs a line of stdout that is no message; another goroutine than Write's calls it.
func (c *childLog) junk(line []byte) {
	if c.room() {
		c.log.Warn().Str("line", integrity.Visible(string(line[:min(len(line), logLine)]))).
			Msg("the server wrote something to stdout that is no message; it is not forwarded")
	}
}
