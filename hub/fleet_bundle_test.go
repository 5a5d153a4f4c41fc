package hub_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/policy"
)

// open gets a bundle and verifies it.
func (g *team) open(c *uplink.Client, server string) (*uplink.Bundle, string) {
	g.t.Helper()
	document, tag, err := c.Policy(g.t.Context(), server, "")
	if err != nil {
		g.t.Fatal(err)
	}
	b, err := uplink.Open(g.key, document)
	if err != nil {
		g.t.Fatal(err)
	}
	return b, tag
}

func labels(b *uplink.Bundle) string {
	var all []string
	for _, l := range b.Layers {
		all = append(all, l.Label)
	}
	return strings.Join(all, ", ")
}

func TestBundleSaysWhatTheConfigurationSays(t *testing.T) {
	b := newBackend(t)
	cfg := config(hub.Server{Name: "served", URL: b.URL, Policy: policy.Config{DenyTools: []string{"served_*"}}})
	cfg.Policies = map[string]policy.Config{"files": {ReadOnly: true}}
	cfg.Clients = map[string]map[string]policy.Override{"ann": {"files": {DenyTools: []string{"write"}}, "served": {ReadOnly: true}}}
	g := startTeam(t, cfg)
	ann, bob := g.clientOf(g.token(store.Token{Name: "ann"})), g.clientOf(g.token(store.Token{Name: "bob"}))
	for _, row := range []struct {
		name, server, want string
		client             *uplink.Client
	}{
		{"an entry for wrappers only", "files", "hub", bob},
		{"and with an override", "files", "hub, hub client ann", ann},
		{"a server of the gateway", "served", "hub", bob},
		{"and with an override", "served", "hub, hub client ann", ann},
		{"a server that nobody knows", "github@1f2e", "", bob},
	} {
		bundle, _ := g.open(row.client, row.server)
		if got := labels(bundle); got != row.want || bundle.Server != row.server {
			t.Errorf("%s: layers %q, want %q", row.name, got, row.want)
		}
	}
	bundle, tag := g.open(ann, "files")
	if !bundle.Layers[0].Policy.ReadOnly || bundle.Principal != "ann" || !slices.Equal(bundle.Layers[1].Policy.DenyTools, []string{"write"}) {
		t.Errorf("bundle %+v", bundle)
	}
	if again, same := g.open(ann, "files"); again.Serial != bundle.Serial || same != tag {
		t.Errorf("asked again: serial %d, not %d", again.Serial, bundle.Serial)
	}
	if document, _, err := ann.Policy(t.Context(), "files", tag); err != nil || document != nil {
		t.Errorf("with its ETag: %q, %v", document, err)
	}
	if err := g.hub.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if same, _ := g.open(ann, "files"); same.Serial != bundle.Serial {
		t.Error("a reload that changes nothing changes the serial")
	}
	cfg.Policies = nil
	if err := g.hub.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if next, _ := g.open(ann, "files"); next.Serial <= bundle.Serial || labels(next) != "hub client ann" {
		t.Errorf("after a reload: %+v, before: %+v", next, bundle)
	}
}

// A server in shadow mode is rehearsed by the whole fleet, its overrides too; what was revoked is not called all the same.
func TestShadowOfTheHubReachesWrappers(t *testing.T) {
	cfg := config()
	cfg.Policies = map[string]policy.Config{"files": {DenyTools: []string{"rm"}, Shadow: true}}
	cfg.Clients = map[string]map[string]policy.Override{"ann": {"files": {DenyTools: []string{"write"}}}}
	g := startTeam(t, cfg)
	if err := g.client().Revoke(t.Context(), "files", uplink.Revocation{Tool: "gone"}); err != nil {
		t.Fatal(err)
	}
	ann := g.clientOf(g.token(store.Token{Name: "ann"}))
	rehearsed, _ := g.open(ann, "files")
	cfg.Policies["files"] = policy.Config{DenyTools: []string{"rm"}}
	if err := g.hub.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	enforced, _ := g.open(ann, "files")
	for _, row := range []struct {
		bundle *uplink.Bundle
		shadow bool
	}{{rehearsed, true}, {enforced, false}} {
		var layers []policy.Layer
		for _, l := range row.bundle.Layers {
			layers = append(layers, l.Rules())
		}
		engine, err := policy.Compile(policy.Config{}, layers...)
		if err != nil {
			t.Fatal(err)
		}
		for _, tool := range []string{"rm", "write"} {
			if d := engine.Call([]byte(tool), nil); d.Shadow != row.shadow || d.Allow != row.shadow {
				t.Errorf("%s: %+v, shadow %v", tool, d, row.shadow)
			}
		}
		if len(row.bundle.Revoked) != 1 {
			t.Errorf("revoked: %+v", row.bundle.Revoked)
		}
	}
	if enforced.Serial <= rehearsed.Serial {
		t.Errorf("serial %d after %d", enforced.Serial, rehearsed.Serial)
	}
}

// A watched stream hands out the bundles that come.
type watchedStream struct {
	bundles chan *uplink.Bundle
	ended   chan error
}

func (g *team) watch(c *uplink.Client, server, tag string) *watchedStream {
	g.t.Helper()
	s := &watchedStream{bundles: make(chan *uplink.Bundle, 16), ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.ended <- c.Watch(ctx, server, tag, func(document []byte, _ string) {
			b, err := uplink.Open(g.key, document)
			if err != nil {
				g.t.Errorf("a bundle cannot be opened: %v", err)
				return
			}
			s.bundles <- b
		})
	}()
	g.t.Cleanup(func() { cancel(); <-over })
	return s
}

