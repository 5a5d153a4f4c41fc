package stdio

import (
	"io"
	"os"
	"sync"
)

// tailSize is how much of a child's stderr is kept for the report of a crash.
const tailSize = 64 << 10

// drain reads the child's stderr until its end, so that the child never blocks on it, and hands it
// on unchanged. A writer that fails is dropped; reading goes on.
func (c *Child) drain(stderr *os.File, w io.Writer) {
	defer close(c.drained)
	defer func() { _ = stderr.Close() }()
	buf := make([]byte, 16<<10)
	for {
		n, err := stderr.Read(buf)
		if n > 0 {
			c.tail.add(buf[:n])
			if w != nil {
				if _, werr := w.Write(buf[:n]); werr != nil {
					w = nil
				}
			}
		}
		if err != nil {
			return
		}
	}
}

// A tail keeps the last tailSize bytes of a stream. It takes no memory until there are some.
type tail struct {
	mu  sync.Mutex
	buf []byte // at most tailSize; guarded by mu
	at  int    // where the oldest byte is once buf is full; guarded by mu
}

func (t *tail) add(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p = p[max(0, len(p)-tailSize):]
	grow := min(len(p), tailSize-len(t.buf))
	t.buf = append(t.buf, p[:grow]...)
	for p = p[grow:]; len(p) > 0; {
		n := copy(t.buf[t.at:], p)
		p = p[n:]
		t.at = (t.at + n) % tailSize
	}
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]byte, 0, len(t.buf))
	return append(append(out, t.buf[t.at:]...), t.buf[:t.at]...)
}
