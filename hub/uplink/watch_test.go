package uplink

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/transport/sse"
)

type told struct{ Document, ETag string }

// streams writes parts, each as soon as the one before was taken, and then holds the stream open until the client goes.
func streams(t *testing.T, step <-chan struct{}, parts ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		out := http.NewResponseController(w)
		if err := out.Flush(); err != nil {
			t.Error(err)
		}
		for _, part := range parts {
			io.WriteString(w, part)
			out.Flush() // the client may be gone
			select {
			case <-step:
			case <-r.Context().Done():
				return
			}
		}
		<-r.Context().Done()
	}
}

func TestWatch(t *testing.T) {
	one, err := Sign(testKey(1), testBundle())
	if err != nil {
		t.Fatal(err)
	}
	two := testBundle()
	two.Serial++
	other, err := Sign(testKey(1), two)
	if err != nil {
		t.Fatal(err)
	}
	step := make(chan struct{})
	hub := newHub(t, streams(t, step,
		": hello\n\n"+string(sse.Append(nil, sse.Event{Type: EventBundle, Data: one, ID: `"7"`, HasID: true})),
		": still here\n\nevent: weather\nid: \"8\"\ndata: rain\n\n"+string(sse.Append(nil, sse.Event{Type: EventBundle, Data: other, ID: `"8"`, HasID: true}))))
	c := dial(t, Options{URL: hub.URL})
	ctx, cancel := context.WithCancel(t.Context())
	var got []told
	err = c.Watch(ctx, "files", `"6"`, func(document []byte, etag string) {
		if _, err := Open(PublicKey(testKey(1)), document); err != nil {
			t.Error(err)
		}
		got = append(got, told{string(document), etag})
		if len(got) == 2 {
			cancel()
			return
		}
		step <- struct{}{}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if diff := cmp.Diff([]told{{string(one), `"7"`}, {string(other), `"8"`}}, got); diff != "" {
		t.Error(diff)
	}
	if ask := hub.last(t); ask.path != "/v1/policy/files" || ask.header.Get("Accept") != "text/event-stream" || ask.header.Get("If-None-Match") != `"6"` {
		t.Errorf("asked %+v", ask)
	}
}

func TestWatchEnds(t *testing.T) {
	stream := func(body string) func(http.ResponseWriter, *http.Request) {
		return answers(200, body, "Content-Type", "text/event-stream")
	}
	for _, row := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request)
		want   string
	}{
		{"the hub closes", stream(": bye\n\n"), "closed the stream"},
		{"in the middle of an event", stream("event: bundle\nid: 1\ndata: half"), "closed the stream"},
		{"no document", stream("event: bundle\nid: 1\n\n"), "without its document"},
		{"no ETag", stream("event: bundle\ndata: x\n\n"), "without its document or ETag"},
		{"too large", stream("event: bundle\nid: 1\ndata: " + strings.Repeat("x", MaxDocument+100) + "\n\n"), "too long"},
		{"no stream", answers(200, "{}", "Content-Type", "application/json"), "no event stream"},
		{"silent from the start", streams(t, nil), "silent"},
		{"silent after a while", streams(t, nil, ": hello\n\n"), "silent"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := dial(t, Options{URL: newHub(t, row.answer).URL})
			if row.want == "silent" {
				c.silence = 50 * time.Millisecond
			}
			err := c.Watch(t.Context(), "s", "", func(document []byte, _ string) { t.Errorf("got %.50q", document) })
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("ended with %v, want %s", err, row.want)
			}
		})
	}
}

// Comments keep a stream alive, and what its reader does in between is not the hub's silence.
func TestWatchIsPatientWithWhoeverSpeaks(t *testing.T) {
	const silence = 300 * time.Millisecond
	const event = "event: bundle\nid: 1\ndata: x\n\n"
	hub := newHub(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, event)
		tick := time.NewTicker(silence / 10)
		defer tick.Stop()
		for range 20 {
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
			io.WriteString(w, ": \n")
			http.NewResponseController(w).Flush()
		}
		io.WriteString(w, event)
	})
	c := dial(t, Options{URL: hub.URL})
	c.silence = silence
	var events int
	err := c.Watch(t.Context(), "s", "", func([]byte, string) {
		events++
		if events == 1 {
			<-time.After(silence + silence/2)
		}
	})
	if events != 2 || !errors.Is(err, errClosed) {
		t.Errorf("%d events, then %v", events, err)
	}
}

// However a stream is cut into reads, and whatever is in it, reading ends; what is told is a document with an ETag, and is the same.
func FuzzStream(f *testing.F) {
	f.Add([]byte(": x\n\nevent: bundle\nid: \"1\"\ndata: {}\ndata: c2ln\n\n"))
	f.Add([]byte("\xef\xbb\xbfevent:bundle\r\nid:1\r\ndata\r\ndata:x\r\r\nid: \x00\ndata: y\n\n"))
	f.Add([]byte("event: bundle\nretry: 1\nid\ndata: x\n\nevent: bundles\ndata: z\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		read := func(src io.Reader) (all []told, err error) {
			err = readStream(sse.NewReader(src, 1<<16), func(document []byte, etag string) {
				if len(document) == 0 {
					t.Error("told nothing")
				}
				all = append(all, told{string(document), etag})
			})
			if err == nil {
				t.Fatal("a stream ended without a reason")
			}
			return all, err
		}
		whole, err := read(bytes.NewReader(data))
		bytewise, err2 := read(iotest.OneByteReader(bytes.NewReader(data)))
		if diff := cmp.Diff(whole, bytewise); diff != "" || err.Error() != err2.Error() {
			t.Errorf("%s%v, %v", diff, err, err2)
		}
	})
}