// next returns the next bundle, which has a second to come.
func (s *watchedStream) next(t *testing.T, within time.Duration) *uplink.Bundle {
	t.Helper()
	select {
	case b := <-s.bundles:
		return b
	case err := <-s.ended:
		t.Fatalf("the stream has ended: %v", err)
	case <-time.After(within):
		t.Fatalf("no bundle within %v", within)
	}
	return nil
}

func TestEveryChangeIsStreamedWithinASecond(t *testing.T) {
	cfg := config()
	g := startTeam(t, cfg)
	laptop := g.clientOf(g.token(store.Token{Name: "laptop"}))
	s := g.watch(laptop, "files", "")
	serial := s.next(t, 5*time.Second).Serial
	local := g.client()
	definition, digest := toolOf(t, "read", "reads")
	seen := uplink.Sightings{Server: "files", Host: "h", Items: []uplink.Sighting{{Kind: "tool", Name: "read", Digest: digest, Definition: uplink.RawJSON(definition)}}}
	if err := laptop.Propose(t.Context(), seen); err != nil {
		t.Fatal(err)
	}
	changes := []struct {
		name string
		make func() error
		want func(*uplink.Bundle) bool
	}{
		{"a reload", func() error {
			cfg.Policies = map[string]policy.Config{"files": {ReadOnly: true}}
			return g.hub.Reload(cfg)
		}, func(b *uplink.Bundle) bool { return len(b.Layers) == 1 && b.Layers[0].Policy.ReadOnly }},
		{"an approval", func() error {
			return local.Approve(t.Context(), "files", uplink.Approval{Items: []uplink.ApprovalItem{{Kind: "tool", Name: "read", Digest: digest}}})
		}, func(b *uplink.Bundle) bool { return len(b.Pins) == 1 && b.Pins[0].Digest == digest }},
		{"a revocation", func() error {
			return local.Revoke(t.Context(), "files", uplink.Revocation{Tool: "rm -rf /", Reason: "no"})
		}, func(b *uplink.Bundle) bool { return len(b.Revoked) == 1 && b.Revoked[0].Tool == "rm -rf /" }},
		{"its end", func() error { return local.Restore(t.Context(), "files", "rm -rf /") },
			func(b *uplink.Bundle) bool { return len(b.Revoked) == 0 }},
	}
	for _, change := range changes {
		if err := change.make(); err != nil {
			t.Fatalf("%s: %v", change.name, err)
		}
		b := s.next(t, time.Second)
		if !change.want(b) || b.Serial <= serial {
			t.Errorf("after %s: %+v, before: serial %d", change.name, b, serial)
		}
		serial = b.Serial
	}
	// What another process does in the store is found too.
	if err := g.store.Revoke(t.Context(), "files", uplink.Revocation{Tool: "write", By: "somebody", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if b := s.next(t, 5*time.Second); len(b.Revoked) != 1 {
		t.Errorf("after another process's revocation: %+v", b)
	}
	for _, reason := range []string{"pin_approved", "tool_revoked", "tool_restored"} {
		if !strings.Contains(g.record.String(), `"server":"files","client":"local",`) || !strings.Contains(g.record.String(), `"reason":"`+reason+`"`) {
			t.Errorf("%s is not recorded:\n%s", reason, g.record)
		}
	}
	if got := g.metric("mcpx_policy_streams_open"); got != "1" {
		t.Errorf("%s streams are open", got)
	}
}

func TestStreamLeavesOutWhatTheClientHas(t *testing.T) {
	g := startTeam(t, config())
	c := g.client()
	_, tag := g.open(c, "files")
	s := g.watch(c, "files", tag)
	eventually(t, "a stream", func() bool { return g.metric("mcpx_policy_streams_open") == "1" })
	if err := c.Revoke(t.Context(), "files", uplink.Revocation{Tool: "write"}); err != nil {
		t.Fatal(err)
	}
	if b := s.next(t, time.Second); len(b.Revoked) != 1 {
		t.Errorf("the first that comes is %+v", b)
	}
}

func TestStreamEndsWithItsToken(t *testing.T) {
	g := startTeam(t, config())
	s := g.watch(g.clientOf(g.token(store.Token{Name: "laptop"})), "files", "")
	s.next(t, 5*time.Second)
	if err := g.store.RevokeToken(t.Context(), "laptop"); err != nil {
		t.Fatal(err)
	}
	if err := g.client().Revoke(t.Context(), "files", uplink.Revocation{Tool: "write"}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.ended:
	case b := <-s.bundles:
		t.Errorf("who has no token any more is told %+v", b)
	case <-time.After(5 * time.Second):
		t.Error("the stream goes on")
	}
}

func TestStreamEndsWithTheHub(t *testing.T) {
	g := startTeam(t, config())
	s := g.watch(g.client(), "files", "")
	s.next(t, 5*time.Second)
	began := time.Now()
	g.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if err := <-s.ended; err == nil {
		t.Error("the stream has no end")
	}
}

func TestStreamsOfOnePrincipalAreBounded(t *testing.T) {
	g := startTeam(t, config())
	laptop := g.token(store.Token{Name: "laptop"})
	stream := func() string {
		c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, "GET /v1/policy/files HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n%s\r\n\r\n", laptop)
		status, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	for i := range 1000 {
		if got := stream(); !strings.Contains(got, " 200 ") {
			t.Fatalf("stream %d: %s", i, got)
		}
	}
	if got := stream(); !strings.Contains(got, " 429 ") {
		t.Errorf("one too many: %s", got)
	}
}
