package integrity

import (
	"bytes"
	"fmt"
	"testing"
)

// Every wrapper reads the lock file when it starts.
func BenchmarkOpen(b *testing.B) {
	path := b.TempDir() + "/mcpx.lock"
	f, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	var items [][]byte
	for i := range 50 {
		items = append(items, bytes.Replace(oneKB, []byte("read_file"), fmt.Appendf(nil, "read_file_%d", i), 1))
	}
	if _, err := f.Server("fs", Config{}).Walk(Tools).Page(items, true); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(path); err != nil {
			b.Fatal(err)
		}
	}
}
