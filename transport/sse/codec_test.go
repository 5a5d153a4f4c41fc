package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// all reads the stream to its end and copies what must be copied.
func all(src io.Reader, limit int) ([]Event, error) {
	r := NewReader(src, limit)
	var events []Event
	for {
		e, err := r.Next()
		if err != nil {
			return events, err
		}
		e.Data = bytes.Clone(e.Data)
		events = append(events, e)
	}
}

func text(s string) []byte { return []byte(s) }

func TestStreamsAreReadAsTheStandardSays(t *testing.T) {
	for _, test := range []struct {
		name, stream string
		want         []Event
	}{
		{"empty", "", nil},
		{"one event", "data: {}\n\n", []Event{{Data: text("{}")}}},
		{"types", "event: endpoint\ndata: /m\n\nevent: message\ndata: x\n\ndata: y\n\n",
			[]Event{{Type: "endpoint", Data: text("/m")}, {Data: text("x")}, {Data: text("y")}}},
		{"the example of stock quotes", "data: YHOO\ndata: +2\ndata: 10\n\n", []Event{{Data: text("YHOO\n+2\n10")}}},
		{"comments, ids, an id reset, one space taken",
			": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
			[]Event{{Data: text("first event"), ID: "1", HasID: true}, {Data: text("second event"), HasID: true}, {Data: text(" third event")}}},
		{"data without value, unfinished event", "data\n\ndata\ndata\n\ndata:", []Event{{Data: text("")}, {Data: text("\n")}}},
		{"space after the colon is optional", "data:test\n\ndata: test\n\n", []Event{{Data: text("test")}, {Data: text("test")}}},
		{"unfinished event is dropped", "data: a\n\ndata: b\n", []Event{{Data: text("a")}}},
		{"CR", "data: a\rdata: b\r\rdata: c\r\r", []Event{{Data: text("a\nb")}, {Data: text("c")}}},
		{"CRLF", "data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", []Event{{Data: text("a\nb")}, {Data: text("c")}}},
		{"mixed ends", "data: a\r\ndata: b\ndata: c\r\n\rdata: d\n\r\n", []Event{{Data: text("a\nb\nc")}, {Data: text("d")}}},
		{"byte order mark, once", "\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", []Event{{Data: text("a")}}},
		{"id with NUL is ignored", "id: a\x00b\ndata: x\n\n", []Event{{Data: text("x")}}},
		{"retry", "retry: 1500\n\nretry: 15s\ndata: x\n\nretry:\ndata: y\n\nretry: 99999999999999999999\n\n",
			[]Event{{Retry: 1500 * time.Millisecond}, {Data: text("x")}, {Data: text("y")}, {Retry: 999999999 * time.Millisecond}}},
		{"an event that primes", "id: 7\nretry: 500\ndata: \n\n", []Event{{Data: text(""), ID: "7", HasID: true, Retry: 500 * time.Millisecond}}},
		{"an id alone", "id: 7\n\n", []Event{{ID: "7", HasID: true}}},
		{"a type alone is no event, and does not last", "event: ping\n\ndata: x\n\n", []Event{{Data: text("x")}}},
		{"field names are exact", "Data: a\n data: b\ndata : c\ndatax\nfoo: d\ndata: e\n\n", []Event{{Data: text("e")}}},
		{"colons in data", "data: a: b\ndata:: c\n\n", []Event{{Data: text("a: b\n: c")}}},
		{"comment between data", "data: a\n:" + strings.Repeat("x", 3*firstBuffer) + "\ndata: b\n\n", []Event{{Data: text("a\nb")}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, source := range []struct {
				name string
				wrap func(io.Reader) io.Reader
			}{
				{"whole", func(r io.Reader) io.Reader { return r }},
				{"byte by byte", iotest.OneByteReader},
				{"with the error", iotest.DataErrReader},
			} {
				got, err := all(source.wrap(strings.NewReader(test.stream)), 64<<10)
				if !errors.Is(err, io.EOF) {
					t.Errorf("%s: ended with %v, want EOF", source.name, err)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("%s: events differ (-want +got):\n%s", source.name, diff)
				}
			}
		})
	}
}

