package play

import (
	"bytes"
	"strings"
	"sync"
)

// A tailWriter keeps the last bytes written to it. It is safe for concurrent use.
type tailWriter struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 4 << 10 // bytes

func (w *tailWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	w.text = w.text[max(0, len(w.text)-tailSize):]
	return len(p), nil
}

func (w *tailWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(string(bytes.ToValidUTF8(w.text, []byte("?"))))
}
