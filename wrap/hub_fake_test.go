//go:build unix

package wrap_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// A fakeHub answers like a hub, and worse ones.
type fakeHub struct {
	t      *testing.T
	key    ed25519.PrivateKey
	socket string
	server *http.Server
	ended  sync.WaitGroup

	mu        sync.Mutex // guards all below; changed is waited for
	changed   chan struct{}
	document  []byte                       // of the policy
	events    map[string]map[uint64][]byte // by chain and seq
	presences []uplink.Presence
	proposed  map[string]uplink.Sighting // by kind and name
	calls     map[string]int             // by method and path
	hang      bool                       // it accepts and never answers
	garbage   bool                       // it answers with nonsense
}

func startHub(t *testing.T) *fakeHub {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "mcpx") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	h := &fakeHub{
		t: t, key: key, socket: filepath.Join(folder, "hub.sock"), changed: make(chan struct{}),
		events: map[string]map[uint64][]byte{}, proposed: map[string]uplink.Sighting{}, calls: map[string]int{},
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	t.Cleanup(h.stop)
	h.rule(bundle(1))
	h.start()
	return h
}

// start listens; a hub that was stopped may be started again.
func (h *fakeHub) start() {
	h.t.Helper()
	listener, err := net.Listen("unix", h.socket)
	if err != nil {
		h.t.Fatal(err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	h.server = server
	h.ended.Go(func() { _ = server.Serve(listener) })
}

func (h *fakeHub) stop() {
	h.change(func() { h.hang = false })
	_ = h.server.Close()
	h.ended.Wait()
}

// change changes what the hub is, and wakes who waits for that.
func (h *fakeHub) change(do func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	do()
	close(h.changed)
	h.changed = make(chan struct{})
}

// await returns when the hub has become something.
func (h *fakeHub) await(what string, is func() bool) {
	h.t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for {
		h.mu.Lock()
		done, changed := is(), h.changed
		h.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			h.mu.Lock()
			defer h.mu.Unlock()
			var last uplink.Presence
			if len(h.presences) > 0 {
				last = h.presences[len(h.presences)-1]
			}
			h.t.Fatalf("the hub waited in vain for %s; calls %v, serial %d, ended %v, problems %q", what, h.calls, last.Serial, last.Ended, last.Problems)
		}
	}
}

// serial waits until a wrapper says which bundle is in effect.
func (h *fakeHub) awaitSerial(serial int64) {
	h.t.Helper()
	h.await(fmt.Sprintf("serial %d in effect", serial), func() bool {
		return len(h.presences) > 0 && h.presences[len(h.presences)-1].Serial == serial
	})
}

// bundle is one for the test's server. Each change makes it another one.
func bundle(serial int64, changes ...func(*uplink.Bundle)) *uplink.Bundle {
	b := &uplink.Bundle{
		Server: "srv", Principal: uplink.LocalPrincipal, Serial: serial,
		Layers: []uplink.Layer{}, Pins: []uplink.ApprovalItem{}, Revoked: []uplink.Revocation{},
	}
	for _, change := range changes {
		change(b)
	}
	return b
}

func denying(tool string) func(*uplink.Bundle) {
	return func(b *uplink.Bundle) {
		b.Layers = append(b.Layers, uplink.Layer{Label: "hub", Policy: policy.Config{DenyTools: []string{tool}}})
	}
}

func revoking(tool string) func(*uplink.Bundle) {
	return func(b *uplink.Bundle) {
		b.Revoked = append(b.Revoked, uplink.Revocation{Tool: tool, Reason: "CVE", By: "ann"})
	}
}

// rule makes a bundle the hub's policy, signed.
func (h *fakeHub) rule(b *uplink.Bundle) { h.say(h.signed(h.key, b)) }

func (h *fakeHub) signed(key ed25519.PrivateKey, b *uplink.Bundle) []byte {
	h.t.Helper()
	document, err := uplink.Sign(key, b)
	if err != nil {
		h.t.Fatal(err)
	}
	return document
}

func (h *fakeHub) say(document []byte) { h.change(func() { h.document = document }) }

func (h *fakeHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var hang, garbage bool
	h.change(func() {
		h.calls[r.Method+" "+r.URL.Path]++
		hang, garbage = h.hang, h.garbage
	})
	switch {
	case hang:
		<-r.Context().Done()
		return
	case garbage:
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html>\x00{{{")
		return
	}
	var answer any
	switch r.URL.Path {
	case uplink.PathHub:
		answer = uplink.Identity{Version: "test", Key: uplink.PublicKey(h.key), Principal: uplink.LocalPrincipal, Admin: true}
	case uplink.PathPolicy + "srv":
		h.servePolicy(w, r)
		return
	case uplink.PathEvents:
		answer = h.take(r)
	case uplink.PathAlive:
		var p uplink.Presence
		h.read(r, &p)
		h.change(func() { h.presences = append(h.presences, p) })
	case uplink.PathPins + "srv":
		var s uplink.Sightings
		h.read(r, &s)
		h.change(func() {
			for _, item := range s.Items {
				h.proposed[item.Kind+" "+item.Name] = item
			}
		})
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	body, err := uplink.Encode(answer)
	if err != nil {
		h.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

func (h *fakeHub) read(r *http.Request, into any) {
	body, err := uplink.ReadBody(r, uplink.MaxDocument, uplink.MaxDocument)
	if err == nil {
		err = uplink.Decode(body, into)
	}
	if err != nil && r.Context().Err() == nil {
		h.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
}

func (h *fakeHub) servePolicy(w http.ResponseWriter, r *http.Request) {
	stream := strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	if stream {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	for {
		h.mu.Lock()
		document, changed := h.document, h.changed
		h.mu.Unlock()
		tag := fmt.Sprintf(`"%x"`, sha256.Sum256(document))
		if !stream {
			w.Header().Set("ETag", tag)
			_, _ = w.Write(document)
			return
		}
		if len(document) > 0 {
			fmt.Fprintf(w, "event: %s\nid: %s\n", uplink.EventBundle, tag)
			for line := range bytes.SplitSeq(bytes.TrimSuffix(document, []byte("\n")), []byte("\n")) {
				fmt.Fprintf(w, "data: %s\n", line)
			}
			fmt.Fprint(w, "\n")
			w.(http.Flusher).Flush()
		}
		for same := true; same; {
			select {
			case <-changed:
			case <-r.Context().Done():
				return
			}
			h.mu.Lock()
			same, changed = bytes.Equal(document, h.document), h.changed
			h.mu.Unlock()
		}
	}
}

// take stores events. A batch that does not follow is a failure of the test.
func (h *fakeHub) take(r *http.Request) uplink.Acknowledgement {
	body, err := uplink.ReadBody(r, uplink.MaxBatchBody, uplink.MaxBatch)
	if err != nil {
		return uplink.Acknowledgement{}
	}
	var ack uplink.Acknowledgement
	h.change(func() {
		name := r.Header.Get(uplink.HeaderChain)
		chain := h.events[name]
		if chain == nil {
			chain = map[uint64][]byte{}
			h.events[name] = chain
		}
		for line := range bytes.Lines(body) {
			event, err := audit.Parse(bytes.TrimSuffix(line, []byte("\n")))
			if err != nil {
				h.t.Errorf("event: %v: %s", err, line)
				continue
			}
			if event.Seq > uint64(len(chain))+1 {
				h.t.Errorf("chain %s: event %d comes after %d", name, event.Seq, len(chain))
			}
			if chain[event.Seq] == nil {
				ack.Stored++
			}
			chain[event.Seq] = bytes.Clone(line)
		}
		ack.Acked = uint64(len(chain))
	})
	return ack
}

// stored returns the events of all chains. h.mu is held.
func (h *fakeHub) stored() string {
	var all strings.Builder
	for _, chain := range h.events {
		for seq := uint64(1); seq <= uint64(len(chain)); seq++ {
			all.Write(chain[seq])
		}
	}
	return all.String()
}

// env says to a wrapper that this is its hub.
func (h *fakeHub) env(more ...string) []string { return append(more, "TEST_HUB_SOCKET="+h.socket) }

// within fails if f takes longer.
func within(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	timer := time.AfterFunc(limit, func() {
		if ctx.Err() == nil {
			t.Errorf("%s takes longer than %v", what, limit)
		}
	})
	defer timer.Stop()
	f()
}
