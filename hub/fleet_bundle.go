package hub

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/policy"
)

// A bundleKey says whose bundle it is.
type bundleKey struct{ server, principal string }

// A document is a signed bundle.
type document struct {
	text []byte
	tag  string // its ETag
}

// maxKept bounds the documents that one state keeps, in bytes.
const maxKept = 32 << 20

// documents are those of one state: what they say never changes. They are safe for concurrent use.
type documents struct {
	mu   sync.Mutex
	all  map[bundleKey]*document // guarded by mu
	size int                     // guarded by mu
}

func (d *documents) find(key bundleKey) *document {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all[key]
}

func (d *documents) keep(key bundleKey, doc *document) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil || d.size+len(doc.text) > maxKept {
		d.all, d.size = make(map[bundleKey]*document), 0
	}
	d.all[key] = doc
	d.size += len(doc.text)
}

// bundle is what this configuration, and what was approved and revoked, say about a server to a principal. A server that nobody
// has said anything about has an empty one.
func (s *state) bundle(key bundleKey) *uplink.Bundle {
	b := &uplink.Bundle{Server: key.server, Principal: key.principal, Layers: []uplink.Layer{}}
	own, ok := s.policy(key.server)
	if ok {
		b.Layers = append(b.Layers, uplink.AsLayer(policy.Layer{Label: "hub", Config: own}))
	}
	if override, ok := s.cfg.Clients[key.principal][key.server]; ok {
		b.Layers = append(b.Layers, uplink.AsLayer(own.Override("hub client "+key.principal, override)))
	}
	ruling := s.rulings[key.server]
	b.Pins = slices.SortedFunc(slices.Values(ruling.Pins), func(a, b uplink.ApprovalItem) int {
		return strings.Compare(a.Kind+"\x00"+a.Name, b.Kind+"\x00"+b.Name)
	})
	b.Revoked = slices.SortedFunc(slices.Values(ruling.Revoked), func(a, b uplink.Revocation) int { return strings.Compare(a.Tool, b.Tool) })
	return b
}

// policy returns that of an entry, whether the gateway serves it or not.
func (s *state) policy(server string) (policy.Config, bool) {
	if own, ok := s.cfg.Policies[server]; ok {
		return own, true
	}
	for i := range s.cfg.Servers {
		if s.cfg.Servers[i].Name == server {
			return s.cfg.Servers[i].Policy, true
		}
	}
	return policy.Config{}, false
}

// checkPolicies reports rules that no wrapper could follow: they would refuse the whole bundle.
func checkPolicies(cfg *Config) error {
	for name, own := range cfg.Policies {
		if err := own.Validate(); err != nil {
			return fmt.Errorf("policy of server %q: %w", name, err)
		}
	}
	for client, servers := range cfg.Clients {
		for name, override := range servers {
			if err := override.Validate(); err != nil {
				return fmt.Errorf("client %q, server %q: %w", client, name, err)
			}
		}
	}
	return nil
}

// document returns the signed bundle as it is now.
func (f *fleet) document(ctx context.Context, key bundleKey) (*document, error) {
	if d := f.hub.state.Load().documents.find(key); d != nil {
		return d, nil
	}
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	numbering := &f.numbering[maphash.Comparable(f.seed, key)%uint64(len(f.numbering))]
	numbering.Lock()
	defer numbering.Unlock()
	s := f.hub.state.Load() // under the lock: what an older state says never gets a higher serial than what this one says
	if d := s.documents.find(key); d != nil {
		return d, nil
	}
	b := s.bundle(key)
	content, err := uplink.Encode(b)
	if err != nil {
		return nil, err
	}
	if b.Serial, err = f.store.Serial(ctx, key.server, key.principal, content); err != nil {
		return nil, fmt.Errorf("number the bundle of server %q: %w", key.server, err)
	}
	d := &document{tag: `"` + strconv.FormatInt(b.Serial, 10) + "-" + f.mark + `"`}
	if d.text, err = uplink.Sign(f.key, b); err != nil {
		return nil, err
	}
	s.documents.keep(key, d)
	return d, nil
}

// servePolicy answers with the bundle of a server for the caller, or with a stream of this one and all that follow.
func (f *fleet) servePolicy(w *recorder, r *http.Request, c *caller, named []string) error {
	key := bundleKey{server: named[0], principal: c.Name}
	if err := c.about(key.server); err != nil {
		return err
	}
	if !f.names.allow(c.Name, key.server, time.Now()) {
		return tooMany("too many servers were asked about within an hour")
	}
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		return f.stream(w, r, c, key)
	}
	d, err := f.document(r.Context(), key)
	if err != nil {
		return stored(err, "")
	}
	w.Header().Set("ETag", d.tag)
	if tagged(r.Header, d.tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.Itoa(len(d.text)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(d.text) // the client may be gone
	return nil
}

// tagged reports whether the client has the document with this ETag (RFC 9110, section 13.1.2).
func tagged(h http.Header, tag string) bool {
	for _, line := range h["If-None-Match"] {
		for one := range strings.SplitSeq(line, ",") {
			one = strings.TrimSpace(one)
			if one == "*" || strings.TrimPrefix(one, "W/") == tag {
				return true
			}
		}
	}
	return false
}
