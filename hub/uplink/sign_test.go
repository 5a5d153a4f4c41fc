package uplink

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/policy"
)

// testKey returns a key that is the same in every run, so that fuzzing can repeat what it found.
func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func testBundle() *Bundle {
	return &Bundle{
		Server: "files", Principal: "ann", Serial: 7,
		Layers: []Layer{
			{Label: "hub", Policy: policy.Config{AllowTools: []string{"read_*"}, ToolRules: map[string]policy.ToolRule{
				"read_file": {Args: map[string]policy.Constraint{"size": {Max: "100000000000000000000.50"}, "mode": {OneOf: policy.Scalars{`"<&>"`, "1e2"}}}},
			}}},
			{Label: "hub client ann", Policy: policy.Config{}},
		},
		Pins:    []ApprovalItem{{"tool", "read_file", "sha256:aa"}, {"prompt", "read_file", "sha256:bb"}, {"instructions", "", "sha256:cc"}},
		Revoked: []Revocation{{Tool: "write_file", Reason: "CVE", By: "bob", At: time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC)}},
	}
}

// forge signs a line as Sign does, whatever it holds.
func forge(key ed25519.PrivateKey, line string) []byte {
	return []byte(line + "\n" + base64.StdEncoding.EncodeToString(ed25519.Sign(key, []byte("mcpx bundle v1\n"+line))))
}

func TestOpenReadsWhatSignMade(t *testing.T) {
	key := testKey(1)
	for _, b := range []*Bundle{testBundle(), {Server: "fs@0a1b2c3d", Principal: "local", Serial: 1, Layers: []Layer{}, Pins: []ApprovalItem{}, Revoked: []Revocation{}}} {
		document, err := Sign(key, b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Open(PublicKey(key), document)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b, got); diff != "" {
			t.Error(diff)
		}
		if again, err := Sign(key, got); err != nil || !bytes.Equal(again, document) {
			t.Errorf("signed again it is %s, %v", again, err)
		}
	}
	if document, err := Sign(key, &Bundle{Server: "s", Principal: "p", Serial: 1}); err != nil {
		t.Error("none of a list:", err)
	} else if _, err := Open(PublicKey(key), document); err != nil {
		t.Error("none of a list:", err)
	}
}

func TestEveryByteOfADocumentCounts(t *testing.T) {
	key := testKey(1)
	document, err := Sign(key, testBundle())
	if err != nil {
		t.Fatal(err)
	}
	for i := range document {
		for _, flip := range []byte{1, 0x20, 0x80} {
			other := bytes.Clone(document)
			other[i] ^= flip
			if _, err := Open(PublicKey(key), other); err == nil {
				t.Fatalf("byte %d of %d can be %q", i, len(document), other[i])
			}
		}
		if _, err := Open(PublicKey(key), document[:i]); err == nil {
			t.Fatalf("cut off at %d it is opened", i)
		}
	}
	for _, junk := range []string{"\n", " ", "\r\n", "A", "\n{}", "\x00"} {
		if _, err := Open(PublicKey(key), append(bytes.Clone(document), junk...)); err == nil {
			t.Errorf("with %q behind it is opened", junk)
		}
		if _, err := Open(PublicKey(key), append([]byte(junk), document...)); err == nil {
			t.Errorf("with %q before it is opened", junk)
		}
	}
}

func TestOpenWantsThePinnedKey(t *testing.T) {
	document, err := Sign(testKey(1), testBundle())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(PublicKey(testKey(2)), document); err == nil || errors.Is(err, ErrNewer) {
		t.Errorf("another key: %v", err)
	}
	// A point of small order, as which Ed25519 reads a zero key: a quarter of all messages "verify" with this signature.
	line, rest, _ := strings.Cut(string(document), "\n")
	signature := make([]byte, ed25519.SignatureSize)
	signature[0] = 1
	if len(rest) != base64.StdEncoding.EncodedLen(len(signature)) {
		t.Fatal("signature has another length")
	}
	for range 64 {
		line += " " // white space changes what is signed, and not what is read
		if _, err := Open(Key{}, []byte(line+"\n"+base64.StdEncoding.EncodeToString(signature))); err == nil {
			t.Fatal("a forged document is opened with a key that nobody set")
		}
	}
	// What else the hub's key may have signed is no bundle.
	bare := base64.StdEncoding.EncodeToString(ed25519.Sign(testKey(1), []byte(strings.TrimSpace(line))))
	if _, err := Open(PublicKey(testKey(1)), []byte(strings.TrimSpace(line)+"\n"+bare)); err == nil {
		t.Error("a signature of something else is taken")
	}
}

