package wrap

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// revokedLabel is the layer of the tools that the hub has taken away.
const revokedLabel = "hub revoked"

// steering is what the hub has said that goes. The mutex guards it, and is held while a bundle is put into effect.
type steering struct {
	mu        sync.Mutex
	key       uplink.Key     // that bundles must be signed with; zero: not known yet
	principal string         // whom they must be for; "": whoever the first is for
	bundle    *uplink.Bundle // in effect; nil: none
	document  []byte         // the same, as it was signed
	refused   [sha256.Size]byte
}

// A ruling is what follows from a bundle.
type ruling struct {
	*uplink.Bundle
	engine   *policy.Engine
	approved []integrity.Approved
}

// serial is that of the bundle in effect; 0: none.
func (l *liaison) serial() int64 {
	l.steering.mu.Lock()
	defer l.steering.mu.Unlock()
	if l.steering.bundle == nil {
		return 0
	}
	return l.steering.bundle.Serial
}

func (l *liaison) steered() bool {
	l.steering.mu.Lock()
	defer l.steering.mu.Unlock()
	return l.steering.bundle != nil
}

// recall puts the kept bundle into effect.
func (l *liaison) recall() error {
	s := &l.steering
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == (uplink.Key{}) {
		key, err := PinnedKey(l.hub.Dir, l.hub.Destination)
		if err != nil {
			return err
		}
		s.key = key
	}
	path := l.bundlePath()
	document, err := readAtMost(path, uplink.MaxDocument)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("read the policy of the hub: %w", err)
	}
	r, err := l.check(document)
	if err != nil {
		l.refuse(document, fmt.Errorf("the bundle kept in %q is not used: %w", path, err))
		return nil
	}
	l.apply(r, document, "policy_kept")
	return nil
}

func (l *liaison) bundlePath() string {
	return BundlePath(l.hub.Dir, l.hub.Destination, l.hub.Principal, l.with.Server)
}

// keyKnown reports whether it is known with which key the hub signs.
func (l *liaison) keyKnown() bool {
	l.steering.mu.Lock()
	defer l.steering.mu.Unlock()
	return l.steering.key != (uplink.Key{})
}

// believe makes a key the one that the hub must sign with from now on, if there was none.
func (l *liaison) believe(shown uplink.Key) error {
	s := &l.steering
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key != (uplink.Key{}) {
		return nil // what it signs with another key is refused
	}
	key, err := pinKey(l.hub.Dir, l.hub.Destination, shown)
	if err != nil {
		return err
	}
	s.key = key
	return nil
}

// watch puts every bundle of the hub into effect until the hub has gone, which it reports, or ctx ends.
func (l *liaison) watch(ctx context.Context, client *uplink.Client) error {
	const steady = 10 * time.Second
	var retry backoff
	for ctx.Err() == nil {
		began, came := time.Now(), false
		err := client.Watch(ctx, l.with.Server, "", func(document []byte, _ string) {
			came = true
			l.heard(ctx, nil)
			if l.accept(document) == nil {
				l.trouble(aboutPolicy, nil)
				l.trouble(aboutBundle, nil)
			}
		})
		if !came {
			l.heard(ctx, err)
			l.trouble(aboutPolicy, err)
		}
		if !came && l.hasLeft(err) {
			return uplink.ErrNoHub
		}
		if time.Since(began) > steady {
			retry.reset() // such as a hub that was started again
		}
		pause(ctx, retry.next(err))
	}
	return ctx.Err()
}

// hasLeft reports whether it has to be looked for the hub anew. One on this machine is not at a fixed address, nor is its
// token the same after it was started again.
func (l *liaison) hasLeft(err error) bool {
	if errors.Is(err, uplink.ErrNoHub) {
		return true
	}
	status, refused := errors.AsType[*uplink.StatusError](err)
	return l.hub.Destination == audit.LocalHub && (!refused || status.Status == statusUnauthorized)
}

// statusUnauthorized is HTTP's 401.
const statusUnauthorized = 401

// accept puts a bundle into effect and keeps it, or says why it does not.
func (l *liaison) accept(document []byte) error {
	s := &l.steering
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes.Equal(document, s.document) {
		return nil
	}
	r, err := l.check(document)
	if err != nil {
		l.refuse(document, err)
		return err
	}
	l.apply(r, document, "policy_changed")
	path := l.bundlePath()
	if err := keep(path, document, os.Rename); err != nil {
		l.log.Warn().Err(err).Msg("the hub's policy is in effect, but cannot be kept for the next start")
	}
	l.commit()
	return nil
}

