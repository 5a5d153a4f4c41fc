package policy

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// A hub sends its rules as JSON, whose names are those of the YAML. Null, which YAML takes for an empty value, is none: a rule
// that was meant must not vanish.

var (
	errNoScalar = errors.New("it must be a text, a number, true or false")
	errNoText   = errors.New("it must be a text")
)

// MarshalJSON writes the scalar as it is spelled.
func (s Scalar) MarshalJSON() ([]byte, error) {
	value := jsontext.Value(s)
	if !scalarKind(value.Kind()) || !value.IsValid() {
		return nil, fmt.Errorf("write constraint %q: %w", string(s), errNoScalar)
	}
	return value, nil
}

// UnmarshalJSON reads a scalar. A text is spelled anew, as from YAML; a number keeps its digits.
func (s *Scalar) UnmarshalJSON(data []byte) error {
	value := jsontext.Value(bytes.TrimSpace(data))
	if !scalarKind(value.Kind()) || !value.IsValid() {
		return errNoScalar
	}
	if value.Kind() != jsontext.KindString {
		*s = Scalar(value)
		return nil
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return err
	}
	quoted, err := jsontext.AppendQuote(nil, text)
	if err != nil {
		return err
	}
	*s = Scalar(quoted)
	return nil
}

func scalarKind(k jsontext.Kind) bool {
	switch k {
	case jsontext.KindString, jsontext.KindNumber, jsontext.KindTrue, jsontext.KindFalse:
		return true
	default:
		return false
	}
}

// UnmarshalJSON reads one scalar or a list.
func (s *Scalars) UnmarshalJSON(data []byte) error {
	list := Scalars{}
	err := eachJSON(data, func(value jsontext.Value) error {
		var one Scalar
		if err := one.UnmarshalJSON(value); err != nil {
			return err
		}
		list = append(list, one)
		return nil
	})
	if err != nil {
		return err
	}
	*s = list
	return nil
}

// UnmarshalJSON reads one text or a list.
func (s *Strings) UnmarshalJSON(data []byte) error {
	list := Strings{}
	err := eachJSON(data, func(value jsontext.Value) error {
		if value.Kind() != jsontext.KindString {
			return errNoText
		}
		text, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return err
		}
		list = append(list, string(text))
		return nil
	})
	if err != nil {
		return err
	}
	*s = list
	return nil
}

// eachJSON calls take with each element of an array, or with the one value that is none.
func eachJSON(data []byte, take func(jsontext.Value) error) error {
	value := jsontext.Value(bytes.TrimSpace(data))
	if !value.IsValid() {
		return errors.New("it is no JSON value")
	}
	if value.Kind() != jsontext.KindBeginArray {
		return take(value)
	}
	in := jsontext.NewDecoder(bytes.NewReader(value))
	if _, err := in.ReadToken(); err != nil {
		return err
	}
	for in.PeekKind() != jsontext.KindEndArray {
		element, err := in.ReadValue()
		if err != nil {
			return err
		}
		if err := take(element); err != nil {
			return err
		}
	}
	return nil
}