func TestOpenFailsClosed(t *testing.T) {
	key := testKey(1)
	whole := func(members string) string {
		base := `"server":"s","principal":"p","serial":1`
		for _, list := range []string{"layers", "pins", "revoked"} {
			if !strings.Contains(members, `"`+list+`"`) {
				base += `,"` + list + `":[]`
			}
		}
		return "{" + base + members + "}"
	}
	layer := func(policy string) string { return whole(`,"layers":[{"label":"hub","policy":` + policy + `}]`) }
	if _, err := Open(PublicKey(key), forge(key, whole(""))); err != nil {
		t.Fatal("the table tests nothing: ", err)
	}
	for _, row := range []struct {
		name, line string
		newer      bool
	}{
		{"member of a newer hub", whole(`,"quarantine":true`), true},
		{"member of a layer of a newer hub", whole(`,"layers":[{"label":"hub","policy":{},"until":"noon"}]`), true},
		{"rule of a newer hub", layer(`{"deny_senders":["x"]}`), true},
		{"constraint of a newer hub", layer(`{"tool_rules":{"t":{"args":{"a":{"not_in":["x"]}}}}}`), true},
		{"value of a newer hub", layer(`{"on_deny":"silence"}`), true},
		{"pattern that does not compile", layer(`{"deny_tools":["["]}`), true},
		{"rule that asks for nothing", layer(`{"tool_rules":{"t":{}}}`), true},
		{"pin of a newer kind", whole(`,"pins":[{"kind":"resource","name":"x","digest":"d"}]`), true},
		{"pin twice", whole(`,"pins":[{"kind":"tool","name":"x","digest":"d"},{"kind":"tool","name":"x","digest":"e"}]`), true},
		{"pin without digest", whole(`,"pins":[{"kind":"tool","name":"x","digest":""}]`), true},
		{"revocation of nothing", whole(`,"revoked":[{"tool":""}]`), true},
		{"revocation of what no policy can name", whole(`,"revoked":[{"tool":"a\u202eb"}]`), true},
		{"mode of a newer hub", whole(`,"layers":[{"label":"hub","policy":{},"mode":"loose"}]`), false},
		{"label that hides something", whole(`,"layers":[{"label":"hub\u202e","policy":{}}]`), true},
		{"member twice", whole(`,"revoked":[{"tool":"x"}],"revoked":[]`), false},
		{"member in other case", whole(`,"Serial":9`), true},
		{"null as a policy", layer(`null`), false},
		{"null as a flag", layer(`{"read_only":null}`), false},
		{"null as a list", whole(`,"revoked":null`), false},
		{"list left out", `{"server":"s","principal":"p","serial":1,"layers":[],"pins":[]}`, true},
		{"no server", `{"principal":"p","serial":1,"layers":[],"pins":[],"revoked":[]}`, true},
		{"no principal", `{"server":"s","serial":1,"layers":[],"pins":[],"revoked":[]}`, true},
		{"no serial", `{"server":"s","principal":"p","layers":[],"pins":[],"revoked":[]}`, true},
		{"serial that is no whole number", `{"server":"s","principal":"p","serial":1.5,"layers":[],"pins":[],"revoked":[]}`, true},
		{"not UTF-8", whole(`,"revoked":[{"tool":"` + "\xff" + `"}]`), false},
		{"two documents", whole("") + whole(""), false},
		{"no object", `[]`, false},
		{"nothing", ``, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			b, err := Open(PublicKey(key), forge(key, row.line))
			if err == nil {
				t.Fatalf("opened as %+v", b)
			}
			if row.newer && !errors.Is(err, ErrNewer) {
				t.Errorf("%v does not say what to do", err)
			}
		})
	}
}

