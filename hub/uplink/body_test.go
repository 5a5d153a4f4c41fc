package uplink

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"
)

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

func zipped(t *testing.T, data []byte) string {
	t.Helper()
	var z zippers
	out, err := z.zip(data)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestReadBody(t *testing.T) {
	const limit = 100
	bomb := zipped(t, make([]byte, 10*limit))
	if len(bomb) > limit {
		t.Fatal("the bomb is too large to be sent")
	}
	small := zipped(t, []byte("hello"))
	for _, row := range []struct {
		name, body, encoding string
		length               int64 // 0: that of the body; -1: unknown
		want                 string
		status               int
	}{
		{"nothing", "", "", 0, "", 0},
		{"plain", "hello", "", 0, "hello", 0},
		{"identity", "hello", "identity", 0, "hello", 0},
		{"compressed", small, "gzip", 0, "hello", 0},
		{"compressed, length unknown", small, "gzip", -1, "hello", 0},
		{"compressed in two members", zipped(t, []byte("hel")) + zipped(t, []byte("lo")), "gzip", 0, "hello", 0},
		{"as long as may be", strings.Repeat("x", limit), "", -1, strings.Repeat("x", limit), 0},
		{"too long", strings.Repeat("x", limit+1), "", -1, "", 413},
		{"said to be too long", "x", "", limit + 1, "", 413},
		{"said to be short", strings.Repeat("x", limit+1), "", 5, "", 413},
		{"bomb", bomb, "gzip", 0, "", 413},
		{"compressed and too long as sent", zipped(t, bytes.Repeat([]byte("x"), limit)) + strings.Repeat("x", limit), "gzip", -1, "", 400},
		{"cut off", small[:len(small)-3], "gzip", 0, "", 400},
		{"wrong sum", small[:len(small)-8] + "xxxx" + small[len(small)-4:], "gzip", 0, "", 400},
		{"what follows is not gzip", small + "junk", "gzip", 0, "", 400},
		{"not gzip", "hello", "gzip", 0, "", 400},
		{"compressed twice", zipped(t, []byte(small)), "gzip, gzip", 0, "", 415},
		{"otherwise compressed", "hello", "br", 0, "", 415},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/v1/events", strings.NewReader(row.body))
			if row.length != 0 {
				r.ContentLength = row.length
			}
			if row.encoding != "" {
				r.Header.Set("Content-Encoding", row.encoding)
			}
			got, err := ReadBody(r, limit, limit)
			var status int
			if refused, ok := errors.AsType[*StatusError](err); ok {
				status = refused.Status
			}
			if status != row.status || (err != nil) != (row.status != 0) || string(got) != row.want {
				t.Errorf("got %q, %v, want %q, %d", got, err, row.want, row.status)
			}
		})
	}
	r := httptest.NewRequest("POST", "/", strings.NewReader("x"))
	r.Header["Content-Encoding"] = []string{"gzip", "gzip"}
	if _, err := ReadBody(r, limit, limit); err == nil {
		t.Error("took two encodings")
	}
}

// An endless reader counts what is taken of it.
type endless struct{ taken int }

func (e *endless) Read(p []byte) (int, error) {
	e.taken += len(p)
	if e.taken > 1<<20 {
		return 0, errors.New("somebody reads without limit")
	}
	return len(p), nil
}

func TestNoMoreIsReadThanMayBe(t *testing.T) {
	for _, size := range []int64{-1, 10, 1 << 40} {
		var src endless
		if _, err := readAll(&src, size, 1000); !errors.Is(err, errTooLarge) || src.taken > 1001 {
			t.Errorf("size %d: %d bytes taken, %v", size, src.taken, err)
		}
	}
}

// Bytes that a client compressed are those that a hub reads.
func FuzzBody(f *testing.F) {
	f.Add([]byte("{}\n"), false)
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), true)
	f.Fuzz(func(t *testing.T, data []byte, raw bool) {
		body := data
		if !raw {
			body = []byte(zipped(t, data))
		}
		r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		r.Header.Set("Content-Encoding", "gzip")
		got, err := ReadBody(r, 1<<20, 1<<20)
		switch {
		case len(got) > 1<<20:
			t.Errorf("%d bytes are over the limit", len(got))
		case !raw && len(data) < 1<<19 && (err != nil || !bytes.Equal(got, data)):
			t.Errorf("got %q, %v, want %q", got, err, data)
		case err != nil:
			var refused *StatusError
			if !errors.As(err, &refused) || refused.Status < 400 || refused.Status >= 500 {
				t.Errorf("%v is no answer", err)
			}
		default:
			if want, err := gzip.NewReader(bytes.NewReader(body)); err != nil {
				t.Errorf("took %q: %v", body, err)
			} else if all, err := io.ReadAll(want); err != nil || !bytes.Equal(all, got) {
				t.Errorf("got %q, want %q, %v", got, all, err)
			}
		}
	})
}
