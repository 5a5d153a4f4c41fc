package uplink

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const (
	// signedAs stands before what is signed, so that no signature of something else is one of a bundle.
	signedAs  = "mcpx bundle v1\n"
	keyPrefix = "ed25519:"
)

// A Key is the public half of a hub's Ed25519 key. As text, in JSON too, it is ed25519:BASE64URL.
type Key [ed25519.PublicKeySize]byte

// PublicKey returns the public half of a key.
func PublicKey(key ed25519.PrivateKey) Key {
	var k Key
	if public, ok := key.Public().(ed25519.PublicKey); ok {
		copy(k[:], public)
	}
	return k
}

// String returns the key as text.
func (k Key) String() string { return keyPrefix + base64.RawURLEncoding.EncodeToString(k[:]) }

// IsZero reports whether the key was never set. No signature is valid under such a key.
func (k Key) IsZero() bool { return k == Key{} }

// MarshalText is String.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is ParseKey.
func (k *Key) UnmarshalText(text []byte) error {
	parsed, err := ParseKey(string(text))
	if err == nil {
		*k = parsed
	}
	return err
}

// ParseKey reads what String returns.
func ParseKey(text string) (Key, error) {
	var k Key
	encoded, ok := strings.CutPrefix(text, keyPrefix)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || len(raw) != len(k) || strings.ContainsAny(encoded, "\r\n") {
		return Key{}, errors.New("the key of a hub is " + keyPrefix + " and 43 characters of base64url")
	}
	copy(k[:], raw)
	if k.IsZero() {
		return Key{}, errors.New("the key of the hub is all zero, which is none")
	}
	return k, nil
}

// Sign makes a signed document of a bundle.
func Sign(key ed25519.PrivateKey, b *Bundle) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("sign bundle: there is no key")
	}
	whole := *b // what is none is sent as an empty list
	whole.Layers = append([]Layer{}, b.Layers...)
	whole.Pins = append([]ApprovalItem{}, b.Pins...)
	whole.Revoked = append([]Revocation{}, b.Revoked...)
	if err := whole.check(); err != nil {
		return nil, fmt.Errorf("sign bundle of %q: %w", b.Server, err)
	}
	line, err := Encode(&whole)
	if err != nil {
		return nil, fmt.Errorf("sign bundle of %q: %w", b.Server, err)
	}
	document := append(line, '\n')
	document = base64.StdEncoding.AppendEncode(document, ed25519.Sign(key, signedText(line)))
	if len(document) > MaxDocument {
		return nil, fmt.Errorf("sign bundle of %q: it would have %d bytes, and wrappers take %d", b.Server, len(document), MaxDocument)
	}
	return document, nil
}

// ErrNewer is the error of a document that the hub has signed and this version cannot follow to the letter.
var ErrNewer = errors.New("it was made by a newer hub: update mcpx")

// Open reads a signed document: the signature first, then the bundle, strictly: a member that this version does not know makes
// it unusable, since what it restricts would not be restricted.
func Open(key Key, document []byte) (*Bundle, error) {
	line, err := signed(key, document)
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	if err := notNull(line); err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	var b Bundle
	if err := Decode(line, &b); err != nil {
		return nil, fmt.Errorf("open bundle: %w: %w", ErrNewer, err)
	}
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("open bundle: %w: %w", ErrNewer, err)
	}
	return &b, nil
}

// signed returns the line of a document that the key has signed.
func signed(key Key, document []byte) ([]byte, error) {
	if len(document) > MaxDocument {
		return nil, fmt.Errorf("it has %d bytes, and at most %d are taken", len(document), MaxDocument)
	}
	if key.IsZero() {
		return nil, errors.New("there is no key to verify it with")
	}
	line, encoded, ok := bytes.Cut(document, []byte{'\n'})
	if !ok || len(encoded) != base64.StdEncoding.EncodedLen(ed25519.SignatureSize) || bytes.ContainsAny(encoded, "\r\n") {
		return nil, errors.New("it is not one line and its signature")
	}
	signature, err := base64.StdEncoding.Strict().AppendDecode(nil, encoded)
	if err != nil {
		return nil, errors.New("its signature is not base64")
	}
	if !ed25519.Verify(key[:], signedText(line), signature) {
		return nil, fmt.Errorf("it is not signed by the hub with the key %s", key)
	}
	return line, nil
}

func signedText(line []byte) []byte { return append([]byte(signedAs), line...) }