func TestSignRefusesWhatNobodyOpens(t *testing.T) {
	for _, row := range []struct {
		name  string
		spoil func(*Bundle)
	}{
		{"serial", func(b *Bundle) { b.Serial = 0 }},
		{"server", func(b *Bundle) { b.Server = "../x" }},
		{"policy", func(b *Bundle) { b.Layers[0].Policy.DenyTools = []string{"["} }},
		{"label", func(b *Bundle) { b.Layers[0].Label = "a\nb" }},
		{"mode", func(b *Bundle) { b.Layers[0].Mode = "loose" }},
		{"text that JSON cannot carry", func(b *Bundle) { b.Revoked[0].Reason = "\xff" }},
		{"size", func(b *Bundle) { b.Revoked[0].Reason = strings.Repeat("x", MaxDocument) }},
	} {
		b := testBundle()
		row.spoil(b)
		if document, err := Sign(testKey(1), b); err == nil {
			t.Errorf("%s: signed as %.100s", row.name, document)
		}
	}
	if _, err := Sign(nil, testBundle()); err == nil {
		t.Error("signed without a key")
	}
}

func TestKeyAsText(t *testing.T) {
	key := PublicKey(testKey(1))
	if got, err := ParseKey(key.String()); err != nil || got != key {
		t.Errorf("got %v, %v", got, err)
	}
	data, err := Encode(Identity{Key: key, Principal: "ann"})
	if err != nil || !strings.Contains(string(data), `"key":"`+key.String()+`"`) {
		t.Errorf("in JSON: %s, %v", data, err)
	}
	var id Identity
	if err := Decode(data, &id); err != nil || id.Key != key {
		t.Errorf("from JSON: %v, %v", id, err)
	}
	for _, text := range []string{
		"", "ed25519:", strings.TrimPrefix(key.String(), "ed25519:"), key.String() + "=", key.String() + "\n", key.String()[:50],
		strings.ToUpper(key.String()), Key{}.String(), " " + key.String(), strings.Replace(key.String(), ":", ":\n", 1),
	} {
		if k, err := ParseKey(text); err == nil {
			t.Errorf("%q is read as %v", text, k)
		}
	}
}

func FuzzKey(f *testing.F) {
	f.Add(PublicKey(testKey(1)).String())
	f.Add("ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := ParseKey(text); err == nil && k.String() != text {
			t.Errorf("%q is another spelling of %s", text, k)
		}
	})
}

// Whatever is signed: what is opened can be signed again, and is then the same.
func FuzzOpen(f *testing.F) {
	key := testKey(1)
	if document, err := Sign(key, testBundle()); err != nil {
		f.Fatal(err)
	} else {
		f.Add(document, false)
		line, _, _ := bytes.Cut(document, []byte{'\n'})
		f.Add(line, true)
	}
	f.Add([]byte(`{"server":"s","principal":"p","serial":1,"layers":[{"label":"x","policy":{"tool_rules":{"t":{"args":{"a":{"one_of":1e2}}}}}}],"pins":[],"revoked":[]}`), true)
	f.Add([]byte(`{"server":"s","principal":"p","serial":1,"layers":[],"pins":[],"revoked":[{"tool":"x","at":"2026-01-01T00:00:00.000000001+01:00"}]}`), true)
	f.Fuzz(func(t *testing.T, data []byte, sign bool) {
		if sign {
			data = forge(key, string(data))
		}
		b, err := Open(PublicKey(key), data)
		if err != nil {
			return
		}
		document, err := Sign(key, b)
		if err != nil {
			t.Fatalf("opened and not signed again: %v", err)
		}
		again, err := Open(PublicKey(key), document)
		if err != nil {
			t.Fatalf("signed and not opened: %v", err)
		}
		for i := range b.Revoked { // the zone of a time may be named or not
			if !b.Revoked[i].At.Equal(again.Revoked[i].At) {
				t.Errorf("%v became %v", b.Revoked[i].At, again.Revoked[i].At)
			}
			b.Revoked[i].At = again.Revoked[i].At
		}
		if !reflect.DeepEqual(again, b) {
			t.Error(cmp.Diff(b, again))
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	key := testKey(1)
	document, err := Sign(key, testBundle())
	if err != nil {
		b.Fatal(err)
	}
	public := PublicKey(key)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(public, document); err != nil {
			b.Fatal(err)
		}
	}
}
