package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A chainWriter writes lines as package audit does.
type chainWriter struct {
	seq    uint64
	prev   [sha256.Size]byte
	server string
	time   time.Time
}

// line returns the next line, without its end.
func (c *chainWriter) line() []byte {
	c.seq++
	if c.time.IsZero() {
		c.time = time.Now().UTC()
	}
	c.time = c.time.Add(time.Millisecond)
	server := c.server
	if server == "" {
		server = "filesystem"
	}
	kind, members := "decision", `,"decision":"allow","rule":"allow_tools: read_*"`
	if c.seq%2 == 0 {
		kind, members = "outcome", `,"outcome":"ok","latency_ms":12.345,"bytes_in":220,"bytes_out":1400`
	} else if c.seq%20 == 1 {
		members = `,"decision":"deny","rule":"deny_tools: write_file"`
	}
	b := fmt.Appendf(nil, `{"time":%q,"id":"01934f6e-8c5a-7%03x-9a4b-%012x","seq":%d,"prev":"%s","source":"wrap","instance":"01934f6e8c5a7000","host":"laptop-of-ada","user":"ada","server":%q,"client":"ada","client_info":{"name":"claude-desktop","version":"1.2.3"},"server_info":{"name":"secure-filesystem-server","version":"0.2.0"},"session":"01934f6e-8c5a-7abc-9a4b-000000000001","era":"2025-11-25","request_id":%d,"method":"tools/call","target":"read_file_%d"%s,"args":{"sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},"kind":"%s"}`,
		c.time.Format("2006-01-02T15:04:05.000000000Z"), c.seq&0xfff, c.seq, c.seq, hex.EncodeToString(c.prev[:]), server, c.seq/2, c.seq/2%20, members, kind)
	c.prev = sha256.Sum256(b)
	return b
}

// event returns the next line, with these members.
func (c *chainWriter) event(members string) []byte {
	c.seq++
	b := fmt.Appendf(nil, `{"time":%q,"id":"x","seq":%d,"prev":"%x",%s}`, c.time.Format(time.RFC3339Nano), c.seq, c.prev, members)
	c.prev = sha256.Sum256(b)
	return b
}

func (c *chainWriter) lines(n int) []byte {
	var b []byte
	for range n {
		b = append(append(b, c.line()...), '\n')
	}
	return b
}

func BenchmarkAppend(b *testing.B) {
	for _, bench := range []struct{ chains, size int }{{1, 100}, {1, 500}, {1, 1000}, {16, 100}, {16, 500}, {16, 1000}, {16, 5}} {
		b.Run(fmt.Sprintf("chains=%d/batch=%d", bench.chains, bench.size), func(b *testing.B) {
			benchmarkAppend(b, bench.chains, bench.size)
		})
	}
}

func benchmarkAppend(b *testing.B, chains, size int) {
	s, err := Open(context.Background(), Options{Path: filepath.Join(b.TempDir(), "hub.db"), Retain: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	// What is sent is made before the clock runs.
	batches := make([][][]byte, chains)
	per := b.N/chains/size + 1
	for i := range batches {
		w := chainWriter{server: "server-" + strconv.Itoa(i%4)}
		for range per {
			batches[i] = append(batches[i], w.lines(size))
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	var senders sync.WaitGroup
	var stored atomic.Int64
	for i := range batches {
		senders.Go(func() {
			for _, lines := range batches[i] {
				a, err := s.Append(context.Background(), Batch{Principal: "p" + strconv.Itoa(i%8), Chain: "c" + strconv.Itoa(i), Lines: lines}, nil)
				if err != nil {
					b.Error(err)
					return
				}
				stored.Add(int64(len(a.New)))
			}
		})
	}
	senders.Wait()
	b.StopTimer()
	b.ReportMetric(float64(stored.Load())/b.Elapsed().Seconds(), "events/s")
	if f, err := s.Fleet(context.Background()); err != nil || f.Events != stored.Load() {
		b.Errorf("%d events in the store, want %d: %v", f.Events, stored.Load(), err)
	}
}