// check says what follows from a document, if it is to be believed. The steering's mutex is held.
func (l *liaison) check(document []byte) (*ruling, error) {
	s := &l.steering
	if s.key == (uplink.Key{}) {
		return nil, errors.New("the key of the hub is not known")
	}
	b, err := uplink.Open(s.key, document)
	switch {
	case errors.Is(err, uplink.ErrNewer):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w (the key is %s)", err, l.keyOrigin())
	case b.Server != l.with.Server:
		return nil, fmt.Errorf("it is for the server %q", b.Server)
	case b.Principal == "", s.principal != "" && b.Principal != s.principal:
		return nil, fmt.Errorf("it is for %q, and we are %q; if that has changed, remove %q", b.Principal, s.principal, l.bundlePath())
	case s.bundle != nil && b.Serial < s.bundle.Serial:
		return nil, fmt.Errorf("it is older (serial %d) than the one in effect (serial %d)", b.Serial, s.bundle.Serial)
	}
	engine, err := policy.Compile(l.hub.Rules, layers(b)...)
	if err != nil {
		return nil, err
	}
	r := &ruling{Bundle: b, engine: engine}
	for _, pin := range b.Pins {
		kind, err := integrity.ParseKind(pin.Kind)
		if err != nil {
			return nil, err
		}
		r.approved = append(r.approved, integrity.Approved{Target: integrity.Target{Kind: kind, Name: pin.Name}, Digest: pin.Digest})
	}
	return r, nil
}

// keyOrigin says where the key was said that bundles are signed with.
func (l *liaison) keyOrigin() string {
	if l.hub.Key != (uplink.Key{}) {
		return "that of `mcpx login` or of hub.key in the configuration; if the hub was set up anew, log in again"
	}
	return fmt.Sprintf("the first that the hub showed; if it was set up anew, remove %q", keyPath(l.hub.Dir, l.hub.Destination))
}

// layers are the rules of a bundle, by names that say whose they are.
func layers(b *uplink.Bundle) []policy.Layer {
	list := make([]policy.Layer, 0, len(b.Layers)+1)
	for _, layer := range b.Layers {
		if !strings.HasPrefix(layer.Label, "hub") {
			layer.Label = "hub " + layer.Label
		}
		list = append(list, layer.Rules())
	}
	var revoked policy.Config
	for _, r := range b.Revoked {
		revoked.DenyTools = append(revoked.DenyTools, policy.Literal(r.Tool))
	}
	if len(revoked.DenyTools) > 0 {
		list = append(list, policy.Layer{Label: revokedLabel, Config: revoked})
	}
	return list
}

// apply puts a ruling into effect: every message that is judged from now on goes by it. The steering's mutex is held.
func (l *liaison) apply(r *ruling, document []byte, reason string) {
	s := &l.steering
	before := s.bundle
	if before == nil {
		before = &uplink.Bundle{}
	}
	l.guard.SetRules(r.engine, l.with.Limit)
	if l.with.Pins != nil && l.with.Pins.SetApproved(r.approved) {
		l.with.Census.Doubt()
	}
	layersChanged := len(before.Layers)+len(r.Layers) > 0 && !reflect.DeepEqual(before.Layers, r.Layers)
	pinsChanged, revokedChanged := differences(before.Pins, r.Pins), differences(before.Revoked, r.Revoked)
	if layersChanged || pinsChanged+revokedChanged > 0 {
		l.guard.Wake()
	}
	s.bundle, s.document, s.principal, s.refused = r.Bundle, bytes.Clone(document), r.Principal, [sha256.Size]byte{}
	l.guard.Record(&audit.Event{Kind: audit.Lifecycle, Reason: reason, Detail: fmt.Appendf(nil,
		`{"serial":%d,"layers":%d,"shadow":%d,"pins":%d,"revoked":%d,"layers_changed":%t,"pins_changed":%d,"revoked_changed":%d}`,
		r.Serial, len(r.Layers), rehearsed(r.Layers), len(r.Pins), len(r.Revoked), layersChanged, pinsChanged, revokedChanged)})
	l.log.Debug().Int64("serial", r.Serial).Msg(reason)
	l.tell()
}

// refuse notes that a document is not believed, once for each. What was in effect stays. The steering's mutex is held.
func (l *liaison) refuse(document []byte, why error) {
	l.trouble(aboutBundle, fmt.Errorf("a bundle of the hub is refused: %w", why))
	sum := sha256.Sum256(document)
	if sum == l.steering.refused {
		return
	}
	l.steering.refused = sum
	detail := jsonrpc.AppendString([]byte(`{"why":`), []byte(bounded(why.Error())))
	l.guard.Record(&audit.Event{Kind: audit.Anomaly, Reason: "bundle_refused", Detail: append(detail, '}')})
	l.commit()
}

// commit brings what the liaison recorded to the log.
func (l *liaison) commit() {
	if err := l.with.Log.Commit(); err != nil {
		l.log.Error().Err(err).Msg("what the hub said is not recorded")
	}
}

// rehearsed counts the layers in shadow mode.
func rehearsed(layers []uplink.Layer) int {
	n := 0
	for _, l := range layers {
		if l.Mode == uplink.ModeShadow {
			n++
		}
	}
	return n
}

// differences counts what is in one list only.
func differences[T comparable](before, after []T) int {
	count := make(map[T]int, len(before))
	for _, v := range before {
		count[v] = 1
	}
	for _, v := range after {
		count[v] |= 2
	}
	n := 0
	for _, in := range count {
		if in != 3 {
			n++
		}
	}
	return n
}
