package uplink

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestLoadKeyMakesOneForAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "hub.key")
	keys := make([]ed25519.PrivateKey, 16)
	var group sync.WaitGroup
	for i := range keys {
		group.Go(func() {
			var err error
			if keys[i], err = LoadKey(path); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, key := range keys {
		if !key.Equal(keys[0]) {
			t.Fatal("two processes have different keys")
		}
	}
	if key, err := LoadKey(path); err != nil || !key.Equal(keys[0]) {
		t.Errorf("later: %v", err)
	}
	if document, err := Sign(keys[0], testBundle()); err != nil {
		t.Error(err)
	} else if _, err := Open(PublicKey(keys[0]), document); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	ecKey := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for _, row := range []struct{ name, text, want string }{
		{"empty", "", "not a PKCS#8 key"},
		{"not PEM", "s3cr3t", "not a PKCS#8 key"},
		{"broken", "-----BEGIN PRIVATE KEY-----\nczNjcjN0\n-----END PRIVATE KEY-----\n", "not a PKCS#8 key"},
		{"another kind of key", string(ecKey), "not Ed25519"},
		{"endless", strings.Repeat("x", maxKeyFile) + "\n" + string(ecKey), "not a PKCS#8 key"},
	} {
		path := filepath.Join(t.TempDir(), "hub.key")
		if err := os.WriteFile(path, []byte(row.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadKey(path)
		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", row.name, err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != row.text {
			t.Errorf("%s: the file was touched", row.name)
		}
	}
	if _, err := LoadKey(t.TempDir()); err == nil {
		t.Error("a folder is taken")
	}
}
