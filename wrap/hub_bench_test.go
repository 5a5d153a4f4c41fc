package wrap

import (
	"crypto/ed25519"
	"os"
	"testing"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// BenchmarkKeptBundle is what a start costs more for the rules of a hub that was there before.
func BenchmarkKeptBundle(b *testing.B) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	document, err := uplink.Sign(key, &uplink.Bundle{
		Server: "srv", Principal: uplink.LocalPrincipal, Serial: 1,
		Layers: []uplink.Layer{{Label: "hub", Policy: policy.Config{DenyTools: []string{"rm", "write_*"}}}},
		Pins:   []uplink.ApprovalItem{{Kind: "tool", Name: "echo", Digest: "d"}}, Revoked: []uplink.Revocation{{Tool: "old"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	if err := keep(BundlePath(dir, audit.LocalHub, "", "srv"), document, os.Rename); err != nil {
		b.Fatal(err)
	}
	off := false
	log, err := audit.Open(audit.Options{Config: audit.Config{Enabled: &off}})
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	engine, err := policy.Compile(policy.Config{})
	if err != nil {
		b.Fatal(err)
	}
	opt := Options{
		Guard: policy.GuardOptions{Server: "srv", Engine: engine, Log: log, Census: policy.NewCensus(0)},
		Hub:   &Hub{Destination: audit.LocalHub, Dir: dir, Key: uplink.PublicKey(key)},
		Log:   zerolog.Nop(),
	}
	guard, err := policy.NewGuard(opt.Guard)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		l, err := opt.newLiaison(b.Context(), guard)
		if err != nil || !l.steered() {
			b.Fatal("the kept bundle is not in effect:", err)
		}
	}
}
