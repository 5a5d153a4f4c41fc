package main

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// Of the rules that are kept of a hub, the doctor names those that deny nothing for now.
func TestDoctorTellsWhatAHubRehearses(t *testing.T) {
	state := t.TempDir()
	t.Setenv(stateVariable, state)
	t.Setenv(configVariable, "")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Chdir(t.TempDir())
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	write := func(name string, text []byte) {
		t.Helper()
		path := filepath.Join(state, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(audit.LocalHub+".key", []byte(uplink.PublicKey(key).String()+"\n"))
	for name, shadow := range map[string]bool{"files": true, "strict": false} {
		document, err := uplink.Sign(key, &uplink.Bundle{
			Server: name, Principal: uplink.LocalPrincipal, Serial: 1, Pins: []uplink.ApprovalItem{}, Revoked: []uplink.Revocation{},
			Layers: []uplink.Layer{uplink.AsLayer(policy.Layer{Label: "hub", Config: policy.Config{ReadOnly: true, Shadow: shadow}})},
		})
		if err != nil {
			t.Fatal(err)
		}
		write(filepath.Join("bundles", name+".bundle"), document)
	}
	var lines []string
	for _, f := range new(app).checkBundles(t.Context()) {
		lines = append(lines, f.Severity+" "+f.What)
	}
	want := "ok kept and signed, for files, strict\nnote in shadow mode at the hub, so that nothing is denied by its rules: files"
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
