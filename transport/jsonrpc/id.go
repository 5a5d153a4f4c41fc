package jsonrpc

import (
	"bytes"
	"slices"
)

const (
	maxIDLength  = 256                // bytes of a string id, unescaped
	maxSafeDigit = "9007199254740991" // 2^53-1, the largest integer that every peer keeps exactly
)

// An ID is the raw token of a request id: a JSON string or an integer. The zero ID is none.
type ID struct{ token []byte }

// ParseID checks a raw token: a string of at most 256 bytes, or an integer of at most 2^53-1 in plain notation.
func ParseID(token []byte) (ID, bool) {
	if len(token) == 0 {
		return ID{}, false
	}
	if token[0] == '"' {
		text, ok := Text(token)
		return ID{token}, ok && len(text) <= maxIDLength && !hasNUL(text)
	}
	return ID{token}, safeInteger(token)
}

// Token returns the raw token, nil for none.
func (id ID) Token() []byte { return id.token }

// Clone returns an id that shares no memory with this one.
func (id ID) Clone() ID { return ID{bytes.Clone(id.token)} }

// CloneInto is Clone with memory that can be used again: buf's, which it may replace by more.
func (id ID) CloneInto(buf []byte) (clone ID, grown []byte) {
	grown = append(buf[:0], id.token...)
	return ID{grown}, grown
}

// IsZero reports whether there is no id.
func (id ID) IsZero() bool { return id.token == nil }

// A Key names a request; it is comparable. Two ids have the same key exactly if they name the same request: 1 and "1"
// differ, "a" and "\u0061" do not.
type Key struct {
	text   string // of a string id, without escapes, behind a quote; of no id "none"
	number int64  // of an integer id
}

// Key returns the id's key.
func (id ID) Key() Key {
	if id.IsZero() {
		return Key{text: "none"}
	}
	if text, ok := Text(id.token); ok {
		return Key{text: `"` + string(text)}
	}
	var number int64 // digits that fit, by ParseID
	for _, c := range bytes.TrimPrefix(id.token, []byte{'-'}) {
		number = 10*number + int64(c-'0')
	}
	if len(id.token) > 0 && id.token[0] == '-' {
		number = -number
	}
	return Key{number: number}
}

// Number returns the integer of an integer id, and whether it is one.
func (k Key) Number() (int64, bool) { return k.number, k.text == "" }

// Text returns a text that differs for every string id.
func (k Key) Text() string { return k.text }

// safeInteger reports whether the token matches -?(0|[1-9][0-9]*), is not -0 and is at most 2^53-1 in size.
func safeInteger(token []byte) bool {
	digits := token
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > len(maxSafeDigit) {
		return false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	if digits[0] == '0' {
		return len(token) == 1
	}
	return len(digits) < len(maxSafeDigit) || string(digits) <= maxSafeDigit
}

func hasNUL(text []byte) bool {
	return slices.Contains(text, 0)
}
