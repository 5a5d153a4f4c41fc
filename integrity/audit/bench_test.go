package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// benchEvents are the two events of a call, of the usual length.
func benchEvents() (decision, outcome *Event) {
	decision = &Event{
		Kind: Decision, RequestID: []byte("12345"), Method: "tools/call", Target: []byte("read_text_file"),
		Decision: "allow", Rule: "allow_tools", BytesIn: 180, Args: []byte(`{"path":"/data/some/folder/file.txt"}`),
	}
	outcome = &Event{
		Kind: Outcome, RequestID: []byte("12345"), Method: "tools/call", Target: []byte("read_text_file"),
		Outcome: "ok", Latency: 1534 * time.Microsecond, BytesOut: 4096,
	}
	return decision, outcome
}

func benchLink(l *Log) *Link {
	k := l.Link(LinkInfo{Server: "filesystem", Client: "anonymous"})
	k.SetPeers([]byte(`{"name":"claude-desktop","version":"1.2.3"}`), []byte(`{"name":"secure-filesystem-server","version":"0.2.0"}`), "legacy")
	return k
}

// BenchmarkAppend is what an event costs before it is written.
func BenchmarkAppend(b *testing.B) {
	opts := testOptions(b)
	l := openLog(b, opts)
	k := benchLink(l)
	event, _ := benchEvents()
	b.ReportAllocs()
	for b.Loop() {
		k.Append(event)
		l.staged.buf = l.staged.buf[:0]
	}
}

// BenchmarkChain is what an event costs when it is written, without the write.
func BenchmarkChain(b *testing.B) {
	l := openLog(b, testOptions(b))
	k := benchLink(l)
	event, _ := benchEvents()
	k.Append(event)
	body, _ := nextStaged(l.staged.buf)
	var h head
	out := make([]byte, 0, 4096)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		out = h.link(out[:0], body, 0)
	}
}

// BenchmarkCommit is what a commit of so many events costs, with their Append and the write to a real file.
func BenchmarkCommit(b *testing.B) {
	for _, layout := range []string{"folder", "shared"} {
		for _, n := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/%d", layout, n), func(b *testing.B) {
				opts := testOptions(b)
				if layout == "shared" {
					opts.Path = filepath.Join(b.TempDir(), "log.jsonl")
				}
				l := openLog(b, opts)
				k := benchLink(l)
				decision, outcome := benchEvents()
				b.ReportAllocs()
				for b.Loop() {
					for i := range n {
						if i%2 == 0 {
							k.Append(decision)
						} else {
							k.Append(outcome)
						}
					}
					if err := l.Commit(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkSpool is what the caller of a commit of one event waits for: its Append and its way into the spool. The write
// to the segment comes on top in BenchmarkCommit.
func BenchmarkSpool(b *testing.B) {
	l := openLog(b, testOptions(b))
	k := benchLink(l)
	event, _ := benchEvents()
	b.ReportAllocs()
	for b.Loop() {
		k.Append(event)
		if err := l.Commit(); err != nil {
			b.Fatal(err)
		}
		l.mu.Lock()
		if l.staged.held == 0 && l.staged.spool.used() > defaultSpool/2 { // as if it was written
			l.staged.spool.release(len(l.staged.buf))
			l.staged.buf = l.staged.buf[:0]
		}
		l.mu.Unlock()
	}
}

// BenchmarkOpen is what a log costs the start of a process that records nothing.
func BenchmarkOpen(b *testing.B) {
	opts := testOptions(b)
	b.ReportAllocs()
	for b.Loop() {
		l, err := Open(opts)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify is what verifying costs.
func BenchmarkVerify(b *testing.B) {
	opts := testOptions(b)
	l := openLog(b, opts)
	k := benchLink(l)
	event, _ := benchEvents()
	for range 1000 {
		k.Append(event)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(onlySegment(b, opts.DefaultDir))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	b.ReportAllocs()
	for b.Loop() {
		if res, err := Verify(opts.StateDir, opts.DefaultDir); err != nil || !res.Intact() {
			b.Fatal(res, err)
		}
	}
}

// A batch is read in the midst of a long segment, as a forwarder does while calls go on.
func BenchmarkFillBatch(b *testing.B) {
	opts := testOptions(b)
	l := openLog(b, opts)
	k := l.Link(LinkInfo{Server: "s"})
	for range 5000 {
		k.Append(&Event{Kind: Decision, Method: "tools/call", Target: []byte("read_file"), Decision: "allow"})
	}
	commit(b, l)
	l.flushSpool()
	o, err := l.Outbox(LocalHub)
	if err != nil {
		b.Fatal(err)
	}
	defer o.Close()
	f, err := o.forwarder(ForwardOptions{Send: newFakeHub(b).send, OnError: opts.OnError})
	if err != nil {
		b.Fatal(err)
	}
	f.look()
	c := o.chains[0]
	if err := c.locate(f); err != nil {
		b.Fatal(err)
	}
	start := *c.pos
	b.ReportAllocs()
	for b.Loop() {
		c.pos = &start
		batch, _, err := c.fill(f)
		if err != nil || batch.Events < 100 {
			b.Fatal(batch.Events, err)
		}
		b.SetBytes(int64(len(batch.Lines)))
	}
}

// BenchmarkParse is what every event costs that the hub takes, and that a search, a check or learning reads.
func BenchmarkParse(b *testing.B) {
	opts := testOptions(b)
	l := openLog(b, opts)
	event, _ := benchEvents()
	benchLink(l).Append(event)
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	text, err := os.ReadFile(onlySegment(b, opts.DefaultDir))
	if err != nil {
		b.Fatal(err)
	}
	line := bytes.SplitAfter(text, []byte("\n"))[1]
	line = line[:len(line)-1]
	b.SetBytes(int64(len(line)))
	b.Run("as written", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := parseRecord(line); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("strictly", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := readStrictly(line); err != nil {
				b.Fatal(err)
			}
		}
	})
}