func TestLimitsHold(t *testing.T) {
	const limit = 10000
	fits := strings.Repeat("x", limit)
	lines := strings.Repeat("data\n", limit+1)
	for _, test := range []struct {
		name, stream string
		ok           bool
	}{
		{"data of the limit", "data: " + fits + "\n\n", true},
		{"after a byte order mark", "\xef\xbb\xbfdata: " + fits + "\r\n\r\n", true},
		{"one byte more", "data: " + fits + "x\n\n", false},
		{"lines that join to the limit", lines + "\n", true},
		{"lines that join to more", "data\n" + lines + "\n", false},
		{"two events of the limit", "data: " + fits + "\n\ndata: " + fits + "\n\n", true},
		{"endless line", "data: " + fits + fits, false},
		{"endless comment", ":" + fits + fits, false},
		{"many comments", strings.Repeat(": ping\n\n", limit) + "data: x\n\n", true},
		{"long type", "event: " + fits + "\ndata: x\n\n", false},
		{"long id", "id: " + fits + "\ndata: x\n\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, src := range []io.Reader{strings.NewReader(test.stream), iotest.HalfReader(strings.NewReader(test.stream))} {
				_, err := all(src, limit)
				if ok := !errors.Is(err, ErrTooLong); ok != test.ok {
					t.Errorf("ended with %v, want fits = %v", err, test.ok)
				}
			}
		})
	}
}

// TestEventIsReadWhenItEnds holds a reader to not waiting for what comes after an event: the LF of its last CRLF, or more.
func TestEventIsReadWhenItEnds(t *testing.T) {
	for _, end := range []string{"\n", "\r", "\r\n"} {
		src, peer := io.Pipe()
		r := NewReader(src, 100)
		events := make(chan string)
		go func() {
			for e, err := r.Next(); err == nil; e, err = r.Next() {
				events <- string(e.Data)
			}
			close(events)
		}()
		for i := range 3 {
			want := fmt.Sprint("event ", i)
			stream := "data: " + want + end + end
			if end == "\r\n" {
				stream = strings.TrimSuffix(stream, "\n")
			}
			if _, err := io.WriteString(peer, stream); err != nil {
				t.Fatal(err)
			}
			if got := <-events; got != want {
				t.Errorf("end %q: got %q, want %q", end, got, want)
			}
			if end == "\r\n" {
				if _, err := io.WriteString(peer, "\n"); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = peer.Close()
		<-events
	}
}

func TestErrorsOfTheStreamAreReturned(t *testing.T) {
	broken := errors.New("broken")
	got, err := all(io.MultiReader(strings.NewReader("data: a\n\ndata: b\n"), iotest.ErrReader(broken)), 100)
	if !errors.Is(err, broken) || len(got) != 1 {
		t.Errorf("got %d events and %v, want 1 and the error", len(got), err)
	}
	if _, err := NewReader(idler{}, 100).Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("source that gives nothing: %v, want %v", err, io.ErrNoProgress)
	}
}

type idler struct{}

func (idler) Read([]byte) (int, error) { return 0, nil }

// TestBufferShrinks: a stream that lives for days must not keep what its largest event took.
func TestBufferShrinks(t *testing.T) {
	src, peer := io.Pipe()
	r := NewReader(src, 1<<20)
	go func() {
		_, _ = peer.Write(Append(nil, Event{Data: make([]byte, 1<<20)}))
		for range calmTimes + 2 {
			_, _ = peer.Write(Append(nil, Event{Data: text("x")}))
		}
		_ = peer.Close()
	}()
	for range calmTimes + 3 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if len(r.buf) > idleBuffer {
		t.Errorf("reader keeps %d bytes", len(r.buf))
	}
}

func TestAppendWritesOneEvent(t *testing.T) {
	for _, test := range []struct {
		name  string
		event Event
		want  string
	}{
		{"message", Event{Data: text("{}")}, "data: {}\n\n"},
		{"all", Event{Type: "message", ID: "1", HasID: true, Retry: 1500 * time.Millisecond, Data: text("{}")},
			"event: message\nid: 1\nretry: 1500\ndata: {}\n\n"},
		{"priming", Event{ID: "1", HasID: true, Data: []byte{}}, "id: 1\ndata: \n\n"},
		{"empty id", Event{HasID: true}, "id: \n\n"},
		{"short time", Event{Retry: 1}, "retry: 1\n\n"},
		{"lines", Event{Data: text("a\nid: 2\r\nb\rc\n")}, "data: a\ndata: id: 2\ndata: b\ndata: c\ndata: \n\n"},
		{"type and id that begin a field", Event{Type: "a\ndata: x", ID: "1\rdata: x", HasID: true, Data: text("y")}, "data: y\n\n"},
		{"id with NUL", Event{ID: "a\x00", HasID: true, Data: text("y")}, "data: y\n\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := string(Append(nil, test.event)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzAppend: what is appended is read as one event again, and nothing else is.
func FuzzAppend(f *testing.F) {
	f.Add("", "", false, int64(0), []byte("{}"))
	f.Add("endpoint", "1", true, int64(2000), []byte("a\nb\r\nc\rid: 2\r\n\r\n"))
	f.Add("a\nb", "\x00", true, int64(-1), []byte{})
	f.Add(strings.Repeat("k", maxField), "", false, int64(0), []byte("x"))
	f.Fuzz(func(t *testing.T, kind, id string, hasID bool, retry int64, data []byte) {
		if len(kind) > maxField || len(id) > maxField || data == nil {
			return
		}
		retry %= 1e9
		event := Event{Type: kind, ID: id, HasID: hasID, Retry: time.Duration(retry) * time.Millisecond, Data: data}
		want := event
		if strings.ContainsAny(kind, "\r\n") || kind == "message" {
			want.Type = ""
		}
		if want.HasID = hasID && !strings.ContainsAny(id, "\r\n\x00"); !want.HasID {
			want.ID = ""
		}
		want.Retry = max(want.Retry, 0)
		want.Data = []byte(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data)))
		stream := Append(Append(nil, event), event)
		got, err := all(bytes.NewReader(stream), len(data))
		if !errors.Is(err, io.EOF) {
			t.Fatalf("%q ended with %v", stream, err)
		}
		if diff := cmp.Diff([]Event{want, want}, got); diff != "" {
			t.Errorf("%q is read as other events (-want +got):\n%s", stream, diff)
		}
	})
}

// FuzzReader: however a stream is cut, its events are those that a plain reading of the standard gives.
func FuzzReader(f *testing.F) {
	f.Add([]byte("\xef\xbb\xbfid: 1\nevent: x\r\ndata: a\rdata\n: c\n\r\nretry: 12\n\n"), uint8(3))
	f.Add([]byte("data: a\n\ndata: b\r\n\r\n\rdata: c\r\r"), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint8) {
		if len(stream) > maxField {
			return
		}
		want := plain(string(stream))
		for _, src := range []io.Reader{bytes.NewReader(stream), &chunks{rest: stream, size: int(cut)%64 + 1}} {
			got, err := all(src, len(stream))
			if !errors.Is(err, io.EOF) {
				t.Fatalf("%q ended with %v", stream, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", stream, diff)
			}
		}
	})
}

type chunks struct {
	rest []byte
	size int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.rest[:min(c.size, len(c.rest))])
	c.rest = c.rest[n:]
	c.size = c.size%61 + 1
	return n, nil
}

// plain follows the standard with no thought of speed.
func plain(stream string) []Event {
	stream = strings.TrimPrefix(stream, "\ufeff")
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream), "\n")
	var events []Event
	var e Event
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			if e.Data != nil || e.HasID || e.Retry != 0 {
				if e.Data != nil {
					e.Data = e.Data[:len(e.Data)-1]
				}
				events = append(events, e)
			}
			e = Event{}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			if e.Type = value; value == "message" {
				e.Type = ""
			}
		case "data":
			e.Data = append(append(e.Data, value...), '\n')
		case "id":
			if !strings.Contains(value, "\x00") {
				e.ID, e.HasID = value, true
			}
		case "retry":
			if value != "" && strings.Trim(value, "0123456789") == "" {
				ms, _ := time.ParseDuration(value[:min(len(value), maxRetry)] + "ms")
				e.Retry = ms
			}
		}
	}
	return events
}

