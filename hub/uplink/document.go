package uplink

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// RawJSON is one JSON value as it came, without white space around it.
type RawJSON []byte

// MarshalJSON writes the value as it is, and null for none.
func (r RawJSON) MarshalJSON() ([]byte, error) {
	if len(r) == 0 {
		return []byte("null"), nil
	}
	if value := jsontext.Value(r); !value.IsValid() {
		return nil, errors.New("it is not one JSON value")
	}
	return r, nil
}

// UnmarshalJSON keeps a copy of the value.
func (r *RawJSON) UnmarshalJSON(data []byte) error {
	data = bytes.TrimSpace(data)
	if !jsontext.Value(data).IsValid() {
		return errors.New("it is not one JSON value")
	}
	*r = bytes.Clone(data)
	return nil
}

var errNull = errors.New("null stands for nothing here: leave the member out")

// Encode writes a document of this package, in one line. Equal values make equal bytes.
func Encode(v any) ([]byte, error) {
	data, err := json.Marshal(v, json.Deterministic(true), jsontext.PreserveRawStrings(true))
	if err != nil {
		return nil, fmt.Errorf("write document: %w", err)
	}
	return data, nil
}

// Decode reads a document of this package to the letter: a member that is not known, that is there twice or in another case,
// or what follows the document, is an error. A hub reads what it is asked to do this way, and a wrapper a bundle: what is not
// understood must not be half done. So hubs are updated before wrappers.
func Decode(data []byte, v any) error { return decode(data, v, json.RejectUnknownMembers(true)) }

// decodeAnswer reads what a hub, which may be newer, tells for information.
func decodeAnswer(data []byte, v any) error { return decode(data, v) }

func decode(data []byte, v any, opts ...json.Options) error {
	if len(data) > MaxDocument {
		return fmt.Errorf("read document: it has %d bytes, and at most %d are taken", len(data), MaxDocument)
	}
	if err := json.Unmarshal(data, v, opts...); err != nil {
		return fmt.Errorf("read document: %w", err)
	}
	return nil
}

// notNull refuses null anywhere in a document: a list or flag that is null would be read as none.
func notNull(data []byte) error {
	in := jsontext.NewDecoder(bytes.NewBuffer(data))
	for {
		token, err := in.ReadToken()
		if err != nil {
			return nil // the end, or what Decode says better
		}
		if token.Kind() == jsontext.KindNull {
			return fmt.Errorf("%s: %w", in.StackPointer(), errNull)
		}
	}
}
