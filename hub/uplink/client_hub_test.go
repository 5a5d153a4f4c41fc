package uplink

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// A seen request is what a fake hub got.
type seen struct {
	method, path, token, body string
	header                    http.Header
}

// A fakeHub answers each request as it is told, and keeps them.
type fakeHub struct {
	*httptest.Server
	mu     sync.Mutex
	got    []seen // guarded by mu
	answer func(w http.ResponseWriter, r *http.Request)
}

func newHub(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *fakeHub {
	t.Helper()
	h := &fakeHub{answer: answer}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Server.Close)
	return h
}

func (h *fakeHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := ReadBody(r, MaxBatchBody, MaxBatch)
	if err != nil {
		body = []byte(err.Error())
	}
	h.mu.Lock()
	h.got = append(h.got, seen{r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), string(body), r.Header})
	h.mu.Unlock()
	h.answer(w, r)
}

func (h *fakeHub) last(t *testing.T) seen {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.got) == 0 {
		t.Fatal("the hub was asked nothing")
	}
	return h.got[len(h.got)-1]
}

func (h *fakeHub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.got)
}

func answers(status int, body string, header ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

const secret = "mcpx_s3cr3t"

func dial(t *testing.T, opt Options) *Client {
	t.Helper()
	if opt.Token == nil && opt.Socket == "" {
		opt.Token = func() (string, error) { return secret, nil }
	}
	c, err := NewClient(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
