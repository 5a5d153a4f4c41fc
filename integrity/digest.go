package integrity

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// digestVersion names how a definition becomes a digest, so that another way can be told apart later.
// mcpx1: SHA-256 of the definition in the canonical form of RFC 8785, except that a number which a float64
// cannot hold keeps its exact value (see appendNumber). testdata/digest.json holds vectors.
const digestVersion = "mcpx1"

// Digest returns the digest of a whole JSON value, "mcpx1:" and 64 hex digits. It does not depend on the
// order of members, white space, escapes, or how a number is spelled, and on nothing else: two definitions
// that say different things have different digests. Invalid JSON, a member name that occurs twice, invalid
// UTF-8 and lone surrogates are errors.
func Digest(definition []byte) (string, error) {
	canonical, err := canonicalize(definition)
	if err != nil {
		return "", err
	}
	return digestOf(canonical), nil
}

func digestOf(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	buf := make([]byte, 0, len(digestVersion)+1+2*len(sum))
	buf = append(buf, digestVersion+":"...)
	return string(hex.AppendEncode(buf, sum[:]))
}

// canonicalize returns the form that is hashed. jsontext does all of RFC 8785 but the numbers.
func canonicalize(value []byte) ([]byte, error) {
	form, err := jsontext.AppendFormat(make([]byte, 0, len(value)), value,
		jsontext.AllowDuplicateNames(false),
		jsontext.AllowInvalidUTF8(false),
		jsontext.PreserveRawStrings(false),
		jsontext.ReorderRawObjects(true),
		jsontext.CanonicalizeRawInts(false),
		jsontext.CanonicalizeRawFloats(false))
	if err != nil {
		return nil, fmt.Errorf("canonicalize definition: %w", err)
	}
	return canonicalizeNumbers(form)
}

// canonicalizeNumbers rewrites the numbers of a compact JSON value, most often in place.
func canonicalizeNumbers(form []byte) ([]byte, error) {
	out := form[:0:0]
	done := 0 // form[:done] is in out
	for i := 0; i < len(form); {
		c := form[i]
		switch {
		case c == '"':
			i = stringEnd(form, i)
		case c == '-' || '0' <= c && c <= '9':
			end := numberEnd(form, i)
			if !plainInteger(form[i:end]) {
				var err error
				out = append(out, form[done:i]...)
				if out, err = appendNumber(out, form[i:end]); err != nil {
					return nil, err
				}
				done = end
			}
			i = end
		default:
			i++
		}
	}
	if done == 0 {
		return form, nil
	}
	return append(out, form[done:]...), nil
}

// stringEnd returns the end of the string that begins at i.
func stringEnd(b []byte, i int) int {
	for i++; i < len(b) && b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func numberEnd(b []byte, i int) int {
	for i < len(b) {
		switch c := b[i]; {
		case '0' <= c && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
			i++
		default:
			return i
		}
	}
	return i
}
