//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// A badWay stands between wrappers and their hub, and does to what goes through it all that a network, a proxy or a hub that
// dies can do: until it is healed.
type badWay struct {
	t       *testing.T
	through http.RoundTripper
	proxy   *httputil.ReverseProxy

	mu     sync.Mutex
	random *rand.Rand     // guarded by mu
	healed bool           // guarded by mu
	kept   []keptBatch    // to be sent some time later; guarded by mu
	done   map[string]int // how often what was done; guarded by mu
}

type keptBatch struct {
	header http.Header
	body   []byte
}

// What is done to a batch.
const (
	batchPassed    = "passed"
	batchDropped   = "dropped before the hub had it"
	batchLost      = "answer lost"
	batchTwice     = "sent twice at once"
	batchHeld      = "held back for later"
	batchKept      = "passed, and sent again later"
	batchCut       = "cut in the middle"
	batchRefused   = "answered with 503"
	batchReplayed  = "replayed"
	chaosPatience  = 10 * time.Second
	maxKeptBatches = 200
)

// newBadWay listens on the socket at path in front of the hub's.
func newBadWay(t *testing.T, seed uint64, path, hub string) *badWay {
	t.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", hub)
	}
	transport := &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 8, DisableCompression: true}
	w := &badWay{t: t, through: transport, random: rand.New(rand.NewPCG(seed, 1)), done: map[string]int{}}
	w.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "hub"})
			r.Out.Host = r.In.Host
		},
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: w, ErrorLog: log.New(io.Discard, "", 0)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // until it is closed
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
		transport.CloseIdleConnections()
	})
	return w
}

func (w *badWay) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.healed = true
}

// pick chooses what to do: each of faults is as likely as the others, and half of the time there is none.
func (w *badWay) pick(none string, faults ...string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.random.IntN(2 * len(faults)); !w.healed && n < len(faults) {
		none = faults[n]
	}
	w.done[none]++
	return none
}

func (w *badWay) number(below int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(below)
}

func (w *badWay) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && r.URL.Path == uplink.PathEvents {
		w.events(to, r)
		return
	}
	switch w.pick("other passed", "other dropped", "other cut off") {
	case "other dropped":
		panic(http.ErrAbortHandler)
	case "other cut off": // a stream of policy, most of the time
		ctx, cancel := context.WithTimeout(r.Context(), time.Duration(w.number(1000))*time.Millisecond)
		defer cancel()
		r = r.WithContext(ctx)
	}
	w.proxy.ServeHTTP(to, r)
}

func (w *badWay) events(to http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // its sender was killed
	}
	if gap := r.Header.Get(uplink.HeaderGap); gap != "" {
		w.t.Errorf("chain %s: a sender declares a gap where nothing was removed", r.Header.Get(uplink.HeaderChain))
	}
	b := keptBatch{header: r.Header.Clone(), body: body}
	switch w.pick(batchPassed, batchDropped, batchLost, batchTwice, batchHeld, batchKept, batchCut, batchRefused) {
	case batchDropped:
		panic(http.ErrAbortHandler)
	case batchHeld:
		w.keep(b)
		panic(http.ErrAbortHandler)
	case batchLost:
		_, _, _ = w.send(r.Context(), b)
		panic(http.ErrAbortHandler)
	case batchCut:
		w.sendPart(r.Context(), b)
		panic(http.ErrAbortHandler)
	case batchRefused:
		to.WriteHeader(http.StatusServiceUnavailable)
		return
	case batchTwice:
		var other sync.WaitGroup
		defer other.Wait()
		other.Go(func() { _, _, _ = w.send(r.Context(), b) })
	case batchKept:
		w.keep(b)
	}
	status, answer, err := w.send(r.Context(), b)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	to.Header().Set("Content-Type", "application/json")
	to.WriteHeader(status)
	_, _ = to.Write(answer) // its sender may be gone
}

func (w *badWay) request(ctx context.Context, b keptBatch, body io.Reader) *http.Request {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://hub"+uplink.PathEvents, body)
	if err != nil {
		panic(err)
	}
	r.Header, r.ContentLength = b.header.Clone(), int64(len(b.body))
	return r
}

func (w *badWay) send(ctx context.Context, b keptBatch) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, chaosPatience)
	defer cancel()
	response, err := w.through.RoundTrip(w.request(ctx, b, bytes.NewReader(b.body)))
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// sendPart sends less than it says, and hangs up.
func (w *badWay) sendPart(ctx context.Context, b keptBatch) {
	ctx, cancel := context.WithTimeout(ctx, chaosPatience)
	defer cancel()
	part := b.body[:w.number(len(b.body))]
	response, err := w.through.RoundTrip(w.request(ctx, b, bytes.NewReader(part)))
	if err != nil {
		return
	}
	response.Body.Close()
}

func (w *badWay) keep(b keptBatch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.kept) < maxKeptBatches {
		w.kept = append(w.kept, b)
	}
}

// replay sends one of the batches that were kept, in no order. Some stay to be sent once more.
func (w *badWay) replay(ctx context.Context) {
	w.mu.Lock()
	n := len(w.kept)
	if n == 0 {
		w.mu.Unlock()
		return
	}
	i := w.random.IntN(n)
	b := w.kept[i]
	if w.random.IntN(4) > 0 {
		w.kept[i] = w.kept[n-1]
		w.kept = w.kept[:n-1]
	}
	w.done[batchReplayed]++
	w.mu.Unlock()
	_, _, _ = w.send(ctx, b) // whatever the hub says
}

func (w *badWay) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var text strings.Builder
	for what, n := range w.done {
		fmt.Fprintf(&text, "%d %s; ", n, what)
	}
	return text.String()
}
