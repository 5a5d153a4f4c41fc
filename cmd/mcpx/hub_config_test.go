package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/auth"
)

// TestEveryKeyReachesTheHub looks for a field of hub.Config that no full configuration sets.
func TestEveryKeyReachesTheHub(t *testing.T) {
	t.Setenv("DATA", "/data")
	t.Setenv("TOKEN", "s3cret")
	set := map[string]bool{}
	for _, file := range []string{"good.yaml", "oauth.yaml"} { // what excludes each other stands in two files
		c, err := readConfig("testdata/config/" + file)
		if err != nil {
			t.Fatal(err)
		}
		cfg, unserved, err := c.gateway()
		if err != nil {
			t.Fatal(err)
		}
		noteSet(reflect.ValueOf(cfg), "hub.Config", set)
		if want := []string{"rules-only"}; file == "good.yaml" && !cmp.Equal(want, unserved) {
			t.Errorf("not served: %q, want %q", unserved, want)
		}
		for _, s := range cfg.Servers {
			if s.URL == "" && s.Command == "" {
				t.Errorf("%s is served", s.Name)
			}
		}
	}
	for path, isSet := range set {
		if !isSet {
			t.Errorf("%s is never set", path)
		}
	}
	if len(set) < 40 {
		t.Errorf("looked at %d fields only", len(set))
	}
}

// noteSet notes which fields are set somewhere, those of list entries and map values together.
func noteSet(v reflect.Value, path string, set map[string]bool) {
	set[path] = set[path] || !v.IsZero()
	switch v.Kind() {
	case reflect.Struct:
		if !strings.Contains(v.Type().PkgPath(), "/mcpx/hub") {
			return // the configuration of another package, passed on whole
		}
		for i := range v.NumField() {
			noteSet(v.Field(i), path+"."+v.Type().Field(i).Name, set)
		}
	case reflect.Slice:
		for i := range v.Len() {
			noteSet(v.Index(i), path+"[]", set)
		}
	default:
	}
}

func TestSecretsReachTheHubUnmasked(t *testing.T) {
	t.Setenv("DATA", "/data")
	t.Setenv("TOKEN", "s3cret")
	c, err := readConfig("testdata/config/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cfg, _, err := c.gateway()
	if err != nil {
		t.Fatal(err)
	}
	want := []auth.Client{{Name: "ci-bot", Token: "s3cret"}, {Name: "analyst", Token: "file-token"}}
	if diff := cmp.Diff(want, cfg.Auth.Clients); diff != "" {
		t.Errorf("clients (-want +got):\n%s", diff)
	}
	if got := cfg.Servers[1].Headers["Authorization"]; got != "Bearer s3cret" {
		t.Errorf("the upstream gets %q", got)
	}
}

func TestHubRefusesWebSocket(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mcpx.yaml")
	text := "servers:\n  - { name: fine, url: 'http://localhost:1/mcp' }\n  - name: live\n    url: wss://mcp.example.com/\n    transport: websocket\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := readConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = c.gateway()
	bad, ok := errors.AsType[*configError](err)
	if !ok || len(bad.Problems) != 1 || bad.Problems[0].Line != 5 || bad.Problems[0].Path != "servers[1].transport" {
		t.Errorf("got %v, want one problem in line 5", err)
	}
}

func TestExposureIsKnown(t *testing.T) {
	for listen, want := range map[string]bool{
		"127.0.0.1:8080": false, "localhost:8080": false, "[::1]:8080": false, "127.9.9.9:1": false,
		":8080": true, "0.0.0.0:8080": true, "[::]:8080": true, "192.168.1.7:80": true, "example.com:80": true, "nonsense": true,
	} {
		for _, guard := range []struct {
			name string
			cfg  hub.Config
			safe bool
		}{
			{"nothing", hub.Config{}, false},
			{"TLS alone", hub.Config{TLS: hub.TLS{CertFile: "c", KeyFile: "k"}}, false},
			{"auth", hub.Config{Auth: auth.Config{Enabled: true}}, true},
			{"mutual TLS", hub.Config{TLS: hub.TLS{CertFile: "c", KeyFile: "k", ClientCAFile: "ca"}}, true},
		} {
			guard.cfg.Listen = listen
			if got := exposed(guard.cfg); got != (want && !guard.safe) {
				t.Errorf("%s with %s: exposed is %v", listen, guard.name, got)
			}
		}
	}
}