// endless gives the same events again and again.
type endless struct {
	stream []byte
	at     int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.stream[e.at:])
	e.at = (e.at + n) % len(e.stream)
	return n, nil
}

func BenchmarkNext(b *testing.B) {
	for _, size := range []int{200, 10 << 10, 1 << 20} {
		for _, lines := range []int{1, 100} {
			line := bytes.Repeat([]byte("x"), max(size/lines-1, 1))
			data := bytes.Join(slicesOf(line, lines), []byte{'\n'})
			b.Run(fmt.Sprintf("%d/lines=%d", size, lines), func(b *testing.B) {
				r := NewReader(&endless{stream: Append(nil, Event{Type: "message", Data: data})}, 2<<20)
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					if e, err := r.Next(); err != nil || len(e.Data) != len(data) {
						b.Fatal(len(e.Data), err)
					}
				}
			})
		}
	}
}

func slicesOf(line []byte, n int) [][]byte {
	lines := make([][]byte, n)
	for i := range lines {
		lines[i] = line
	}
	return lines
}

func BenchmarkAppend(b *testing.B) {
	data := bytes.Repeat([]byte("x"), 10<<10)
	dst := make([]byte, 0, 2*len(data))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		dst = Append(dst[:0], Event{Type: "message", ID: "17", HasID: true, Data: data})
	}
}
